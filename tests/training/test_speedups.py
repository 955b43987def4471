"""A UNet that trains faster is the same UNet."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.cpp_kernels import compile_alone as compile_alone

from tpos_live.training.image_model.dataset import LAYOUT
from tpos_live.training.image_model.rectified_flow import build_unet
from tpos_live.training.image_model.speedups import speed_up
from tpos_live.training.text.text_encoder import DIM


def _gradients(unet: torch.nn.Module, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    noise, tokens = torch.randn(2, 32, *size, generator=rng), torch.randn(2, LAYOUT.rows, DIM, generator=rng)
    unet.zero_grad()
    out = unet(noise, torch.tensor([999.0, 400.0]), encoder_hidden_states=tokens)[0]
    out.square().mean().backward()
    return out.detach(), unet.unet.conv_in.weight.grad.clone()


@pytest.mark.parametrize(
    "compiled",
    [
        False,
        pytest.param(
            True,
            marks=[
                pytest.mark.slow,
                pytest.mark.timeout(900),
                pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler"),
            ],
        ),
    ],
)
def test_images_gradients_and_names_stay(
    compiled: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kernels are compiled for the block in the middle, which has what the others have, and attention. The others are
    traced, forwards and back, and run without."""
    torch.manual_seed(1)
    unet = build_unet((16,) if compiled else (16, 32))  # one level has a block of each kind, and half of the kernels
    if compiled:
        request.getfixturevalue("compile_alone")
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
        real, middle = torch.compile, unet.unet.mid_block

        def compile_middle(forward: Any, **options: Any) -> Any:
            return real(forward, backend="inductor" if forward.__self__ is middle else "aot_eager", **options)

        monkeypatch.setattr(torch, "compile", compile_middle)
    before = {size: _gradients(unet, size) for size in ((8, 8), (8, 12))}
    names = list(unet.state_dict())
    speed_up(unet.unet, compiled)
    for size, (image, gradient) in before.items():
        now, slope = _gradients(unet, size)
        torch.testing.assert_close(now, image, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(slope, gradient, atol=2e-5, rtol=1e-3)
    assert list(unet.state_dict()) == names
