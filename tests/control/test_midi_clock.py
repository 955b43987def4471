"""MIDI clock: tempo and position from ticks with jitter."""

from __future__ import annotations

import random

import pytest

from tpos_live.control.midi_clock import LOST_SECONDS, MidiClock


def ticks(clock: MidiClock, tempo: float, beats: float, begin: float, jitter: float = 0.0, seed: int = 1) -> float:
    """Ticks of so many beats, each late by up to `jitter` seconds; the time of the tick after them."""
    dice, step = random.Random(seed), 60.0 / tempo / 24
    for n in range(round(beats * 24)):
        clock.tick(begin + n * step + dice.uniform(0.0, jitter))
    return begin + round(beats * 24) * step


@pytest.mark.parametrize("tempo", [30.0, 93.7, 128.0, 240.0])
def test_a_steady_clock_gives_tempo_and_position(tempo: float) -> None:
    clock = MidiClock()
    clock.start()
    end = ticks(clock, tempo, 8, 100.0)
    position = clock.position(end)
    assert position is not None
    assert position.tempo == pytest.approx(tempo, rel=1e-6) and position.beats == pytest.approx(8.0, abs=1e-6)


def test_late_ticks_hardly_move_it() -> None:
    clock = MidiClock()
    clock.start()
    end = ticks(clock, 125.0, 32, 50.0, jitter=0.006)
    position = clock.position(end)
    assert position is not None and position.tempo == pytest.approx(125.0, rel=0.005)
    assert position.beats == pytest.approx(32.0, abs=0.03)


def test_a_step_of_the_tempo_is_followed_within_two_beats() -> None:
    clock = MidiClock()
    end = ticks(clock, 100.0, 16, 0.0, jitter=0.002)
    end = ticks(clock, 140.0, 2, end, jitter=0.002)
    position = clock.position(end)
    assert position is not None and position.tempo == pytest.approx(140.0, rel=0.03)
    assert position.beats % 1.0 == pytest.approx(0.0, abs=0.1) or position.beats % 1.0 > 0.9


def test_start_stop_continue_and_song_position() -> None:
    clock = MidiClock()
    end = ticks(clock, 120.0, 5.5, 0.0)
    clock.start()
    end = ticks(clock, 120.0, 2, end)
    position = clock.position(end)
    assert position is not None and position.beats == pytest.approx(2.0)
    clock.stop()
    assert clock.position(end) is None
    end = ticks(clock, 120.0, 3, end)
    assert clock.position(end) is None, "many devices tick while they stand"
    clock.resume()
    end = ticks(clock, 120.0, 1, end)
    position = clock.position(end)
    assert position is not None and position.beats == pytest.approx(3.0, abs=0.01)
    clock.stop()
    clock.locate(32)
    clock.resume()
    end = ticks(clock, 120.0, 1, end)
    position = clock.position(end)
    assert position is not None and position.beats == pytest.approx(9.0, abs=0.01)


def test_too_few_ticks_a_lost_clock_and_nonsense_give_no_beat() -> None:
    clock = MidiClock()
    ticks(clock, 120.0, 0.5, 0.0)
    assert clock.position(0.3) is None
    end = ticks(clock, 120.0, 4, 1.0)
    assert clock.position(end) is not None and clock.position(end + LOST_SECONDS + 0.1) is None
    for at in (5.0, 4.0, 4.0, 4.0, -1.0):
        clock.tick(at)
    flood = MidiClock()
    for n in range(3000):
        flood.tick(n / 3000)
    assert flood.position(1.0) is None
