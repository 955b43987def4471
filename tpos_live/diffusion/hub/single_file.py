"""Imports a single-file checkpoint (.safetensors) as an engine: converts it once, part by part, without a network.

The converters of diffusers' `from_single_file` rename the tensors. Each tensor is then checked against its class, so an
incomplete file is refused and not completed with random numbers. The rest comes from engines that were fetched before:
the tokenizer's vocabulary, and from the preset that also gives steps and scheduler, the tiny decoder and the LoRA that
makes few steps possible.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.atomic import atomic_folder
from tpos_live.core.errors import EngineError, first_line, reason
from tpos_live.core.paths import engines_dir
from tpos_live.diffusion.hub import checkpoint_config as shapes_of
from tpos_live.diffusion.hub.checkpoint_config import Generation, recognise
from tpos_live.diffusion.hub.client import HubFile
from tpos_live.diffusion.hub.download import RECORD
from tpos_live.diffusion.hub.fetched import PICKLES, find_fetched, keep_embeddings
from tpos_live.diffusion.hub.presets import Preset, load_preset, preset_names
from tpos_live.diffusion.hub.tokenizers import write_tokenizer
from tpos_live.diffusion.model.load_part import read_json
from tpos_live.diffusion.model.metadata import METADATA_FILE
from tpos_live.diffusion.model.networks import quiet

log = logging.getLogger(__name__)

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000, "prediction_type": "epsilon", "timestep_spacing": "trailing", "steps_offset": 1,
}  # fmt: skip
"""The noise schedule of all generations' training, and the sampler that suits most few-step engines."""

Tensors = dict[str, torch.Tensor]


def imported_folder(file: Path) -> Path | None:
    """The folder of the engine that was imported from a file; None where there is none, or the file has changed."""
    for record in engines_dir().glob(f"*/{RECORD}"):
        try:
            if json.loads(record.read_text()).get("checkpoint") == _mark(file):
                return record.parent
        except (OSError, ValueError, AttributeError):
            continue
    return None


def import_checkpoint(file: Path, name: str = "", like: str = "") -> Path:
    """Import a checkpoint as an engine, unless done before. Returns the engine's folder.

    name: of the engine, "" = the file's. like: the preset that gives steps, scheduler, tiny decoder and LoRA, "" = the
    default of the checkpoint's generation. Takes seconds to a minute, and memory for the largest part.
    Raises EngineError, one line: another kind of file, a pickle, a truncated file, no vocabulary for the tokenizer, a
    name that is used already, a full disk.
    """
    if file.suffix.lower() in PICKLES:
        raise EngineError(f"{file}: is a pickle, which can run code; convert it to safetensors, or choose another file")
    if file.is_dir():
        raise EngineError(f"{file} is a folder; name a file, or show an engine's own folder with --engine {file}")
    if not file.is_file():
        raise EngineError(f"{file}: there is no such file; check its name")
    if not (name or like) and (made := imported_folder(file)):
        return made
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "checkpoint"
    target = engines_dir() / name
    _check_name(name, target, file)
    try:
        with _opened(file) as checkpoint, quiet():
            generation = recognise(file, checkpoint.shapes)
            preset = load_preset(like or generation.like)
            log.info(f"converting {file.name} ({generation.title}, steps as {like or generation.like}) …")
            with atomic_folder(target) as work:
                _write(checkpoint, generation, preset, like or generation.like, work)
                _record(name, file, work)
                keep_embeddings(target, work)
    except OSError as error:
        where = error.filename or target
        raise EngineError(
            f"{where} cannot be written ({reason(error)}); make room, or set TPOS_LIVE_ENGINES"
        ) from error
    log.info(f"ready: --engine {name}")
    return target


class _Checkpoint:
    """An open file: the shapes of all tensors; `read` loads the tensors with a prefix."""

    def __init__(self, file: Path, opened: Any) -> None:
        self.file, self._opened = file, opened
        self.shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118

    def read(self, prefix: str) -> Tensors:
        return {key: self._opened.get_tensor(key) for key in self.shapes if key.startswith(prefix)}


@contextmanager
def _opened(file: Path) -> Iterator[_Checkpoint]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            yield _Checkpoint(file, opened)
    except SafetensorError as error:
        raise EngineError(f"{file}: damaged or cut off ({first_line(error)}); download it again") from error


def _write(checkpoint: _Checkpoint, generation: Generation, preset: Preset, like: str, work: Path) -> None:
    try:
        donor = _donor(checkpoint, generation, preset, like)
        index = _write_networks(checkpoint, generation, donor, work)
        words = _write_texts(checkpoint, generation, work)
    except (KeyError, IndexError, StopIteration) as error:
        what = first_line(error) if isinstance(error, KeyError) else "tensors"
        raise EngineError(f"{checkpoint.file}: {what} is missing; download it again, or choose another file") from error
    scheduler = _SCHEDULER | preset.scheduler
    if "v_pred" in checkpoint.shapes:
        scheduler["prediction_type"] = "v_prediction"
    loras = []
    for number, lora in enumerate(preset.lora):
        assert donor is not None  # see _donor
        place = f"lora/{number}.safetensors"
        (work / "lora").mkdir(exist_ok=True)
        shutil.copyfile(donor / place, work / place)
        loras.append({"file": place, "weight": lora.weight, "live": lora.live})
    description = {
        "name": checkpoint.file.stem, "licence": f"unknown: as where {checkpoint.file.name} comes from",
        "size": preset.size, "steps": preset.steps, "guidance": preset.guidance, "trained_with_sound": False,
        "loras": loras,
    }  # fmt: skip
    pipeline = "StableDiffusionXLPipeline" if generation is shapes_of.XL else "StableDiffusionPipeline"
    index = {"_class_name": pipeline, **index, **words, "scheduler": ["diffusers", scheduler["_class_name"]]}
    (work / "scheduler").mkdir()
    (work / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=1))
    (work / "model_index.json").write_text(json.dumps(index, indent=1))
    (work / METADATA_FILE).write_text(json.dumps(description, indent=1))


def _donor(checkpoint: _Checkpoint, generation: Generation, preset: Preset, like: str) -> Path | None:
    """The fetched engine of the preset, if it fits; None if there is none or it does not fit, and none is needed."""
    donor = find_fetched(like)
    if donor is None:
        if preset.lora:
            remedy = (
                f"`tpos-live engines fetch {like}` first, or --like sd-turbo for one that needs few steps by itself"
            )
            raise EngineError(f"{checkpoint.file}: {like} has a LoRA that makes few steps possible: {remedy}")
        return None
    width = shapes_of.unet_config(generation, checkpoint.shapes)["cross_attention_dim"]
    if read_json(donor / "unet" / "config.json").get("cross_attention_dim") == width:
        return donor
    if preset.lora:
        raise EngineError(
            f"{checkpoint.file}: is {generation.title}, and {like} is not; choose another preset (--like)"
        )
    return None


def _write_networks(checkpoint: _Checkpoint, generation: Generation, donor: Path | None, work: Path) -> dict[str, Any]:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    def write(part: str, cls: Any, config: dict[str, Any], convert: Any, prefix: str) -> None:
        with torch.device("meta"):
            module = cls.from_config(config)
        module.save_config(work / part)
        _save(checkpoint, convert(checkpoint.read(prefix), module.config), module, work / part / _WEIGHTS)

    unet = shapes_of.unet_config(generation, checkpoint.shapes)
    write("unet", UNet2DConditionModel, unet, convert_ldm_unet_checkpoint, shapes_of.UNET)
    index = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    if donor is not None and read_json(donor / "vae" / "config.json").get("_class_name") == "AutoencoderTiny":
        shutil.copytree(donor / "vae", work / "vae")
        return index | {"vae": ["diffusers", "AutoencoderTiny"]}
    vae = shapes_of.vae_config(generation, checkpoint.shapes)
    write("vae", AutoencoderKL, vae, convert_ldm_vae_checkpoint, shapes_of.VAE)
    return index


def _write_texts(checkpoint: _Checkpoint, generation: Generation, work: Path) -> dict[str, Any]:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    index: dict[str, Any] = {}
    for number, prefix in enumerate(generation.encoders):
        suffix = "_2" if number else ""
        config = CLIPTextConfig(**shapes_of.text_config(prefix, checkpoint.shapes))
        cls = CLIPTextModelWithProjection if number else CLIPTextModel
        with torch.device("meta"):
            encoder = cls(config)
        config.save_pretrained(work / f"text_encoder{suffix}")
        read = checkpoint.read(prefix)
        if prefix in (shapes_of.CLIP, shapes_of.XL_CLIP):
            found = convert_ldm_clip_checkpoint(read)
        else:
            found = convert_open_clip_checkpoint(encoder, read, prefix=prefix)
        if not hasattr(encoder, "text_model"):  # transformers has dropped the first word of the names
            found = {key.removeprefix("text_model."): value for key, value in found.items()}
        _save(checkpoint, found, encoder, work / f"text_encoder{suffix}" / "model.safetensors")
        padding = generation is shapes_of.ONE or prefix == shapes_of.XL_CLIP
        write_tokenizer(work / f"tokenizer{suffix}", config.vocab_size, config.max_position_embeddings, padding)
        index[f"text_encoder{suffix}"] = ["transformers", cls.__name__]
        index[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
    return index


def _save(checkpoint: _Checkpoint, found: Mapping[str, torch.Tensor], module: torch.nn.Module, place: Path) -> None:
    """Write the tensors of a module in half precision. Raises EngineError for a missing tensor or a wrong shape."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    wanted = module.state_dict()
    if missing := sorted(key for key in wanted if key not in found):
        raise EngineError(f"{checkpoint.file}: {missing[0]} is missing; download it again, or choose another file")
    wrong = next((key for key, tensor in wanted.items() if found[key].shape != tensor.shape), None)
    if wrong is not None:
        has, wants = tuple(found[wrong].shape), tuple(wanted[wrong].shape)
        raise EngineError(f"{checkpoint.file}: {wrong} is {has} and not {wants}; it is of another architecture")
    halved = {key: found[key].half().contiguous() for key in wanted}
    try:
        save_file(halved, place, {"format": "pt"})
    except SafetensorError as error:  # else the caller would report a damaged checkpoint
        raise OSError(first_line(error)) from error


def _check_name(name: str, target: Path, file: Path) -> None:
    if "/" in name or name.startswith(".") or name in (*preset_names(), "ember", "auto"):
        raise EngineError(f"{name!r} is no name for an engine of your own; choose another with --name")
    if target.exists():
        try:
            owner = json.loads((target / RECORD).read_text()).get("checkpoint", {}).get("file")
        except (OSError, ValueError, AttributeError):
            owner = None
        if owner != str(file.resolve()):
            raise EngineError(f"{target} is another engine; choose another name with --name, or remove that folder")


def _record(name: str, file: Path, work: Path) -> None:
    """Write the same record as `engines fetch`, so that `engines list` and `engines check` can use it."""
    items = []
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        local = path.relative_to(work).as_posix()
        items.append(HubFile(file.name, "", local, local, path.stat().st_size, f"sha256:{digest}"))
    record = {"name": name, "checkpoint": _mark(file), "files": [asdict(item) for item in items]}
    (work / RECORD).write_text(json.dumps(record, indent=1))


def _mark(file: Path) -> dict[str, Any]:
    facts = file.stat()
    return {"file": str(file.resolve()), "size": facts.st_size, "changed": facts.st_mtime_ns}
