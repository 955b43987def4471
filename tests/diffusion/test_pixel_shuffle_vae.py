"""The deblocking filter takes a grid of patches off and leaves everything else."""

from __future__ import annotations

import pytest
import torch

from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle, Deblocking

PATCH, THRESHOLD = 16, 0.08


def ramp(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    return (0.5 * y - 0.3 * x)[None, None].expand(1, 3, -1, -1).clone()


def grid(height: int, width: int, size: float) -> torch.Tensor:
    """Patches that are by turns brighter and darker."""
    y, x = torch.meshgrid(torch.arange(height) // PATCH, torch.arange(width) // PATCH, indexing="ij")
    return size * ((x + y) % 2).float()[None, None].expand(1, 3, -1, -1)


def step_at_borders(picture: torch.Tensor) -> float:
    step = picture.diff(dim=3)
    return float(
        (
            step[..., PATCH - 1 :: PATCH]
            - 0.5 * (step[..., PATCH - 2 :: PATCH][..., : step.shape[3] // PATCH] + step[..., PATCH::PATCH])
        )
        .abs()
        .mean()
    )


@pytest.mark.parametrize("size", [(192, 320), (32, 32), (64, 512)])
def test_a_small_grid_vanishes(size: tuple[int, int]) -> None:
    plain = ramp(*size)
    before = plain + grid(*size, 0.02)
    after = Deblocking(PATCH, THRESHOLD)(before)
    assert step_at_borders(after) < 0.2 * step_at_borders(before)


def test_a_smooth_picture_stays() -> None:
    plain = ramp(96, 160)
    assert (Deblocking(PATCH, THRESHOLD)(plain) - plain).abs().max() < 1e-5


def test_edges_of_the_picture_stay() -> None:
    edge = grid(96, 160, 0.8)
    assert (Deblocking(PATCH, THRESHOLD)(edge) - edge).abs().max() < 0.015 * edge.max()


def test_one_patch_has_no_borders() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert torch.equal(Deblocking(PATCH, THRESHOLD)(picture), picture)


def test_an_engine_without_the_setting_draws_as_before() -> None:
    torch.manual_seed(1)
    without = AutoencoderPixelShuffle(latent_channels=8, decoder_channels=(16, 8, 8), decoder_blocks=(1, 1, 1))
    filtered = AutoencoderPixelShuffle(
        latent_channels=8, decoder_channels=(16, 8, 8), decoder_blocks=(1, 1, 1), deblocking=THRESHOLD
    )
    filtered.load_state_dict(without.state_dict())  # the filter has no weights
    latents = torch.randn(1, 8, 4, 6)
    with torch.no_grad():
        plain, smooth = without.decode(latents)[0], filtered.decode(latents)[0]
    torch.testing.assert_close(smooth, Deblocking(PATCH, THRESHOLD)(plain))
    assert "deblocking" not in "".join(without.state_dict())
