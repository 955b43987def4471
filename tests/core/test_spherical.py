from __future__ import annotations

import torch

from tpos_live.core.spherical import slerp


def test_slerp_keeps_its_ends_and_the_mean_length() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(24, 128, generator=generator) * length for length in (1, 2))
    assert torch.equal(slerp(a, b, 0), a) and torch.equal(slerp(a, b, 1), b)
    middle = slerp(a, b, 0.5)
    assert torch.allclose(middle.norm(dim=-1), (a.norm(dim=-1) + b.norm(dim=-1)) / 2, rtol=1e-4)


def test_slerp_is_finite_between_parallel_opposite_and_zero_vectors() -> None:
    a = torch.randn(24, 128, generator=torch.Generator().manual_seed(0))
    for edge in (slerp(a, a, 0.3), slerp(a, -a, 0.3), slerp(a, torch.zeros_like(a), 0.5)):
        assert torch.isfinite(edge).all()
    assert torch.allclose(slerp(a, a, 0.3), a, atol=1e-4)
