"""Sources of the beat: their order, their names, and tempo.shift."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tpos_live.control.beat_source import BeatSource, ClockPosition
from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.director.sections import BarClock
from tpos_live.features.features import Features


class Clock:
    """A clock of another program that runs at one tempo."""

    def __init__(self, name: str, tempo: float, starts: float = 0.0, ends: float = 1e9) -> None:
        self.name, self.tempo, self.starts, self.ends = name, tempo, starts, ends

    def position(self, at: float) -> ClockPosition | None:
        return ClockPosition(self.tempo, at * self.tempo / 60) if self.starts <= at < self.ends else None


def heard(hop: int, tempo: float = 120.0) -> Features:
    beats = hop / 100 * tempo / 60 + 0.25
    return Features(
        time=hop / 100, tempo=tempo, confidence=0.5, beats=int(beats), beat_phase=beats % 1, bar_phase=beats / 4 % 1
    )


def run(source: BeatSource, store: ParameterStore, hops: range) -> list[Features]:
    return [source.step(heard(hop), hop / 100, store.snapshot()) for hop in hops]


def test_without_clocks_and_shift_the_record_is_the_same() -> None:
    source, store = BeatSource(), ParameterStore()
    record = heard(0)
    assert source.step(record, 0.0, store.snapshot()) is record and source.name == "audio"


def test_the_order_is_link_midi_then_the_audio_and_beats_go_on() -> None:
    source, store = BeatSource((Clock("Link", 90.0, 3.0, 4.0), Clock("MIDI clock", 150.0, 2.0, 5.0))), ParameterStore()
    seen, names = [], []
    for hop in range(700):
        seen.append(source.step(heard(hop), hop / 100, store.snapshot()))
        names.append((source.name, seen[-1].tempo, seen[-1].confidence))
    assert [names[hop] for hop in (100, 250, 350, 450, 600)] == [
        ("audio", 120.0, 0.5),
        ("MIDI clock", 150.0, 1.0),
        ("Link", 90.0, 1.0),
        ("MIDI clock", 150.0, 1.0),
        ("audio", 120.0, 0.5),
    ]
    assert all(0 <= b.beats - a.beats <= 1 for a, b in pairwise(seen))
    assert seen[399].beats - seen[300].beats == 1 and all(0 <= one.bar_phase < 1 for one in seen)


def test_the_directors_bars_are_those_of_the_clock_and_the_musics_again_when_it_stops() -> None:
    """Scenes, cuts and framing change on the bars of Link or MIDI clock, whatever the beat of the sound is."""
    source, store, bars = BeatSource((Clock("Link", 97.0, 2.0, 30.0),)), ParameterStore(), BarClock()
    begins = [hop / 100 for hop in range(5000) if bars.step(source.step(heard(hop), hop / 100, store.snapshot()))]
    linked = np.array([at for at in begins if 5.0 < at < 30.0])
    bar = 4 * 60 / 97
    assert len(linked) == 10 and (linked % bar < 0.011).all()
    after = np.array([at for at in begins if at > 34.0])  # 120 BPM by ear, a quarter of a beat ahead
    assert len(after) >= 7 and ((after + 0.125) % 2.0 < 0.011).all()


@pytest.mark.parametrize(("mode", "name"), [("tap", "tap"), ("off", "audio")])
def test_a_person_who_chose_a_source_gets_no_clock(mode: str, name: str) -> None:
    source, store = BeatSource((Clock("Link", 90.0),)), ParameterStore({"tempo.source": mode})
    run(source, store, range(10))
    assert source.name == name


def test_taps_and_a_tempo_by_osc_are_named() -> None:
    source, store = BeatSource(), ParameterStore()
    fire(store, "tempo.tap")
    run(source, store, range(10))
    assert source.name == "tap"
    store.set("tempo", 128)
    run(source, store, range(10, 20))
    assert source.name == "OSC"


def test_a_resync_moves_the_bar_of_a_clock_and_not_its_beat() -> None:
    source, store = BeatSource((Clock("Link", 120.0),)), ParameterStore()
    run(source, store, range(100))
    fire(store, "tempo.resync")
    after = source.step(heard(105), 1.05, store.snapshot())  # beat 2.1
    assert after.bar_phase == pytest.approx(0.025) and after.beat_phase == pytest.approx(0.1)


@pytest.mark.parametrize("clocks", [(), (Clock("Link", 120.0),)])
@pytest.mark.parametrize("shift", [100.0, -100.0])
def test_a_shift_moves_beat_and_bar_and_counts_no_beat_twice(clocks: tuple[Clock, ...], shift: float) -> None:
    plain, moved = BeatSource(clocks), BeatSource(clocks)
    store, shifted = ParameterStore(), ParameterStore()
    one, other = run(plain, store, range(200)), run(moved, shifted, range(200))
    shifted.set("tempo.shift", shift)
    one += run(plain, store, range(200, 800))
    other += run(moved, shifted, range(200, 800))
    turn = np.array([(b.beat_phase - a.beat_phase) % 1 for a, b in zip(one[200:], other[200:], strict=True)])
    assert np.allclose(turn, shift / 500 % 1)
    bar = np.array([(b.bar_phase - a.bar_phase) % 1 for a, b in zip(one[200:], other[200:], strict=True)])
    assert np.allclose(bar, shift / 2000 % 1)
    assert all(0 <= b.beats - a.beats <= 1 for a, b in pairwise(other)) and abs(other[-1].beats - one[-1].beats) <= 1


def test_the_time_in_the_room_counts() -> None:
    source = BeatSource((Clock("Link", 60.0),), passed=lambda: 0.25)
    assert source.step(heard(0), 10.0, ParameterStore().snapshot()).beat_phase == pytest.approx(0.75)
