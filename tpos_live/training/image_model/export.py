"""Write an engine folder: the layout of diffusers in half precision, and the files that tpos-live adds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tpos_live.core.atomic import atomic_folder
from tpos_live.diffusion.model.metadata import METADATA_FILE, EngineMetadata, UnetInputs
from tpos_live.scenes.base import FIELDS
from tpos_live.training.image_model.dataset import AUDIO_TOKENS, PACKING
from tpos_live.training.image_model.recipe import SCALARS
from tpos_live.training.image_model.rectified_flow import BLURS, scheduler
from tpos_live.training.text.families_file import write_families

SIZES = [(256, 256), (320, 192), (448, 256), (512, 288)]
DETAIL = 0.3
"""Chosen by eye: clouds, flames and foam look better, and windows of a city stay rectangular; at 0.75 they do not."""


def metadata() -> EngineMetadata:
    """Ember's metadata."""
    return EngineMetadata(
        name="ember", licence="see LICENSE of tpos-live", size=SIZES[0], sizes=SIZES, multiple=32,
        steps=[1, 2, 4], guidance=False, audio_tokens=AUDIO_TOKENS, scalars=list(SCALARS), detail=DETAIL, vivid=1.0,
        audio_mode="grow", unet_inputs=UnetInputs(packing=PACKING, fields=FIELDS, blurs=list(BLURS)),
    )  # fmt: skip


def write_engine(out: Path, unet: Any, vae: Any, encoder: Any, tokenizer: Any, families: Sequence[str]) -> None:
    """Write the folder under a temporary name and move it to `out`; other files in `out` are kept.

    The modules are copied, not changed.
    """
    modules = {"unet": _half(unet), "vae": _half(vae), "text_encoder": _half(encoder)}
    parts = {**modules, "tokenizer": tokenizer, "scheduler": scheduler()}
    with atomic_folder(out) as fresh:
        for name, part in parts.items():
            part.save_pretrained(fresh / name)
        index = {"_class_name": "StableDiffusionPipeline", **{name: _origin(part) for name, part in parts.items()}}
        (fresh / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for path in fresh.rglob("*config.json"):
            tidy(path)
        for path in fresh.rglob("*.safetensors"):
            path.chmod(0o644)
        (fresh / METADATA_FILE).write_text(json.dumps(metadata().model_dump(), indent=2) + "\n", encoding="utf-8")
        write_families(fresh, families, families)
        for kept in out.iterdir() if out.exists() else ():
            if not (fresh / kept.name).exists():
                (shutil.copytree if kept.is_dir() else shutil.copy2)(kept, fresh / kept.name)


def _origin(part: Any) -> list[str]:
    """Library and class for model_index.json; for a tokenizer the class that transformers loads it with."""
    library, name = type(part).__module__.split(".")[0], type(part).__name__
    return [library, "PreTrainedTokenizerFast" if library == "transformers" and "Token" in name else name]


def _half(module: Any) -> Any:
    """A copy in half precision on the CPU."""
    import copy

    import torch

    return copy.deepcopy(module).cpu().to(memory_format=torch.contiguous_format).half().eval()


def tidy(path: Path) -> None:
    """Remove the path that a configuration was read from, and set its data type to float32."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("_name_or_path", None)
    if "dtype" in content:
        content["dtype"] = "float32"
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
