"""Tells in one line that an engine fails at its first frame.

Libraries read most values of an engine's configuration only when a frame is drawn, and a trial frame would cost every
start a second. A later frame that fails has another cause, and keeps its error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from tpos_live.core.errors import CannotDrawError, EngineError, first_line
from tpos_live.diffusion.model.engine import Engine

Draw = TypeVar("Draw", bound=Callable[..., Any])


def first_frame_told(draw: Draw) -> Draw:
    """A FrameGenerator's method whose first call raises CannotDrawError where a library raises anything."""

    @wraps(draw)
    def told(generator: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return draw(generator, *arguments, **options)
        except EngineError:
            raise
        except Exception as error:
            if generator.index:
                raise
            raise cannot_draw(generator.engine, error) from error

    return told  # type: ignore[return-value]


def cannot_draw(engine: Engine, error: Exception) -> CannotDrawError:
    """What to raise from an error of the first frame."""
    why = f"{engine.folder}: cannot draw ({type(error).__name__}: {first_line(error)})"
    return CannotDrawError(f"{why}; fetch or install the engine again, or use --engine ember")
