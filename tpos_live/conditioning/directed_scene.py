"""The scene that shows the sound: the sound's own or the one that the director has chosen, with fades between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.conditioning.prompt_bank import Part
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.direction import Direction
from tpos_live.core.envelope import fade_weight, part_done
from tpos_live.core.shown import VISIBLE

OWN = ""
"""In place of a text: the scene that the sound itself leads to."""
SECOND = 0.38
"""Area of the image that a second scene takes; its weight is `fade_weight` of that."""


@dataclass
class _Fade:
    """A fade between texts. start, goal: areas by text at `began` and at the end, each with a sum of 1. began: seconds
    of the session's clock. seconds: duration."""

    start: dict[str, float]
    goal: dict[str, float]
    began: float
    seconds: float


class DirectedScene:
    """Follows the director's scene. Belongs to the render thread; never waits.

    A new scene comes when its text is encoded; until then the old one stays.
    """

    def __init__(self, texts: TextCache) -> None:
        """texts: encodes the scenes. Not to be shared, because `want` replaces the list of wanted texts."""
        self._texts = texts
        self._fade = _Fade({OWN: 1.0}, {OWN: 1.0}, 0.0, 0.0)
        self._areas = {OWN: 1.0}
        self._weights = {OWN: 1.0}

    def follow(self, direction: Direction, now: float) -> None:
        """Take the newest direction at `now`, seconds of the session's clock."""
        goal = {direction.scene: 1.0}
        if direction.second:
            goal = {direction.scene: 1.0 - SECOND, direction.second: SECOND}
        texts = [text for text in goal if text != OWN]
        if texts:
            self._texts.want(texts)
        if goal != self._fade.goal and all(self._texts.get(text) is not None for text in texts):
            self._fade = _Fade(self._start(goal), goal, now, direction.fade)
        fade = self._fade
        part = part_done(fade.began, fade.seconds, now)
        areas = {name: area * (1.0 - part) for name, area in fade.start.items()}
        for name, area in fade.goal.items():
            areas[name] = areas.get(name, 0.0) + area * part
        self._areas = {name: area for name, area in areas.items() if fade_weight(area) > VISIBLE}
        weights = {name: fade_weight(area) for name, area in self._areas.items()}
        self._weights = {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def _start(self, goal: Mapping[str, float]) -> dict[str, float]:
        """The areas now, without the weakest where a change during a fade would leave too many scenes. The order stays
        (see `fold`)."""
        most = MAX_REGIONS - sum(text not in self._areas for text in goal)
        strongest = sorted(self._areas, key=lambda text: (text in goal, self._areas[text]))[-most:]
        kept = {text: area for text, area in self._areas.items() if text in strongest}
        total = sum(kept.values())
        return {text: area / total for text, area in kept.items()}

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
