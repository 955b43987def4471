"""Which of an engine's scenes are visible beside a prompt, as more than a dark patch in its image.

Ember draws two prompts in one pass; the noise decides which part of the image shows the second one. Where that scene is
darker than the prompt's own image, it looks like a grey shadow. Which pairs do so depends on the two families:
`benchmarks/beside.py` measures every pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

SUITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "aurora": ("mountains", "nebula", "city_at_night", "tunnel"),
        "city_at_night": ("aurora", "mountains", "nebula", "sunset", "tunnel", "fire"),
        "eclipse": ("aurora", "mountains", "nebula", "city_at_night", "fire"),
        "fire": ("aurora", "ocean", "tunnel"),
        "galaxy": ("aurora", "mountains", "nebula", "sunset"),
        "lava": ("ocean", "sunset", "tunnel", "fire"),
        "mountains": ("aurora", "nebula", "sunset", "tunnel", "fire"),
        "nebula": ("mountains", "tunnel", "fire"),
        "neon_grid": ("aurora", "mountains", "sunset", "city_at_night", "tunnel", "fire"),
        "ocean": ("nebula", "tunnel", "fire"),
        "plasma": ("aurora", "mountains", "sunset", "city_at_night", "fire"),
        "storm": ("aurora", "mountains", "sunset", "city_at_night", "tunnel", "fire"),
        "sunset": ("aurora", "mountains", "nebula", "city_at_night", "tunnel", "fire"),
        "tunnel": ("aurora", "mountains", "fire"),
        "underwater": ("aurora", "mountains", "nebula", "city_at_night", "fire"),
    }
)
"""For each family of a prompt: the families of scenes that suit beside it, with at least six of the director's scenes.
The ocean is left out where enough others suit: it lightens dark images, but looks like a grey column. Lava is left out,
because at an edge of the frame it is a brown patch without its rivers. Fire takes on the colours of an aurora. Beside
underwater and plasma a tunnel is grey smoke, and with the factor of CLEARER it takes their place."""
CLEARER: Mapping[str, float] = MappingProxyType(
    dict.fromkeys(
        ("aurora", "city_at_night", "fire", "lava", "mountains", "ocean", "plasma", "sunset", "tunnel", "underwater"),
        1.4,
    )
)
"""For each family of a prompt: factor on the states of the scene beside it; 1 for other families. Without the factor,
the second of two scenes is pale, without clear shapes, and dark in a bright image. The other prompts get no factor: the
second scene is visible beside them anyway, and with the factor a galaxy or an eclipse would disappear."""

SMALLER: Mapping[str, float] = MappingProxyType({"fire": 0.75, "lava": 0.75})
"""For each family of a prompt: factor on the area of a scene beside it; 1 for other families. These images are brighter
than the scenes beside them, which take 0.07 to 0.35 stops of light from them, and with the factor half of that."""

FEWEST = 3
"""A prompt of several families uses the scenes that suit all of them, if these scenes have at least this many families;
otherwise it uses the scenes that suit its nearest family."""


class BesidePrompt:
    """The scenes that suit beside the current prompt, and the factor on their states. Any thread may call it."""

    def __init__(
        self, phrases: Mapping[str, Sequence[str]] | None = None,
        families: Callable[[], Sequence[str]] = tuple, in_one_pass: bool = False,
    ) -> None:  # fmt: skip
        """phrases: by family, the scenes that the engine offers; None where it lists none. families: gives the families
        that the engine draws for the current prompt, nearest first. in_one_pass: whether the engine draws prompt and
        scene in one pass."""
        self._phrases, self._families, self._in_one_pass = phrases, families, in_one_pass
        self._family = {text: name for name, texts in (phrases or {}).items() for text in texts}
        self._texts = lru_cache(maxsize=64)(self._texts_beside)

    def __call__(self) -> frozenset[str] | None:
        """Phrases of the scenes that suit; None where the prompt's families or the engine's are not known."""
        return self._texts(tuple(self._families()))

    def scene(self, text: str) -> frozenset[str]:
        """Phrases of the scenes that suit beside the scene `text`; none where its family is not known, or where a
        second scene costs a row of the UNet's batch."""
        family = self._family.get(text, "")
        return self._texts((family,)) or frozenset() if self._in_one_pass and family else frozenset()

    def clearer(self) -> float:
        """Factor on the states of a scene beside the prompt, at least 1."""
        return self._factor(CLEARER)

    def smaller(self) -> float:
        """Factor on the area of a scene beside the prompt."""
        return self._factor(SMALLER)

    def _factor(self, factors: Mapping[str, float]) -> float:
        """The factor for the nearest family of the prompt; 1 where it has none."""
        families = self._families() if self._in_one_pass else ()
        return factors.get(families[0], 1.0) if families else 1.0

    def _texts_beside(self, families: tuple[str, ...]) -> frozenset[str] | None:
        known = [frozenset(SUITS[family]) for family in families if family in SUITS]
        if self._phrases is None or not known:
            return None
        common = frozenset.intersection(*known)
        suits = common if len(common) >= FEWEST else known[0]
        # Families that were not measured (an engine may have more) count as suitable.
        return frozenset(
            text for family, texts in self._phrases.items() for text in texts if family in suits or family not in SUITS
        )
