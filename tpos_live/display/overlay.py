"""What an output adds to the composed frames: the test card, or the logo."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tpos_live.core.parameter_store import Snapshot
from tpos_live.display.logo import Logo, LogoPlace
from tpos_live.display.patch import Patch
from tpos_live.display.test_card import make_test_card


class Overlay:
    """For one output. Nothing in blackout, which is black at once; the master fader does not dim it.

    Thread contract: one thread draws.
    """

    def __init__(
        self, name: str, snapshot: Callable[[], Snapshot], logo: Logo | None = None, *, card: bool = True
    ) -> None:
        """name: on the test card. card: whether this output shows it."""
        self._name, self._snapshot, self._logo, self._card = name, snapshot, logo, card
        self._made: tuple[LogoPlace, tuple[int, int]] | None = None
        self._patch: Patch | None = None

    def patch(self, size: tuple[int, int]) -> Patch | None:
        """What is drawn over a frame of (width, height), None for nothing; the same object while it stays the same."""
        snapshot = self._snapshot()
        if snapshot["out.blackout"]:
            return None
        if self._card and snapshot["out.testcard"]:
            return make_test_card(size, self._name)
        if self._logo is None:
            return None
        wanted = LogoPlace.of(snapshot), size
        if wanted != self._made:
            self._made, self._patch = wanted, self._logo.patch(*wanted)
        return self._patch

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """A frame, uint8 [height, width, 3], with what is drawn over it; not modified."""
        patch = self.patch((pixels.shape[1], pixels.shape[0]))
        return pixels if patch is None else patch.over(pixels)


def no_overlay(pixels: np.ndarray) -> np.ndarray:
    """In place of an Overlay."""
    return pixels
