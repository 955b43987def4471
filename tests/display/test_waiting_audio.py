"""Audio that waits for a disk that does not answer."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.display.audio_track import SOUND_SECONDS, WaitingAudio

RATE, BLOCK = 48_000, 240


def stalled(seconds: int) -> tuple[WaitingAudio, int]:
    """`seconds` of audio that nobody took, and its number of samples. The device was interrupted in the middle."""
    waiting, count = WaitingAudio(RATE), seconds * RATE // BLOCK
    block = np.ones((BLOCK, 2), np.float32)
    for n in range(1, count + 1):
        waiting.add(block, 100.0 + n * BLOCK / RATE + (5.0 if n > count // 2 else 0.0))
    return waiting, count * BLOCK


@pytest.mark.parametrize("seconds", [30, 90, 600])
def test_nothing_is_missing_and_each_time_is_right(seconds: int) -> None:
    waiting, samples = stalled(seconds)
    assert waiting.seconds == pytest.approx(seconds + 5.0 - BLOCK / RATE, abs=1.0) and waiting.newest == 105.0 + seconds
    assert waiting.samples == min(samples, SOUND_SECONDS * RATE) and waiting.lost == samples - waiting.samples
    taken, heard, off = 0, 0, 0.0
    while waiting:
        stereo, at = waiting.take()
        taken, heard = taken + len(stereo), heard + int(stereo[:, 0].sum())
        off = max(off, abs(at - 100.0 - taken / RATE - (5.0 if 2 * taken > samples else 0.0)))
    assert (taken, heard, waiting.samples) == (samples, min(samples, int(SOUND_SECONDS) * RATE), 0) and off < 1e-3
    assert not waiting and waiting.seconds == waiting.newest == 0.0


def test_a_disk_that_stalls_for_long_takes_neither_memory_nor_time() -> None:
    waiting, _ = stalled(1200)
    assert len(waiting._silence) < 1200 and len(waiting._blocks) == SOUND_SECONDS * RATE / BLOCK
    assert all(count <= RATE for _, count in waiting._silence), "and is written in pieces"
