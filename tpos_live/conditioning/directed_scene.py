"""The scene that shows the sound: the sound's own or the one that the director has chosen, with fades between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tpos_live.conditioning.prompt_bank import Part
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.direction import Direction
from tpos_live.core.envelope import fade_weight, part_done
from tpos_live.core.shown import VISIBLE

OWN = ""
"""In place of a text: the scene that the sound itself leads to."""


@dataclass
class _Fade:
    """A fade from several weighted texts to one. start: weights by text at `began`, sum 1. began: seconds of the
    session's clock. seconds: duration."""

    start: dict[str, float]
    text: str
    began: float
    seconds: float


class DirectedScene:
    """Follows the director's scene. Belongs to the render thread; never waits.

    A new scene comes when its text is encoded; until then the old one stays.
    """

    def __init__(self, texts: TextCache) -> None:
        """texts: encodes the scenes. Not to be shared, because `want` replaces the list of wanted texts."""
        self._texts = texts
        self._fade = _Fade({OWN: 1.0}, OWN, 0.0, 0.0)
        self._weights = {OWN: 1.0}

    def follow(self, direction: Direction, now: float) -> None:
        """Take the newest direction at `now`, seconds of the session's clock."""
        text = direction.scene
        if text != OWN:
            self._texts.want([text])
        if text != self._fade.text and (text == OWN or self._texts.get(text) is not None):
            # A change during a fade may leave three scenes: the weakest is dropped. The order stays (see `fold`).
            strongest = sorted(self._weights, key=self._weights.__getitem__)[-2:]
            start = {name: weight for name, weight in self._weights.items() if name in strongest}
            total = sum(start.values())
            start = {name: weight / total for name, weight in start.items()}
            self._fade = _Fade(start, text, now, direction.fade)
        fade = self._fade
        part = fade_weight(part_done(fade.began, fade.seconds, now))
        weights = {name: weight * (1.0 - part) for name, weight in fade.start.items()}
        weights[fade.text] = weights.get(fade.text, 0.0) + part
        self._weights = {name: weight for name, weight in weights.items() if weight > VISIBLE}

    @property
    def directed(self) -> float:
        """Share of the director's scenes among the shown ones, 0 to 1."""
        return 1.0 - self._weights.get(OWN, 0.0)

    def texts(self, own: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
        """The texts of `parts` and their weights. own: texts and weights of the sound's own scene, sum 1."""
        found = [(name, weight) for name, weight in self._weights.items() if name != OWN]
        return found + [(text, weight * self._weights.get(OWN, 0.0)) for text, weight in own]

    def parts(self, own: torch.Tensor) -> list[Part]:
        """The scenes to show, with weights of sum 1. own: the states of the sound's own scene."""
        found: list[Part] = []
        for name, weight in self._weights.items():
            states = own if name == OWN else self._texts.get(name)
            found.append((own if states is None else states, weight))
        return found
