"""A UNet that trains faster is the same UNet."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes.cpp_kernels import compile_alone as compile_alone

from tpos_live.training.image_model.dataset import LAYOUT
from tpos_live.training.image_model.rectified_flow import build_unet
from tpos_live.training.image_model.speedups import compile_blocks, speed_up
from tpos_live.training.text.text_encoder import DIM


def _gradients(unet: torch.nn.Module, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(3)
    noise, tokens = torch.randn(2, 32, *size, generator=rng), torch.randn(2, LAYOUT.rows, DIM, generator=rng)
    unet.zero_grad()
    out = unet(noise, torch.tensor([999.0, 400.0]), encoder_hidden_states=tokens)[0]
    out.square().mean().backward()
    return out.detach(), unet.unet.conv_in.weight.grad.clone()


def _check(unet: torch.nn.Module, change: Callable[[], None]) -> None:
    """Images, gradients and names are the same after a change, for square and for wide images."""
    before = {size: _gradients(unet, size) for size in ((8, 8), (8, 12))}
    names = list(unet.state_dict())
    change()
    for size, (image, gradient) in before.items():
        now, slope = _gradients(unet, size)
        torch.testing.assert_close(now, image, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(slope, gradient, atol=2e-5, rtol=1e-3)
    assert list(unet.state_dict()) == names


@pytest.mark.parametrize("traced", [False, True])
def test_images_gradients_and_names_stay(traced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With attention written out, and with all blocks traced as for compiling, forwards and back."""
    torch.manual_seed(1)
    unet = build_unet((16,) if traced else (16, 32))  # one level has a block of each kind
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda forward, **options: real(forward, backend="aot_eager", **options))
    _check(unet, lambda: speed_up(unet.unet, traced))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("c++") is None, reason="compiling needs a C++ compiler")
@pytest.mark.usefixtures("compile_alone")
def test_compiled_kernels_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of a residual block and of an attention, forwards and back; each kernel takes a second to compile."""
    torch.manual_seed(1)
    unet = build_unet((16,))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    speed_up(unet.unet, False)
    (transformer,) = unet.unet.mid_block.attentions[0].transformer_blocks
    _check(unet, lambda: compile_blocks(unet.unet, (unet.unet.down_blocks[0], transformer.attn2)))
