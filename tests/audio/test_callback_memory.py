"""The audio callback copies and returns: its allocations do not depend on the block, and all are freed."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from tpos_live.audio.capture import RING_SECONDS, Capture

BLOCKS, GROUPS = 2000, 20
VIEWS = 1500
"""Bytes for the views of the ring, its counters and the stamp, which are freed at once; a copy of 240 stereo samples
would take 1,920 more."""


@pytest.mark.parametrize("samples", [240, 4800, round(RING_SECONDS * 48_000) + 1])
def test_a_block_is_delivered_without_a_copy_of_it(samples: int) -> None:
    capture = Capture("mic", "mic", 48_000.0, (0, 1), 0.0)
    block = np.zeros((samples, 2), np.float32)
    for k in range(100):
        capture.deliver(block, float(k), overflow=False)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        capture.deliver(block, 0.0, overflow=False)
        before, peaks = tracemalloc.get_traced_memory()[0], []
        for group in range(GROUPS):
            begin = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            for k in range(BLOCKS // GROUPS):
                capture.deliver(block, float(group), overflow=k % 7 == 0)
            peaks.append(tracemalloc.get_traced_memory()[1] - begin)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    # Other threads of the process allocate as well, but not during every group of blocks.
    assert min(peaks) < VIEWS, "the views and numbers of one block"
    # Whatever stays of a block is an object of 16 bytes or more.
    assert after - before < BLOCKS, "nothing of a block stays"
