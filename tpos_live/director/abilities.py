"""What an engine can draw, as far as the director's decisions depend on it."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Abilities:
    """Any thread may call the functions."""

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
