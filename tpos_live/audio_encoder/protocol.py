"""The place of the TPoS encoder: sound in at any block size, meaning out 20 to 50 times a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class AudioEmbedding:
    """What the last seconds of sound mean.

    time: seconds of sound heard when it was made. vector: float32 [dim], unit length (or all zero for
    silence), in the encoder's space. density: how strong, 0 to 1, independent of the vector.
    """

    time: float
    vector: np.ndarray
    density: float


class AudioEncoder(Protocol):
    """A causal, streaming encoder. Feeding the same samples in other blocks gives the same meanings.

    name: shown in the status; dim: length of the vector; period: seconds between two meanings.
    """

    name: str
    dim: int
    period: float

    def reset(self) -> None:
        """Forget all that was heard."""
        ...

    def push(self, mono: np.ndarray) -> list[AudioEmbedding]:
        """Hear float32 [n] at 48 kHz, any n; the meanings that became ready, oldest first."""
        ...
