"""`benchmarks/real_beats.py`: the kinds of wrong beats, from beats whose error is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
real_beats = pytest.importorskip("real_beats")

TRUE = 0.5 * np.arange(40)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (TRUE, (1.0, 0.0, 0.0, 0.0)),
        (TRUE + 0.06, (1.0, 0.0, 0.0, 0.0)),
        (TRUE[:-1] + 0.25, (0.0, 1.0, 0.0, 0.0)),
        (TRUE + 0.125, (0.0, 0.0, 1.0, 0.0)),
        (0.375 * np.arange(40), (0.25, 0.0, 0.0, 0.75)),  # 4/3 of the tempo: every fourth beat is right
        (np.append(TRUE[:20], TRUE[20:-1] + 0.25), (20 / 39, 18 / 39, 0.0, 1 / 39)),  # one interval is too long
        (TRUE[:1], (1.0, 0.0, 0.0, 0.0)),
        (TRUE[:0], (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_wrong_beats_are_told_apart_by_kind(found: np.ndarray, expected: tuple[float, ...]) -> None:
    assert real_beats.by_kind(found, TRUE) == pytest.approx(expected)
