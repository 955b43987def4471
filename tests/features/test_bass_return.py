"""Returns of the bass, from synthetic levels with known returns."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.features.structure import BassReturn

WHOLE_DB = -18.0


def play(parts: list[tuple[float, float]], bpm: float = 120.0, gates: list[bool] | None = None) -> list[float]:
    """Beats at which the bass returns, in parts of (level in dBFS, length in beats). The level pulses with the beat."""
    rng, detector, found, hop = np.random.default_rng(0), BassReturn(), [], 0
    beats = 0.01 * bpm / 60.0
    for index, (level, length) in enumerate(parts):
        for _ in range(round(length / beats)):
            pulse = 3.0 * np.cos(2 * np.pi * hop * beats) + rng.normal(0.0, 1.0)
            gate = gates[index] if gates else True
            if detector.step(level + pulse, WHOLE_DB if gate else -80.0, gate, beats):
                found.append(hop * beats)
            hop += 1
    return found


@pytest.mark.parametrize("bpm", [70.0, 100.0, 128.0, 174.0])
@pytest.mark.parametrize("rise", [12.0, 18.0, 40.0])
def test_a_return_after_four_bars_is_found_within_a_beat(bpm: float, rise: float) -> None:
    found = play([(-20.0, 32), (-20.0 - rise, 20), (-20.0, 32), (-20.0 - rise, 17), (-20.0, 8)], bpm)
    assert len(found) == 2
    assert all(0.0 < time - at <= 1.0 for time, at in zip(found, (52.0, 101.0), strict=True))


def test_the_bass_may_begin_in_an_excerpt() -> None:
    assert len(play([(-35.0, 18), (-20.0, 16)])) == 1


@pytest.mark.parametrize(
    "parts",
    [
        [(-20.0, 128)],  # steady
        [(-20.0, 32), (-35.0, 8), (-20.0, 32)],  # two bars
        [(-20.0, 32), (-24.0, 20), (-20.0, 32)],  # by 4 dB
        [(-20.0, 32), *((-45.0 + 0.5 * n, 1) for n in range(50)), (-20.0, 32)],  # a slow rise
        [(-20.0, 32), (-40.0, 20), (-20.0, 0.02), (-40.0, 20)],  # a click of 10 ms
        [(-70.0, 32), (-50.0, 32)],  # rumble
    ],
)
def test_other_changes_of_the_bass_are_no_return(parts: list[tuple[float, float]]) -> None:
    assert play(parts) == []


def test_single_hits_in_the_breakdown_are_allowed() -> None:
    assert len(play([(-20.0, 32), (-40.0, 8), (-20.0, 0.5), (-40.0, 12), (-20.0, 16)])) == 1


def test_a_return_in_short_strokes_is_found_and_one_stroke_is_none() -> None:
    """Notes of 0.12 beats: each is shorter than HOLD_BEATS, and the level falls between them."""
    rest, stroke, end = [(-20.0, 32.0), (-40.0, 20.0)], [(-22.0, 0.12), (-60.0, 0.15)], [(-60.0, 0.6), (-40.0, 8.0)]
    assert play([*rest, *stroke, *end], 60.0) == []
    found = play([*rest, *stroke, *stroke, *end], 60.0)
    assert len(found) == 1 and 52.0 < found[0] < 52.5


def test_music_after_a_pause_is_no_return() -> None:
    assert play([(-20.0, 32), (-90.0, 40), (-20.0, 32)], gates=[True, False, True]) == []
