"""Which part of the palette scalar's range suits the current scene.

Ember's palette scalar rotates all hues of an image to one side and back, by at most the angle of the family in training
(`Family.drift` in `tpos_live/scenes`). At one end of the range an aurora is olive and a fire has the colour of skin; at
the other end a plasma globe is beige. For these families the scalar stays in a part of its range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

Span = tuple[float, float]
"""Lowest and highest rotation, as parts of the family's angle, -1 to 1."""
WHOLE: Span = (-1.0, 1.0)
SPANS: Mapping[str, Span] = MappingProxyType(
    {"aurora": (-0.1, 1.0), "fire": (-0.3, 1.0), "lava": (-0.2, 1.0), "plasma": (-1.0, 0.2)}
)
"""By family; WHOLE for other families."""


class PaletteSpan:
    """The span of the current prompt or scene. Any thread may call it."""

    def __init__(
        self,
        phrases: Mapping[str, Sequence[str]] | None = None,
        families: Callable[[], Sequence[str]] = tuple,
        colours: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """phrases: by family, the scenes that the engine offers; None where it lists none. families, colours: give what
        the engine draws for the current prompt."""
        self._known, self._families, self._colours = phrases is not None, families, colours
        self._family = {text: name for name, texts in (phrases or {}).items() for text in texts}

    def __call__(self, scene: str) -> Span | None:
        """The span of the prompt, or without a prompt that of `scene`, one of the phrases; None where the engine lists
        no families. WHOLE where the prompt names a colour: the engine keeps its hue by itself."""
        if not self._known:
            return None
        name, *_ = (*self._families(), self._family.get(scene, ""))
        return WHOLE if self._colours() else SPANS.get(name, WHOLE)
