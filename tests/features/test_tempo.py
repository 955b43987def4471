"""TempoMemory: a fill changes nothing, and another tempo is accepted soon."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.features.tempo import (
    MEMORY_UPDATES,
    PATIENCE_UPDATES,
    Periodicity,
    TempoMemory,
    best_tempo,
    comb_scores,
    periodicity,
)


def clicks(bpm: float, hops: int = 1024) -> Periodicity:
    strength = np.zeros(hops)
    strength[np.arange(0, hops, 6000.0 / bpm).astype(int)] = 1.0
    strength = np.convolve(strength, (0.25, 0.5, 0.25), mode="same")
    found = periodicity(strength, strength, strength)
    assert found is not None
    return found


def tempo_of(found: Periodicity) -> float:
    return best_tempo(comb_scores(found.onsets, found.fastest))[0]


def test_what_is_always_the_same_is_remembered_as_it_is() -> None:
    memory, found = TempoMemory(), clicks(120)
    for _ in range(200):
        kept = memory.remember(found, 120.0)
    np.testing.assert_allclose(kept.onsets, found.onsets, atol=1e-9)
    np.testing.assert_allclose(
        comb_scores(kept.onsets, kept.fastest), comb_scores(found.onsets, found.fastest), atol=1e-9
    )


def test_a_fill_is_outvoted() -> None:
    memory = TempoMemory()
    for _ in range(int(MEMORY_UPDATES)):
        memory.remember(clicks(120), 120.0)
    for _ in range(PATIENCE_UPDATES):
        kept = memory.remember(clicks(100), 120.0)
    assert tempo_of(kept) == pytest.approx(120, rel=0.01)


def test_another_tempo_is_believed_once_it_has_lasted() -> None:
    memory = TempoMemory()
    for _ in range(int(MEMORY_UPDATES)):
        memory.remember(clicks(120), 120.0)
    for _ in range(PATIENCE_UPDATES + 1):
        kept = memory.remember(clicks(100), 120.0)
    assert tempo_of(kept) == pytest.approx(100, rel=0.01)


def test_the_tempo_memory_grows_with_the_history() -> None:
    memory = TempoMemory()
    for hops in (200, 225, 1000, 1024, 1024):
        kept = memory.remember(clicks(120, hops), 0.0)
        assert kept.onsets.size == kept.drums.size == clicks(120, hops).onsets.size
        assert tempo_of(kept) == pytest.approx(120, rel=0.01)


@pytest.mark.parametrize(
    ("rhythm", "bpm"),
    [("x..x..x..x..x.x.", 90.0), ("xooxooxooxooxoxo", 100.0), ("xooxooxooxooxoxo", 140.0), ("xooxooxooxooxoxo", 170.0)],
)
def test_groups_of_three_sixteenths_are_not_the_beat(rhythm: str, bpm: float) -> None:
    """Their period is 3/4 of the beat; only the bar of 16 sixteenths tells which is which."""
    strength, sixteenth = np.zeros(1024), 1500.0 / bpm
    for index in range(int(1024 / sixteenth)):
        strength[int(index * sixteenth)] = {"x": 1.0, "o": 0.4, ".": 0.0}[rhythm[index % 16]]
    strength = np.convolve(strength, (0.25, 0.5, 0.25), mode="same")
    found = periodicity(strength, strength, strength)
    assert found is not None
    octaves = np.log2(tempo_of(found) / bpm)
    assert octaves == pytest.approx(round(octaves), abs=0.02)
