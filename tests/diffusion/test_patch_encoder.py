"""Ember's image encoder without diffusers: the same latents, and one line for what is damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.patch_encoder import PatchEncoder
from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle

VAE = "diffusion_pytorch_model.safetensors"
_ENCODE = """
import sys
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.source_start import LatentEncoder
import torch
encoder = LatentEncoder(load_engine(shipped("engines") / "ember", device="cpu", lazy=True), (320, 192))
latent = encoder.encode(torch.full((192, 320, 3), 200, dtype=torch.uint8))
print(float(latent.abs().max()) > 0.1, *{"diffusers", "transformers"} & set(sys.modules))
"""


def test_it_gives_the_autoencoders_latents() -> None:
    folder = shipped("engines") / "ember" / "vae"
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    whole = AutoencoderPixelShuffle.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.allclose(PatchEncoder.read(folder, 32, 16).encode(image), whole.encode(image), atol=1e-5)


def test_a_compiled_show_encodes_images_without_importing_diffusers() -> None:
    """Importing it beside a show that draws makes a frame take up to ten times as long."""
    done = subprocess.run([sys.executable, "-c", _ENCODE], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["True"], done.stderr


@pytest.mark.parametrize(
    ("damage", "line"),
    [("lacks", "encoder.bias is missing"), ("other", "encoder.weight is of another engine"), ("noise", "damaged")],
)
def test_damaged_weights_are_one_line(tmp_path: Path, damage: str, line: str) -> None:
    weights = {"encoder.weight": torch.zeros(8, 3, 16, 16), "encoder.bias": torch.zeros(8)}
    if damage == "lacks":
        del weights["encoder.bias"]
    save_file(weights, tmp_path / VAE)
    if damage == "noise":
        (tmp_path / VAE).write_bytes(b"\xff" * 64)
    with pytest.raises(EngineError, match=line) as raised:
        PatchEncoder.read(tmp_path, 32 if damage == "other" else 8, 16)
    assert "\n" not in str(raised.value)
