"""What every scene gets and gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tpos_live.training.palettes import Palette


@dataclass
class Knobs:
    """Global facts of a batch of pictures of one family, each float [batch, 1, 1, 1].

    intensity in [0, 1]; centre_x, centre_y in [-1, 1] (right, down); phase, turn: angles in radians,
    one round of the scalar.
    """

    intensity: torch.Tensor
    centre_x: torch.Tensor
    centre_y: torch.Tensor
    phase: torch.Tensor
    turn: torch.Tensor
    palette: Palette


@dataclass
class Light:
    """Linear light [batch, 3, h, w]; `emit` is the part that glows, and is not in `base`."""

    base: torch.Tensor
    emit: torch.Tensor


Scene = Callable[..., Light]
