"""A training's checkpoint from an engine that was shipped: what to go on from where no run folder is left."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from tpos_live.diffusion.model.metadata import read_metadata

KEPT = ("tokenizer", "text_encoder", "vae")


def begin_from(engine: Path, run: Path) -> None:
    """Lay the weights of an engine folder out as a run folder's checkpoint, in single precision.

    The optimizer's moments and the discriminator are not shipped and begin anew. Raises RuntimeError with one line for
    an engine of another architecture.
    """
    if read_metadata(engine).unet_inputs is None:
        raise RuntimeError(
            f"{engine} has an older network, which this training cannot go on from; leave out --resume to begin anew"
        )
    run.mkdir(parents=True, exist_ok=True)
    for part in KEPT:
        shutil.copytree(engine / part, run / part, dirs_exist_ok=True)
    for part, names in (("unet", ("unet", "ema")), ("vae", ("vae",))):
        weights = {
            key: value.float().contiguous()
            for key, value in load_file(engine / part / "diffusion_pytorch_model.safetensors").items()
        }
        if part == "unet":
            weights = {f"unet.{key}": value for key, value in weights.items()}  # as the extended UNet names them
        for name in names:
            save_file(weights, run / f"{name}.safetensors")
