"""Which of an engine's scenes suit beside a prompt: those that show more there than a shadow.

Ember draws two prompts in one pass, and the second one in a part of the image that its noise chooses. A scene that is
darker there than the prompt's own image is a grey shadow on it. Which scenes are follows from the families of both:
`benchmarks/beside.py` measures every pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

SUITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aurora": ("mountains", "nebula", "city_at_night", "tunnel"),
        "city_at_night": ("aurora", "mountains", "nebula", "sunset", "tunnel", "fire", "lava"),
        "eclipse": ("aurora", "mountains", "nebula", "city_at_night", "fire", "lava"),
        "fire": ("aurora", "ocean", "tunnel"),
        "galaxy": ("aurora", "mountains", "nebula", "sunset"),
        "lava": ("ocean", "sunset", "tunnel", "fire"),
        "mountains": ("aurora", "nebula", "sunset", "tunnel", "fire"),
        "nebula": ("mountains", "tunnel", "fire"),
        "neon_grid": ("aurora", "mountains", "sunset", "city_at_night", "tunnel", "fire", "lava"),
        "ocean": ("nebula", "tunnel", "fire"),
        "plasma": ("aurora", "mountains", "sunset", "city_at_night", "tunnel", "fire", "lava"),
        "storm": ("aurora", "mountains", "sunset", "city_at_night", "tunnel", "fire", "lava"),
        "sunset": ("aurora", "mountains", "nebula", "city_at_night", "tunnel", "fire", "lava"),
        "tunnel": ("aurora", "mountains", "fire"),
        "underwater": ("aurora", "mountains", "nebula", "city_at_night", "tunnel", "fire", "lava"),
    }
)
"""By the family of the prompt: families of the scenes that suit beside it, at least six scenes of the director's. The
sea is left out where others suit: it lightens dark images, but as a column of grey. Fire takes an aurora's colours."""
CLEARER: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(("aurora", "city_at_night", "fire", "lava", "mountains", "ocean", "sunset", "tunnel"), 1.4)
)
"""By the family of the prompt: factor on the states of the scene beside it, 1 for others. The second of two scenes is
pale, a mean of what it could be, and dark in a bright image; with the factor it has the shapes and the light of a
scene. Beside dark prompts it is seen without, and with it a galaxy or an eclipse would be lost."""

SMALLER: Mapping[str, float] = MappingProxyType({"fire": 0.75, "lava": 0.75})
"""By the family of the prompt: factor on the area of a scene beside it. These images are brighter than what comes
beside them: it takes 0.07 to 0.35 stops of light from them, and with the factor half of that."""
FEWEST = 3
"""Families of scenes that shall suit beside a prompt of several families; else those count that suit its nearest."""


class BesidePrompt:
    """The scenes that suit beside the prompt that is shown, and how clear they are. Any thread may call it."""

    def __init__(
        self, phrases: Mapping[str, Sequence[str]] | None = None,
        families: Callable[[], Sequence[str]] = tuple, in_one_pass: bool = False,
    ) -> None:  # fmt: skip
        """phrases: of the families that the engine offers; None where it does not say. families: those that it draws
        of the prompt that is shown, nearest first. in_one_pass: it draws prompt and scene in one pass."""
        self._phrases, self._families, self._in_one_pass = phrases, families, in_one_pass
        self._texts = lru_cache(maxsize=64)(self._texts_beside)

    def __call__(self) -> frozenset[str] | None:
        """Phrases of the scenes that suit; None where the engine does not say what it draws of the prompt."""
        return self._texts(tuple(self._families()))

    def clearer(self) -> float:
        """Factor on the states of a scene beside the prompt."""
        families = self._families() if self._in_one_pass else ()
        return CLEARER.get(families[0], 1.0) if families else 1.0

    def smaller(self) -> float:
        """Factor on the area of a scene beside the prompt."""
        families = self._families() if self._in_one_pass else ()
        return SMALLER.get(families[0], 1.0) if families else 1.0

    def _texts_beside(self, families: tuple[str, ...]) -> frozenset[str] | None:
        known = [frozenset(SUITS[family]) for family in families if family in SUITS]
        if self._phrases is None or not known:
            return None
        common = frozenset.intersection(*known)
        suits = common if len(common) >= FEWEST else known[0]
        # A family that was not measured, of an engine with more of them, suits.
        return frozenset(
            text for family, texts in self._phrases.items() for text in texts if family in suits or family not in SUITS
        )
