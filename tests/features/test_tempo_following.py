"""Tempo changes: lock time, drift, fast tempi, doubled and halved beats, and fills, which are no change."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.beat_evidence import FIRST, SWITCH, evidence, switch
from fakes.music import PATTERNS

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.beat import Beat, BeatEvidence, TempoControl
from tpos_live.features.beat_tracker import BeatTracker
from tpos_live.features.extractor import FeatureExtractor


def track(heard: list[BeatEvidence], **control: object) -> list[Beat]:
    tracker, constant = BeatTracker(), TempoControl(**control)  # type: ignore[arg-type]
    return [tracker.step(stroke, constant) for stroke in heard]


def off(found: list[Beat], bpm: float) -> np.ndarray:
    """Relative error of the tempo [hops]; half and double the tempo count as right."""
    ratio = np.array([beat.tempo for beat in found]) / bpm
    return np.asarray(np.min([np.abs(ratio * octave - 1.0) for octave in (0.5, 1.0, 2.0)], axis=0))


@pytest.mark.parametrize(("first", "second"), [(128.0, 150.0), (150.0, 100.0), (126.0, 118.0)])
def test_another_steady_tempo_is_locked_within_4_seconds(first: float, second: float) -> None:
    found = track(switch("four on the floor", first, second))
    locked = round(100 * (SWITCH + FIRST + 4.0))
    assert np.all(off(found, second)[locked:] < 0.01)
    assert np.all(off(found, second)[locked + 300 :] < 0.003)
    assert found[-1].confidence > 0.6


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "half-time"])
def test_the_new_tempo_is_found_in_every_pattern(pattern: str) -> None:
    found = track(switch(pattern, 120.0, 140.0, 8.0))
    assert np.all(off(found, 140.0)[round(100 * (SWITCH + FIRST + 4.0)) :] < 0.01)


@pytest.mark.parametrize("pattern", ["rock", "3-3-2", "swing", "breakbeat"])
@pytest.mark.parametrize("fill", [90.0, 160.0])
def test_a_fill_of_a_bar_is_no_new_tempo(pattern: str, fill: float) -> None:
    heard = evidence(pattern, np.full(2200, 120.0))
    bar, begin = 200, 1220
    strokes = evidence("four on the floor", np.full(bar, fill), seed=4)  # three or four strokes instead of beats
    found = track([*heard[:begin], *strokes, *heard[begin + bar :]])
    assert np.all(off(found, 120.0)[begin:] < 0.01)


@pytest.mark.parametrize("pattern", ["four on the floor", "rock"])
def test_a_dj_who_moves_the_tempo_is_followed(pattern: str) -> None:
    ramp = np.linspace(124.0, 132.0, 6000)
    found = track(evidence(pattern, np.concatenate([np.full(1200, 124.0), ramp, np.full(600, 132.0)])))
    error = np.abs(np.array([beat.tempo for beat in found[1220:7220]]) - ramp)
    assert np.median(error) <= 0.4 and error.max() < 1.0
    assert abs(found[-1].tempo - 132.0) < 0.4


@pytest.mark.parametrize("bpm", [185.0, 198.0])
def test_fast_tempi_by_a_parameter(bpm: float) -> None:
    heard = evidence("four on the floor", np.full(1200, bpm))
    assert track(heard)[-1].tempo == pytest.approx(bpm / 2.0, rel=0.003)
    fast = track(heard, fastest=200.0)
    assert all(beat.tempo == pytest.approx(bpm, rel=0.003) for beat in fast[800:])
    slow = track(evidence("rock", np.full(900, 95.0)), fastest=200.0)
    assert slow[-1].tempo == pytest.approx(95.0, rel=0.003), "what is slow stays slow"


@pytest.mark.parametrize(("trigger", "factor"), [("doubled", 2.0), ("halved", 0.5)])
def test_beats_are_doubled_and_halved_live_and_stay_so(trigger: str, factor: float) -> None:
    tracker, heard = BeatTracker(), evidence("rock", np.full(2400, 100.0))
    found = [tracker.step(stroke, TempoControl(**{trigger: hop == 1300})) for hop, stroke in enumerate(heard)]
    assert found[1299].tempo == pytest.approx(100.0, rel=0.003)
    assert all(beat.tempo == pytest.approx(100.0 * factor, rel=0.005) for beat in found[1300:])
    # The beats fall on those of the music.
    turns = np.array(
        [(0.01 * (hop + 1) - FIRST) * 100.0 * factor / 60.0 - found[hop].phase for hop in range(1300, 2400)]
    )
    assert np.max(np.abs(turns - np.round(turns))) < 0.08
    assert np.all(np.diff([beat.beats for beat in found]) >= 0)


def test_doubled_beats_end_with_the_tempo_and_keep_their_limits() -> None:
    tracker, heard = BeatTracker(), switch("four on the floor", 120.0, 100.0)
    found = [tracker.step(stroke, TempoControl(doubled=hop in (900, 920))) for hop, stroke in enumerate(heard)]
    assert found[1300].tempo == pytest.approx(240.0, rel=0.003), "480 BPM is refused"
    assert found[-1].tempo == pytest.approx(100.0, rel=0.01)
    for _ in range(9):
        beat = tracker.step(BeatEvidence(), TempoControl(halved=True))
    assert 30.0 <= beat.tempo <= 60.0 and 0.0 <= beat.phase < 1.0


def test_the_triggers_and_the_fastest_tempo_are_live_parameters() -> None:
    store, analyzer = ParameterStore({"tempo.source": "tap"}), FeatureExtractor()
    for _ in range(5):
        store.trigger("tempo.tap")
        analyzer.push(np.zeros(24_000, np.float32), store.snapshot())
    for name, tempo in (("double", 240.0), ("halve", 120.0), ("halve", 60.0)):
        store.trigger(f"tempo.{name}")
        assert analyzer.push(np.zeros(4800, np.float32), store.snapshot())[-1].tempo == pytest.approx(tempo)
    store.update({"tempo": 100.0})
    store.trigger("tempo.double")
    assert analyzer.push(np.zeros(4800, np.float32), store.snapshot())[-1].tempo == pytest.approx(100.0)
    assert store.set("tempo.fastest", 900.0) == 240.0


@pytest.mark.parametrize("bpm", [80.0, 120.0, 170.0])
@pytest.mark.parametrize("noise", [0.0, 0.008])
def test_confidence_fades_within_4_bars_without_a_pulse_and_returns(bpm: float, noise: float) -> None:
    heard, bar, begin = evidence("rock", np.full(2200, bpm)), round(24_000 / bpm), 1200
    rng = np.random.default_rng(5)
    rest = [BeatEvidence(value, value) for value in noise * rng.random(6 * bar)]  # a crowd after the song
    found = track([*heard[:begin], *rest, *heard[begin:]])
    assert found[begin - 1].confidence > 0.6
    assert all(beat.confidence < 0.3 for beat in found[begin + 4 * bar : begin + 6 * bar])
    assert found[begin + 9 * bar].confidence > 0.4


@pytest.mark.parametrize(("bpm", "rate"), [(80.0, 20.0), (120.0, 6.0), (170.0, 20.0)])
def test_confidence_fades_in_claps_half_as_strong_as_the_song_and_returns(bpm: float, rate: float) -> None:
    bar, begin = round(24_000 / bpm), 1200
    heard = evidence("rock", np.full(begin + 5 * bar, bpm))
    rng, claps = np.random.default_rng(3), np.zeros(6 * bar + 1)
    for at in rng.integers(0, 6 * bar, round(0.01 * rate * 6 * bar)):
        claps[at : at + 2] += rng.gamma(2.0) * np.array([1.0, 0.5])
    claps *= 0.5 * np.mean([stroke.strength for stroke in heard[:begin]]) / claps.mean()
    found = track([*heard[:begin], *(BeatEvidence(clap, clap) for clap in claps[:-1]), *heard[begin:]])
    assert found[begin - 1].confidence > 0.6
    assert all(beat.confidence < 0.3 for beat in found[begin + 4 * bar : begin + 6 * bar])
    assert found[-1].confidence > 0.4


def test_a_break_of_one_bar_keeps_the_pulse() -> None:
    heard = evidence("rock", np.full(1800, 120.0))
    found = track([*heard[:1200], *[BeatEvidence()] * 200, *heard[1400:]])
    assert min(beat.confidence for beat in found[1200:]) > 0.4
