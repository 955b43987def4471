"""Chooses the next scene: it suits the kind of music and its energy, and was not shown for minutes."""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from tpos_live.director.scene_table import KINDS, OPENING, SCENES, TYPICAL, Scene

REST_SECONDS = 300.0
"""Seconds before a scene is shown again, if there are enough others."""
LIGHT = 0.5
"""Weight of the brightness relative to the energy in the cost of a scene."""
CHANCE = 0.35
"""Largest random cost."""
OTHER = 0.6
"""Cost of a scene that is not typical of the kind of music: it is shown after the typical ones, or at an energy that
suits none of them. A scene of another kind of music costs twice as much."""
APART = 0.6
"""Cost of a scene that does not suit beside the scene that is shown: it cannot come to an edge of the image first."""
FEWEST = 6
"""If fewer scenes of the kind of music suit the prompt, scenes of other kinds are used too, so that a set has
variety."""


@dataclass
class SceneChoice:
    """Chooses scenes, and remembers when each was shown. The same seed and the same music give the same scenes."""

    _shown: dict[str, float] = field(default_factory=dict)
    """Time at which each scene, and each kin, was shown last."""
    count: int = 0
    """Choices so far."""

    def resume(self, count: int, scene: str, now: float) -> None:
        """Continue after `count` choices, while `scene` is shown. now: seconds."""
        self.count = count
        for each in SCENES:
            if each.text == scene:
                self._shown[each.text] = self._shown[each.kin] = now

    def take(self, text: str, now: float) -> None:
        """A scene is shown from `now` on."""
        self.count += 1
        kin = next((scene.kin for scene in SCENES if scene.text == text), text)
        self._shown[text] = self._shown[kin] = now

    def pick(
        self, kind: str, energy: float, light: float, now: float, seed: int, offered: Container[str] | None,
        suits: Callable[[str], bool] | None = None, beside: Container[str] | None = None,
    ) -> str:  # fmt: skip
        """The next scene's text; "" if the engine offers none. kind: label of the sound, one of KINDS. energy, light:
        of the music, 0 to 1. now: seconds. offered: texts that the engine can draw, None for all. suits: whether a text
        may be shown beside the prompt, None without a prompt. beside: texts that suit beside the scene that is shown,
        None where that does not matter."""
        kins = KINDS[kind]
        scenes = [scene for scene in SCENES if offered is None or scene.text in offered]
        if suits is not None:
            scenes = [scene for scene in scenes if suits(scene.text)]
        own = [scene for scene in scenes if scene.kin in kins]
        if suits is None or len(own) >= FEWEST:
            scenes = own
        if not scenes:
            return ""
        if not self.count and suits is None:
            self._shown[OPENING] = now
        rng = random.Random(f"{seed} scene {self.count}")
        chance = {scene: CHANCE * rng.random() for scene in scenes}
        typical = TYPICAL.get(kind, kins)

        def cost(scene: Scene) -> tuple[bool, float, float]:
            """Compared in this order: whether it was shown recently, how recently it or its kin was, and how well it
            suits. A kin counts for half of the time."""
            own, kin = self._recent(scene.text, now, REST_SECONDS), self._recent(scene.kin, now, REST_SECONDS / 2)
            mismatch = abs(scene.energy - energy) + LIGHT * abs(scene.light - light)
            untypical = (scene.kin not in typical) + (scene.kin not in kins)
            apart = APART * (beside is not None and scene.text not in beside)
            return own > 0, max(own, kin), mismatch + chance[scene] + OTHER * untypical + apart

        return min(scenes, key=cost).text

    def _recent(self, name: str, now: float, rest: float) -> float:
        """1 for a name shown just now, falling to 0 after `rest` seconds, in steps of 0.2: after small differences,
        energy and light decide."""
        at = self._shown.get(name)
        left = 0.0 if at is None else max(1.0 - (now - at) / rest, 0.0)
        return -(-left * 5 // 1) / 5


@dataclass(frozen=True)
class Abilities:
    """What an engine can draw, as far as the director's decisions depend on it. Any thread may call the functions."""

    offered: Container[str] | None = None
    """Texts of the scenes that the engine draws, None for all."""
    suited: Callable[[], Container[str] | None] = lambda: None
    """Returns the texts of the scenes that suit beside the current prompt, None if that is unknown
    (`conditioning/beside.py`)."""
    beside: Callable[[str], Container[str]] = lambda text: ()
    """Returns the texts of the scenes that suit beside the scene `text`; none where two scenes in one image cost time.
    """
    turns: Callable[[], bool] = lambda: False
    """Returns whether the colours of the image may turn: the engine has a palette, and the prompt names no colour."""


UNKNOWN = Abilities()
"""Of an engine of which nothing is known."""
