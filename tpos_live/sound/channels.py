"""Which channels of an input are heard, and how they become stereo and mono."""

from __future__ import annotations

import numpy as np

from tpos_live.sound.source import SoundError


def pick(available: int, channels: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    """0-based channels to hear of a source with `available` ones.

    channels: the person's choice, counted from 1; None takes the first two. (Not all: the empty inputs
    of an eight-channel interface would only make the one with the microphone quieter, and PulseAudio
    offers 32 channels for every device.) Raises SoundError for a choice that the source does not have.
    """
    if channels is None:
        return tuple(range(min(available, 2)))
    for channel in channels:
        if not 1 <= channel <= available:
            raise SoundError(f'"{name}" has channels 1 to {available}, not {channel}; mend --channels')
    if not channels:
        raise SoundError(f'no channel of "{name}" is chosen; name at least one, as in --channels 1,2')
    return tuple(channel - 1 for channel in channels)


def to_stereo(block: np.ndarray, picked: tuple[int, ...]) -> np.ndarray:
    """float32 [n, 2] from [n, c]: two picked channels become left and right, any other number is averaged."""
    chosen = block[:, picked]
    if chosen.shape[1] != 2:
        chosen = np.repeat(chosen.mean(axis=1, keepdims=True, dtype=np.float32), 2, axis=1)
    return np.ascontiguousarray(chosen, np.float32)


def to_mono(stereo: np.ndarray) -> np.ndarray:
    """float32 [n], the average of both sides of [n, 2]."""
    mono: np.ndarray = stereo.mean(axis=1, dtype=np.float32)
    return mono
