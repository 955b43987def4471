"""Which scene comes next: one that suits the kind of music and its energy, and was not seen for minutes."""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from dataclasses import dataclass, field

from tpos_live.director.scene_table import KINDS, SCENES, TYPICAL, Scene

REST_SECONDS = 300.0
"""A scene does not come again within this time, where there are enough others."""
LIGHT = 0.5
"""Weight of the light against the energy."""
CHANCE = 0.35
"""Largest difference that chance makes."""
OTHER = 0.6
"""What a scene costs that is not typical of the kind of music: it comes when the typical ones have been shown, or at an
energy that none of them suits. One of another kind of music costs twice as much."""
FEWEST = 6
"""Scenes beside a prompt from which those of the kind of music are enough. Where fewer suit the prompt, scenes of other
kinds of music come too, so that a set does not repeat itself."""


@dataclass
class SceneChoice:
    """Remembers what was shown. The same seed and the same music give the same scenes."""

    _shown: dict[str, float] = field(default_factory=dict)
    """Time at which each scene, and each kin, was shown last."""
    count: int = 0
    """Choices so far."""

    def resume(self, count: int, scene: str, now: float) -> None:
        """Go on after so many choices, while this scene is shown."""
        self.count = count
        for each in SCENES:
            if each.text == scene:
                self._shown[each.text] = self._shown[each.kin] = now

    def next(
        self, kind: str, energy: float, light: float, now: float, seed: int, offered: Container[str] | None,
        suits: Callable[[str], bool] | None = None,
    ) -> str:  # fmt: skip
        """The next scene's text; "" where the engine offers none. kind: label of the sound, one of KINDS.
        now: seconds. offered: texts that the engine draws, None for all. suits: whether a text may be shown beside the
        prompt, None without one."""
        kins = KINDS[kind]
        scenes = [scene for scene in SCENES if offered is None or scene.text in offered]
        if suits is not None:
            scenes = [scene for scene in scenes if suits(scene.text)]
        own = [scene for scene in scenes if scene.kin in kins]
        if suits is None or len(own) >= FEWEST:
            scenes = own
        if not scenes:
            return ""
        rng = random.Random(f"{seed} scene {self.count}")
        self.count += 1
        chance = {scene: CHANCE * rng.random() for scene in scenes}
        typical = TYPICAL.get(kind, kins)

        def cost(scene: Scene) -> tuple[bool, float, float]:
            """Whether it rests counts first, then how long ago it and, for half as long, its kin were shown."""
            own, kin = self._recent(scene.text, now, REST_SECONDS), self._recent(scene.kin, now, REST_SECONDS / 2)
            apart = abs(scene.energy - energy) + LIGHT * abs(scene.light - light)
            strange = (scene.kin not in typical) + (scene.kin not in kins)
            return own > 0, max(own, kin), apart + chance[scene] + OTHER * strange

        chosen = min(scenes, key=cost)
        self._shown[chosen.text] = self._shown[chosen.kin] = now
        return chosen.text

    def _recent(self, name: str, now: float, rest: float) -> float:
        """0 for what has rested, up to 1 for what was shown just now, in steps: small differences leave the choice to
        energy and light."""
        at = self._shown.get(name)
        left = 0.0 if at is None else max(1.0 - (now - at) / rest, 0.0)
        return -(-left * 5 // 1) / 5
