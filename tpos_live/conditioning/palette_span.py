"""Which part of an engine's palette suits what is shown.

Ember's palette scalar turns all hues of an image to one side and back, by as much as its training has drawn of that
family. At one end an aurora is olive and a fire the colour of skin, and a plasma globe at the other is beige: there the
scalar stays within a part of its way. `tpos_live/scenes` has the angles (`Family.drift`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

Span = tuple[float, float]
"""The lowest and highest part of the turn, -1 to 1."""
WHOLE: Span = (-1.0, 1.0)
SPANS: Mapping[str, Span] = MappingProxyType(
    {"aurora": (-0.1, 1.0), "fire": (-0.3, 1.0), "lava": (-0.2, 1.0), "plasma": (-1.0, 0.2)}
)
"""By family; WHOLE for others."""


class PaletteSpan:
    """The span of what is shown. Any thread may call it."""

    def __init__(
        self,
        phrases: Mapping[str, Sequence[str]] | None = None,
        families: Callable[[], Sequence[str]] = tuple,
        colours: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """phrases: of the families that the engine offers; None where it does not say. families, colours: those that it
        draws of the prompt that is shown."""
        self._known, self._families, self._colours = phrases is not None, families, colours
        self._family = {text: name for name, texts in (phrases or {}).items() for text in texts}

    def __call__(self, scene: str) -> Span | None:
        """The span of the prompt, or without one that of a scene, one of `phrases`; None where the engine's families
        are not known. A colour that the prompt names keeps its hue anyway."""
        if not self._known:
            return None
        name, *_ = (*self._families(), self._family.get(scene, ""))
        return WHOLE if self._colours() else SPANS.get(name, WHOLE)
