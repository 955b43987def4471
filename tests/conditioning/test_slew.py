"""Meaning moves slowly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tpos_live.analysis.encoder import Meaning
from tpos_live.conditioning.slew import Slew

A, B = np.float32([1, 0, 0]), np.float32([0, 1, 0])


def follow(
    slew: Slew, vector: np.ndarray, magnitude: float, start: float, seconds: float, period: float = 0.04
) -> list[Meaning]:
    times = start + period * np.arange(1, round(seconds / period) + 1)
    return [slew.step(Meaning(float(t), vector, magnitude)) for t in times]


def test_fades_in_turns_and_fades_out_in_two_seconds() -> None:
    slew = Slew()
    found = follow(slew, A, 0.8, 0.0, 2.0)
    assert found[0].magnitude < 0.01 and found[-1].magnitude == pytest.approx(0.8, rel=0.06)
    found = follow(slew, B, 0.8, 2.0, 2.0)
    assert found[0].vector @ A > 0.95 and found[-1].vector @ B > 0.95
    assert all(np.linalg.norm(m.vector) == pytest.approx(1.0, abs=1e-5) for m in found)
    assert max(np.linalg.norm(a.vector - b.vector) for a, b in itertools.pairwise(found)) < 0.12
    assert follow(slew, np.zeros(3, np.float32), 0.0, 4.0, 6.0)[-1].magnitude < 1e-3


def test_does_not_depend_on_the_encoders_rate() -> None:
    ends = [follow(Slew(), A, 1.0, 0.0, 2.0, period)[-1].magnitude for period in (0.02, 0.05)]
    # The first meaning starts the clock, so a slower encoder starts a little later.
    assert ends[0] == pytest.approx(ends[1], abs=0.01)


def test_another_encoder_or_a_restart_begins_anew() -> None:
    slew = Slew()
    follow(slew, A, 1.0, 0.0, 3.0)
    assert slew.step(Meaning(3.1, np.ones(5, np.float32) / np.sqrt(np.float32(5)), 1.0)).magnitude == 0.0
    follow(slew, A, 1.0, 4.0, 3.0)
    assert slew.step(Meaning(0.04, B, 1.0)).magnitude == 0.0
