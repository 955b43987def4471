"""Reports in one line that an engine fails at its first frame.

Libraries use most values of an engine's configuration only when a frame is drawn, and a test frame would delay every
start by one second. A later frame that fails has another cause, so its error stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from tpos_live.core.errors import CannotDrawError, EngineError, first_line
from tpos_live.diffusion.model.engine import Engine

Draw = TypeVar("Draw", bound=Callable[..., Any])


def first_frame_told(draw: Draw) -> Draw:
    """Decorates a method of FrameGenerator: at its first frame, any error of a library becomes a CannotDrawError."""

    @wraps(draw)
    def wrapper(generator: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return draw(generator, *arguments, **options)
        except EngineError:
            raise
        except Exception as error:
            if generator.index:
                raise
            raise cannot_draw(generator.engine, error) from error

    return wrapper  # type: ignore[return-value]


def cannot_draw(engine: Engine, error: Exception) -> CannotDrawError:
    """The error to raise for an error of the first frame."""
    why = f"{engine.folder}: cannot draw ({type(error).__name__}: {first_line(error)})"
    return CannotDrawError(f"{why}; fetch or install the engine again, or use --engine ember")
