"""Spherical interpolation (Shoemake 1985): directions rotate on the great circle at constant speed."""

from __future__ import annotations

import torch

TINY = 1e-6
"""Shortest length that has a direction."""


def arc_weights(angle: torch.Tensor, share: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the two unit vectors at `share` of the arc between them, 0 (first) to 1 (second).

    angle: between the vectors, 0 to pi. For vectors that are nearly parallel or opposite the great circle is not
    defined well; there the weights are linear.
    """
    sine = torch.sin(angle)
    straight = sine < 1e-3
    sine = torch.where(straight, 1.0, sine)
    keep = torch.where(straight, 1.0 - share, torch.sin((1.0 - share) * angle) / sine)
    take = torch.where(straight, share, torch.sin(share * angle) / sine)
    return keep, take


def slerp(a: torch.Tensor, b: torch.Tensor, share: float) -> torch.Tensor:
    """Spherical interpolation from `a` (share 0) to `b` (share 1), per row of [..., dim].

    Lengths change linearly. A plain mean would be shorter and give dull images.
    """
    if share <= 0.0:
        return a
    if share >= 1.0:
        return b
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(TINY), b / length_b.clamp_min(TINY)
    cosine = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1.0, 1.0)
    keep, take = arc_weights(torch.acos(cosine), share)
    return (keep * unit_a + take * unit_b) * torch.lerp(length_a, length_b, share)
