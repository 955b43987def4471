"""The inputs and outputs of a scene function, and the description of a scene family."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tpos_live.scenes.palettes import HUES, Palette, Stops, dominant_hue

FIELDS = 4
"""Channels of the noise that scenes are drawn from: Ember's first ones; its others only fill the latent's shape."""
HUE_RATE, PHASE_RATE = 0.02, 0.4
"""Turns of a scene's hue and phase per unit of the noise trajectory, which is about one second of normal motion."""


@dataclass
class SceneParameters:
    """Global parameters of a batch of images of one family, each float [batch, 1, 1, 1].

    intensity in [0, 1]; centre_x, centre_y in [-1, 1] (right, down); phase, turn: angles in radians, 2 pi for a full
    range of the scalar.
    """

    intensity: torch.Tensor
    centre_x: torch.Tensor
    centre_y: torch.Tensor
    phase: torch.Tensor
    turn: torch.Tensor
    palette: Palette


@dataclass
class Light:
    """Linear light [batch, 3, h, w]. emit: the part that gets bloom; not included in `base`."""

    base: torch.Tensor
    emit: torch.Tensor


Scene = Callable[..., Light]


@dataclass(frozen=True)
class Family:
    """A scene family: its drawing function, its palette and its names.

    main: the palette whose dominant hue a colour word replaces. drift: degrees by which the hue scalar rotates the
    palettes to either side; 180 is the whole circle. phrases: its names in captions, the plainest first. held_out:
    names that are in no caption, to test whether the text encoder generalises to untrained words.
    """

    scene: Scene
    main: Stops
    drift: float
    phrases: tuple[str, ...]
    held_out: tuple[str, ...] = ()

    @property
    def dominant(self) -> float:
        """Hue in degrees that a colour word replaces."""
        return dominant_hue(self.main)

    def drifted(self, hue: torch.Tensor) -> torch.Tensor:
        """Rotation of the palettes in degrees, for the hue scalar [batch] in [0, 1)."""
        return 360 * hue if self.drift >= 180 else self.drift * torch.sin(2 * math.pi * hue)

    def turned(self, hue: torch.Tensor, colour: str | None) -> torch.Tensor:
        """As `drifted`. With a named colour, one of `HUES`, the palettes stay within 10 degrees of it."""
        if colour is None:
            return self.drifted(hue)
        return HUES[colour] - self.dominant + 10 * torch.sin(2 * math.pi * hue)

    def parameters(self, intensity: torch.Tensor, phase: torch.Tensor, turns: torch.Tensor) -> SceneParameters:
        """The parameters of a scene in the middle of the image. All arguments are float [batch]: intensity in [0, 1],
        phase in turns, turns: rotation of the palettes in degrees."""
        intensity, phase = intensity.view(-1, 1, 1, 1), phase.view(-1, 1, 1, 1)
        still = torch.zeros_like(intensity)
        return SceneParameters(intensity, still, still, 2 * math.pi * phase, still, Palette(turns))
