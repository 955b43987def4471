"""What to do when the engine fails in the middle of a show: which step down keeps a picture on the wall.

The order is that of least loss: hold the picture and try again, draw smaller, draw without the accelerator, and at
last let the engine in the box take over on the CPU, which needs nothing that can have been lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tpos_live.conditioning.builder import ConditioningBuilder
    from tpos_live.diffusion.generator import Painter

PATIENCE = 8
"""Failures in a row, a quarter of a second apart, before one of no known kind leads a step down."""
SMALLER = 0.75
"""What is left of each side when memory is short."""
LEAST_SIDE = 256
"""Pixels under which no side is made smaller."""
_LOST = ("cuda error", "cudnn error", "cublas", "device-side", "device lost", "nvml", "no cuda gpus", "mps backend")


class FailureKind(Enum):
    """Kinds of failure. MEMORY: out of it. LOST: the card or its driver is gone. OTHER: anything else."""

    MEMORY = "memory"
    LOST = "lost"
    OTHER = "other"


class Fallback(Enum):
    """What is done about it."""

    HOLD = "hold"
    SMALLER = "smaller"
    EAGER = "eager"
    BUILT_IN = "built-in"


@dataclass(frozen=True)
class FailoverResult:
    """What the render thread draws with from now on, and the line that says why."""

    painter: Painter
    builder: ConditioningBuilder
    line: str


def classify_failure(error: BaseException) -> FailureKind:
    """The kind of a failure. Types and texts are those of torch, CUDA and TensorRT."""
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "outofmemory" in text:
        return FailureKind.MEMORY
    if type(error).__name__ == "AcceleratorError" or any(word in text for word in _LOST):
        return FailureKind.LOST
    return FailureKind.OTHER


def choose_fallback(kind: FailureKind, failures: int, smaller: bool, accelerator: str, built_in: bool) -> Fallback:
    """The next step. failures: how many in a row, from 1. smaller: whether the size can still shrink.

    accelerator: what draws now. built_in: whether the engine in the box draws already, on the CPU.
    """
    if kind is FailureKind.LOST and not built_in:
        return Fallback.BUILT_IN
    if kind is FailureKind.MEMORY and smaller:
        return Fallback.SMALLER
    if kind is not FailureKind.MEMORY and failures < PATIENCE:
        return Fallback.HOLD
    if accelerator != "eager":
        return Fallback.EAGER
    return Fallback.HOLD if built_in else Fallback.BUILT_IN


def smaller_size(size: tuple[int, int], step: int) -> tuple[int, int] | None:
    """The next smaller (width, height), sides multiples of `step`; None where it would be too small to show."""
    width, height = (max(int(side * SMALLER) // step * step, step) for side in size)
    return (width, height) if min(width, height) >= min(LEAST_SIDE, *size) and (width, height) != size else None


def release() -> None:
    """Give back what the card's allocator keeps for nothing; a card that is gone has nothing to give."""
    import gc

    import torch

    gc.collect()
    try:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    except RuntimeError:
        return
