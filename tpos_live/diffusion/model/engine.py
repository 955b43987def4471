"""An engine: a Stable Diffusion folder in diffusers' format, loaded for drawing.

The same code loads Ember and SD-Turbo. Weights are safetensors only; everything is read from local files, nothing is
downloaded and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError, first_line
from tpos_live.diffusion.model.load_part import check_files, read_json
from tpos_live.diffusion.model.metadata import METADATA_FILE, ONE, SCALAR_WIDTH, SECOND, EngineMetadata, read_metadata
from tpos_live.diffusion.model.networks import Networks
from tpos_live.diffusion.model.schedule import Schedule
from tpos_live.diffusion.model.sdxl import ADDED
from tpos_live.diffusion.model.text_encoders import Texts, load_texts
from tpos_live.diffusion.model.unet_inputs import Layout, extra_channels

DECODERS = ("AutoencoderTiny", "AutoencoderKL", "AutoencoderPixelShuffle")
_MOST_FACTOR = 64
"""Upper limit of the pixels along one side of a latent pixel; engines have 8 or 16."""
PARTS = ("unet", "vae", *ONE, "scheduler")


@dataclass
class Engine:
    """The loaded parts of an engine.

    Thread contract: a worker thread may use `texts` while the render thread uses unet and vae; they share no state.
    Modules are in evaluation mode, float32 on a CPU and float16 on a GPU, without gradients. An engine loaded lazily
    reads unet and vae at their first use (see `networks`).
    """

    folder: Path
    metadata: EngineMetadata
    schedule: Schedule
    networks: Networks
    texts: Texts
    device: torch.device

    @property
    def name(self) -> str:
        return self.metadata.name or self.folder.name

    @property
    def dtype(self) -> torch.dtype:
        return self.networks.dtype

    @property
    def unet(self) -> Any:
        return self.networks.load()["unet"]

    @property
    def vae(self) -> Any:
        return self.networks.load()["vae"]

    @property
    def text_encoder(self) -> Any:
        """The text encoder; the first one where there are two."""
        return self.texts.readers[0].encoder

    @property
    def trained_with_audio(self) -> bool:
        """Whether the engine was trained with audio tokens; then zeros mean silence."""
        learned = self.metadata.trained_with_sound and self.metadata.audio_tokens > 0
        return learned and (self.folder / METADATA_FILE).exists()

    @property
    def latent_channels(self) -> int:
        return int(self.networks.configs["unet"]["out_channels"])

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent pixel."""
        return self.networks.factor

    @property
    def packing(self) -> int:
        """Noise cells along one side of a latent pixel; 1 = the noise has the latent's resolution."""
        given = self.metadata.unet_inputs
        return given.packing if given is not None else 1

    @property
    def layout(self) -> Layout | None:
        """Layout of the conditioning's rows, for an engine that draws two prompts in one pass; else None."""
        return _layout(self.metadata, self.texts.rows)

    @property
    def draws_pairs(self) -> bool:
        """Whether the UNet draws two prompts in one pass."""
        return self.metadata.unet_inputs is not None

    @property
    def token_dim(self) -> int:
        return int(self.networks.configs["unet"]["cross_attention_dim"])

    @property
    def text_tokens(self) -> int:
        """Rows of a text, including the pooled row where there is one (see `sdxl`); longer texts are cut."""
        return self.texts.rows

    @property
    def weight_files(self) -> list[Path]:
        """The files of unet and decoder, sorted."""
        files = (path for part in ("unet", "vae") for path in sorted((self.folder / part).iterdir()))
        return [path for path in files if path.suffix in (".json", ".safetensors")]

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the files of unet, decoder and LoRAs: the key for anything compiled from them."""
        digest = hashlib.sha256()
        for path in self.weight_files:
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        for lora in self.metadata.loras:
            digest.update(f"{lora.file} {lora.weight}".encode())
            with (self.folder / lora.file).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(1, channels, height, width) of the latent of a frame of `size` = (width, height) in pixels."""
        return 1, self.latent_channels, size[1] // self.factor, size[0] // self.factor

    def nearest_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) nearest to `size` that the engine can draw."""
        step = max(self.metadata.multiple, self.factor)
        width, height = (max(round(side / step), 1) * step for side in size)
        return width, height


def load_engine(folder: Path, device: str | None = None, lazy: bool = False) -> Engine:
    """Load an engine from a local folder.

    device: "cpu", "cuda", …; None = CUDA where it works. lazy: load unet and vae at their first use, where that is
    possible. Raises EngineError with one line for missing or damaged files, and for kinds of engines that are not
    supported; with `lazy`, errors of `Networks` may come later.
    """
    folder = Path(folder)
    try:
        return _load(folder, device, lazy)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        # A configuration file may contain anything, and each value is only checked where it is used.
        why = f"its files of configuration do not fit together, or one is damaged ({first_line(error)})"
        raise EngineError(f"{folder}: {why}; fetch or install the engine again") from error


def _load(folder: Path, device: str | None, lazy: bool) -> Engine:
    index = _read_index(folder)
    metadata = read_metadata(folder)
    if metadata.name == "ember" and metadata.unet_inputs is None:
        raise EngineError(
            f"{folder}: these are weights of an older Ember; use the included ones (--engine ember), "
            "or train new ones with tpos-live train ember"
        )
    schedule = Schedule.from_config(read_json(folder / "scheduler" / "scheduler_config.json"))
    unet_config = read_json(folder / "unet" / "config.json")
    _check_class("unet", unet_config.get("_class_name"), ("UNet2DConditionModel",), folder)
    _check_class("vae", index["vae"][1], DECODERS, folder)
    # "text" pools the given tokens; other kinds need embeddings that text encoders do not produce.
    kind = unet_config.get("addition_embed_type")
    if kind not in (None, "text", ADDED):
        raise EngineError(
            f"{folder}: its unet wants {kind!s:.60} embeddings; choose a Stable Diffusion 1, 2 or XL engine"
        )
    if kind == ADDED:
        _check_parts(folder, index, SECOND)
    for part in ("unet", "vae", ONE[0], *(SECOND[:1] if kind == ADDED else ())):
        check_files(folder / part)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    texts = load_texts(folder, index, kind == ADDED, where)
    layout = _layout(metadata, texts.rows)
    inputs = (metadata.unet_inputs, layout) if metadata.unet_inputs is not None and layout is not None else None
    networks = Networks(folder, index["vae"][1], where, metadata.loras, inputs)
    if not lazy or metadata.loras or not networks.known:
        networks.load(texts.modules)
    texts.to(networks.dtype)
    engine = Engine(folder, metadata, schedule, networks, texts, where)
    _check_fit(engine)
    return engine


def _layout(metadata: EngineMetadata, text: int) -> Layout | None:
    if metadata.unet_inputs is None:
        return None
    return Layout(text, metadata.audio_tokens, len(metadata.scalars))


def _read_index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise EngineError(f"{folder}: there is no such engine folder; check --engine")
    if not (folder / "model_index.json").exists():
        raise EngineError(
            f"{folder}: no model_index.json; --engine wants a Stable Diffusion folder in diffusers' format"
        )
    index = read_json(folder / "model_index.json")
    _check_parts(folder, index, PARTS)
    return index


def _check_parts(folder: Path, index: dict[str, Any], parts: tuple[str, ...]) -> None:
    for part in parts:
        entry = index.get(part)
        if not (isinstance(entry, list) and len(entry) == 2 and entry[1]) or not (folder / part).is_dir():
            raise EngineError(f"{folder}: its {part} is missing; fetch or install the engine again")


def _check_class(part: str, name: object, allowed: tuple[str, ...], folder: Path) -> None:
    if name not in allowed:
        raise EngineError(f"{folder}: its {part} is a {name!s:.60}; engines need {' or '.join(allowed)} here")


def _check_fit(engine: Engine) -> None:
    """Raise EngineError unless the parts fit each other: latents, tokens and scalars."""
    configs = engine.networks.configs
    latent = int(configs["vae"]["latent_channels"])
    if not 0 < abs(float(configs["vae"]["scaling_factor"])) < math.inf:
        raise EngineError(f"{engine.folder}: its vae has no scaling_factor; fetch or install the engine again")
    if not 1 <= engine.factor <= _MOST_FACTOR:
        raise EngineError(f"{engine.folder}: its vae enlarges {engine.factor} times; fetch or install the engine again")
    if configs["vae"].get("upsampling_scaling_factor", 2) != 2:
        raise EngineError(f"{engine.folder}: each stage of its vae must double the size; fetch or install it again")
    given, wanted = engine.metadata.unet_inputs, int(configs["unet"]["in_channels"])
    extra = extra_channels(given.fields, given.blurs) if given is not None else 0
    if not engine.latent_channels == wanted - extra == latent:
        raise EngineError(
            f"{engine.folder}: unet and vae differ in latent channels "
            f"({wanted - extra} and {latent}); the parts are of different engines"
        )
    if configs["vae"].get("latents_mean"):
        raise EngineError(f"{engine.folder}: its vae moves latents to a mean, which is not done here; use another one")
    width = engine.texts.dim
    if width != engine.token_dim:
        raise EngineError(
            f"{engine.folder}: the text encoder gives tokens of {width}, the unet wants {engine.token_dim}; "
            "the parts are of different engines"
        )
    if engine.texts.pooled != engine.networks.pooled:
        raise EngineError(
            f"{engine.folder}: the text encoders give {engine.texts.pooled} pooled numbers, the unet wants "
            f"{engine.networks.pooled}; the parts are of different engines, or it is a refiner"
        )
    if len(engine.metadata.scalars) * SCALAR_WIDTH > engine.token_dim:
        raise EngineError(f"{engine.folder / METADATA_FILE}: too many scalars for tokens of {engine.token_dim}")
