"""A training's checkpoint from an engine that was shipped: what to go on from where no run folder is left."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

KEPT = ("tokenizer", "text_encoder", "vae")


def begin_from(engine: Path, run: Path) -> None:
    """Lay the weights of an engine folder out as a run folder's checkpoint, in single precision.

    The optimizer's moments, the critic and the lesson in places are not shipped and begin anew.
    """
    run.mkdir(parents=True, exist_ok=True)
    for part in KEPT:
        shutil.copytree(engine / part, run / part, dirs_exist_ok=True)
    for part, names in (("unet", ("unet", "ema")), ("vae", ("vae",))):
        weights = {
            key: value.float().contiguous()
            for key, value in load_file(engine / part / "diffusion_pytorch_model.safetensors").items()
        }
        for name in names:
            save_file(weights, run / f"{name}.safetensors")
