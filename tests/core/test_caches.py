"""Caches of a show have a limit: a value that the sound or a fader moves must not fill memory for hours.

`tests/test_style.py` looks at every cache; here are two that were filled.
"""

from __future__ import annotations

import sys

import numpy as np

from tpos_live.core.envelope import share
from tpos_live.features.tempo import FASTEST, LIMIT, SLOWEST, STEP, tempo_grid


def test_durations_of_frames_are_not_cached() -> None:
    """Durations of frames never repeat, and prompt weights use them for hours."""
    for n in range(1000):
        share(0.4, 0.07 + n * 1e-6)
    before = sys.getallocatedblocks()
    for n in range(5000):
        share(0.4, 0.08 + n * 1e-6)
    assert sys.getallocatedblocks() - before < 2000  # three for each time that is kept


def test_each_limit_of_the_tempo_uses_the_same_grid() -> None:
    whole = tempo_grid(LIMIT)
    for fastest in np.linspace(FASTEST, LIMIT, 500):
        grid = tempo_grid(float(fastest))
        assert np.shares_memory(grid, whole)
        assert SLOWEST * STEP ** (grid.size - 1) <= fastest < SLOWEST * STEP**grid.size
