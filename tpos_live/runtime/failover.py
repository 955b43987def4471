"""Failover: what to do when the engine fails during a live session.

Fallbacks in order of loss: hold the frame and retry, use a smaller size, run without the backend, and finally run the
built-in engine on the CPU, which does not depend on the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from tpos_live.core.errors import CannotDrawError, EngineHungError
from tpos_live.core.garbage import free_all

if TYPE_CHECKING:
    from tpos_live.conditioning.builder import ConditioningBuilder
    from tpos_live.diffusion.generator import FrameGenerator

RETRIES = 8
"""Failures of an unknown kind in a row, a quarter of a second apart, before the next fallback is used."""
SMALLER = 0.75
"""Factor for each side when memory is short."""
LEAST_SIDE = 256
"""Pixels below which no side is reduced."""
_FULL = ("out of memory", "outofmemory", "can't allocate memory", "cannot allocate memory")
_LOST = ("cuda error", "cudnn error", "cublas", "device-side", "device lost", "nvml", "no cuda gpus", "mps backend")


class FailureKind(Enum):
    """MEMORY: out of memory. LOST: the card or its driver is gone. HUNG: a call that does not return. OTHER: anything
    else."""

    MEMORY = "memory"
    LOST = "lost"
    HUNG = "hung"
    OTHER = "other"


class Fallback(Enum):
    """The steps, in order of loss."""

    HOLD = "hold"
    SMALLER = "smaller"
    EAGER = "eager"
    BUILT_IN = "built-in"


@dataclass(frozen=True)
class FailoverResult:
    """What the render thread uses from now on, and the log line with the reason."""

    generator: FrameGenerator
    builder: ConditioningBuilder
    line: str


def classify_failure(error: BaseException) -> FailureKind:
    """The kind of a failure, by the types and messages of torch, CUDA and TensorRT."""
    if isinstance(error, EngineHungError):
        return FailureKind.HUNG
    if isinstance(error, CannotDrawError) and error.__cause__ is not None:
        error = error.__cause__
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or any(word in text for word in _FULL):
        return FailureKind.MEMORY
    if type(error).__name__ == "AcceleratorError" or any(word in text for word in _LOST):
        return FailureKind.LOST
    return FailureKind.OTHER


def choose_fallback(
    kind: FailureKind, failures: int, smaller: bool, backend: str, built_in: bool, on_card: bool = False
) -> Fallback:
    """The next step. failures: how many in a row, from 1. smaller: whether the size can still shrink.

    backend: the backend in use. built_in: whether the built-in engine already runs on the CPU. on_card: whether a card
    draws; one that hangs is not asked for anything again.
    """
    if kind is FailureKind.LOST and not built_in:
        return Fallback.BUILT_IN
    if kind is FailureKind.HUNG and (on_card or backend == "eager"):
        return Fallback.HOLD if built_in else Fallback.BUILT_IN
    if kind is FailureKind.MEMORY and smaller:
        return Fallback.SMALLER
    if kind not in (FailureKind.MEMORY, FailureKind.HUNG) and failures < RETRIES:
        return Fallback.HOLD
    if backend != "eager":
        return Fallback.EAGER
    return Fallback.HOLD if built_in else Fallback.BUILT_IN


def smaller_size(size: tuple[int, int], step: int) -> tuple[int, int] | None:
    """The next smaller (width, height), sides multiples of `step`; None below the minimum."""
    width, height = (max(int(side * SMALLER) // step * step, step) for side in size)
    return (width, height) if min(width, height) >= min(LEAST_SIDE, *size) and (width, height) != size else None


def release() -> None:
    """Return the cached memory of the card's allocator; does nothing on a card that is gone."""
    import torch

    free_all()
    try:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    except RuntimeError:
        return
