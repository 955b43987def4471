"""The interface of an audio encoder: audio of any block size in, 20 to 50 embeddings per second out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class AudioEmbedding:
    """Embedding of the last seconds of audio.

    time: seconds of audio processed. vector: float32 [dim], unit length (all zero for silence), in the encoder's space.
    density: how strongly the sound is present, 0 to 1, independent of the vector.
    """

    time: float
    vector: np.ndarray
    density: float


class AudioEncoder(Protocol):
    """A causal, streaming encoder. The same samples in other blocks give the same embeddings.

    name: shown in the status. dim: length of the vector. period: seconds between two embeddings.
    """

    name: str
    dim: int
    period: float

    def reset(self) -> None:
        """Return to the initial state."""
        ...

    def push(self, mono: np.ndarray) -> list[AudioEmbedding]:
        """Take float32 [n] at 48 kHz, any n; returns the embeddings that became ready, oldest first."""
        ...
