"""Rhythm: tempo, octave, beat and bar of known patterns; separation of drums; harmonic and percussive sound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes.music import PATTERNS, RATE, groove, kick, place

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.beat import Beat, BeatEvidence, TempoControl
from tpos_live.features.beat_tracker import BeatTracker
from tpos_live.features.downbeat import BINS, positions
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import Features

WEIGHTS = ((0.05, 0.25, 0.0), (0.07, 0.0, 0.06), (0.06, 0.0, 0.0))
"""Flux of a stroke of kick, snare, hats: of every onset, kick, snare. About as `DrumDetector` and `Flux` give it."""


def strokes(pattern: str, bpm: float, seconds: float, first: float = 0.2, chords: bool = True) -> list[BeatEvidence]:
    """A pattern as evidence for the tracker, without audio: each onset rises over two hops."""
    rng = np.random.default_rng(int(bpm))
    flux = np.abs(rng.normal(0.0, 0.001, (4, int(100 * seconds) + 10)))
    bar = 240.0 / bpm
    for number in range(int(seconds / bar) + 1):
        for row, weights in zip(PATTERNS[pattern], WEIGHTS, strict=True):
            for step, mark in enumerate(row):
                hop = 100.0 * (first + (number + step / len(row)) * bar + 0.005)
                if mark == "." or hop + 2 >= flux.shape[1]:
                    continue
                loud = (0.4 if mark == "o" else 1.0) * rng.normal(1.0, 0.1)
                for index, weight in enumerate(weights):
                    for at, share in ((int(hop), 1.0 - hop % 1.0), (int(hop) + 1, hop % 1.0)):
                        flux[index, at] += weight * loud * share
        if chords and 100 * (first + number * bar) + 14 < flux.shape[1]:
            flux[3, int(100 * (first + number * bar)) + 9] += 0.2
    every, kicks, snares, changes = flux
    return [BeatEvidence(e + 4 * k, e, k, s, c) for e, k, s, c in zip(every, kicks, snares, changes, strict=True)]


def track(
    heard: list[BeatEvidence], tracker: BeatTracker | None = None, control: TempoControl | None = None
) -> list[Beat]:
    tracker = tracker or BeatTracker()
    return [tracker.step(stroke, control or TempoControl()) for stroke in heard]


def began(found: list[Beat], first: bool = False) -> np.ndarray:
    """Times of the beats, or of the downbeats."""
    return np.array(
        [
            0.01 * (hop + 1) - b.phase * 60.0 / b.tempo
            for hop, (a, b) in enumerate(itertools.pairwise([Beat(), *found]))
            if b.beats > a.beats and not (first and b.bar_phase >= 0.25)
        ]
    )


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bpm", [81.0, 96.5, 119.3, 158.0])
def test_tempo_beat_and_bar_of_every_pattern(pattern: str, bpm: float) -> None:
    found = track(strokes(pattern, bpm, 16.0))
    assert all(abs(b.tempo / bpm - 1.0) <= 0.003 for b in found[800:])
    turns = (began(found)[began(found) > 8.0] - 0.2) * bpm / 60.0
    assert len(turns) > 8 and np.max(np.abs(turns - np.round(turns))) * 60.0 / bpm < 0.03
    bars = (began(found, first=True) - 0.2) * bpm / 240.0
    bars = bars[began(found, first=True) > 12.0]
    assert len(bars) and np.max(np.abs(bars - np.round(bars))) < 0.06
    assert found[-1].confidence > 0.6


@pytest.mark.parametrize("bpm", [60.0, 66.0, 72.0, 168.0, 180.0])
def test_slower_and_faster_the_octave_is_free(bpm: float) -> None:
    for pattern in PATTERNS:
        ratio = track(strokes(pattern, bpm, 9.0))[800].tempo / bpm
        assert min(abs(ratio * k - 1.0) for k in (0.5, 1.0, 2.0)) <= 0.003, pattern


@pytest.mark.parametrize("bpm", [80.0, 133.0])
def test_free_running_drifts_less_than_30_ms_in_8_bars(bpm: float) -> None:
    bars = 1920.0 / bpm
    heard = strokes("rock", bpm, 16.0) + [BeatEvidence()] * int(100 * bars)
    times = began(track(heard))
    turns = (times[times > 16.0 + bars - 2.0] - 0.2) * bpm / 60.0
    assert np.max(np.abs(turns - np.round(turns))) * 60.0 / bpm <= 0.030


@pytest.mark.parametrize(("tapped", "heard_bpm"), [(140.0, 118.0), (70.0, 118.0), (210.0, 118.0)])
def test_what_is_tapped_outweighs_what_is_heard(tapped: float, heard_bpm: float) -> None:
    tracker = BeatTracker()
    heard = strokes("rock", heard_bpm, 30.0)
    track(heard[:800], tracker)
    taps = {round(6000.0 / tapped * k) for k in range(6)}
    for hop, stroke in enumerate(heard[800:2400]):
        beat = tracker.step(stroke, TempoControl(tapped=hop in taps))
    assert beat.tempo == pytest.approx(tapped, rel=0.01) and beat.confidence == 1.0


def test_resync_names_the_first_beat_and_it_stays() -> None:
    tracker = BeatTracker()
    heard = strokes("rock", 120.0, 24.0)
    track(heard[:1000], tracker)
    third = 1020 + 100  # the third beat of a bar, by the pattern
    for hop, stroke in enumerate(heard[1000:2400]):
        beat = tracker.step(stroke, TempoControl(resync=hop == third - 1000))
        if hop >= third - 1000:
            bars = (hop - (third - 1000)) / 200.0
            assert abs((beat.bar_phase - bars + 0.5) % 1.0 - 0.5) < 0.03


@pytest.mark.parametrize("bpm", [90.0, 120.0, 150.0])
def test_a_break_of_some_bars_does_not_move_beat_or_bar(bpm: float) -> None:
    bar = 240.0 / bpm
    begin, bars_late = 8 * bar, int(7.5 / bar)  # bars in which the drums play half a beat late
    heard = strokes("rock", bpm, begin + 14 * bar)
    late = round(100 * 30.0 / bpm)
    first, last = round(100 * begin), round(100 * (begin + bars_late * bar))
    found = track([*heard[:first], *heard[first - late : last - late], *heard[last:]])
    times = began(found, first=True)
    bars = (times[times > begin] - 0.2) / bar
    assert len(bars) > 12 and np.max(np.abs(bars - np.round(bars))) < 0.06


def test_positions_know_the_bar_from_any_one_of_its_streams() -> None:
    rng = np.random.default_rng(0)
    for now in rng.random(12):
        hops = np.arange(800)
        bars = (799 - hops) / 200.0
        place_in_bar = (now - bars) % 1.0
        on = [(np.abs((place_in_bar - at + 0.5) % 1.0 - 0.5) < 0.004) for at in (0.0, 0.25, 0.5, 0.75)]
        streams = np.stack([on[0] | on[2], on[1] | on[3], on[0] | on[1] | on[2] | on[3], on[0]]).astype(float)
        best = int(np.argmax(positions(streams, bars))) / BINS
        assert abs((best - now + 0.5) % 1.0 - 0.5) < 1.5 / BINS
    assert np.all(positions(np.zeros((4, 800)), bars) == 0.0)


def hits(found: list[Features], name: str) -> list[float]:
    values = [getattr(f, name) for f in found]
    times = [f.time for a, b, f in zip(values, values[1:], found[1:], strict=False) if b > a + 0.01]
    return [t for before, t in itertools.pairwise([-1.0, *times]) if t - before > 0.045]


def f_score(found: list[float], true: np.ndarray, within: float = 0.03) -> float:
    left, matched = list(true), 0
    for time in found:
        near = [t for t in left if -0.01 < time - t < within]
        if near:
            left.remove(near[0])
            matched += 1
    return 2.0 * matched / (len(found) + len(true))


@pytest.mark.parametrize(
    ("pattern", "bpm"), [("rock", 124.0), ("3-3-2", 98.0), ("swing", 140.0), ("four on the floor", 128.0)]
)
def test_kick_snare_and_hats_are_told_apart_in_time(pattern: str, bpm: float) -> None:
    heard = groove(pattern, bpm, 9.0, seed=3)
    found = FeatureExtractor().push(heard.sound, ParameterStore().snapshot())
    for name, true in (("kick", heard.kicks), ("snare", heard.snares), ("hats", heard.hats)):
        late = [t for t in hits(found, name) if t > 1.9]
        assert f_score(late, true[true > 1.9]) >= 0.9, name
    assert all(f.drop == 0.0 for f in found) and max(f.buildup for f in found) < 0.35, "steady music has neither"


def test_a_chord_sounds_on_and_drums_strike() -> None:
    t = np.arange(4 * RATE) / RATE
    chord = 0.05 * sum(np.sin(2 * np.pi * hertz * t) for hertz in (220.0, 277.2, 329.6, 440.0))
    drums = np.zeros(4 * RATE)
    for beat in range(8):
        place(drums, kick(0.5), 0.5 * beat)
        place(
            drums, np.random.default_rng(beat).normal(0, 0.1, 4000) * np.exp(-np.arange(4000) / 1500), 0.25 + 0.5 * beat
        )
    snapshot = ParameterStore().snapshot()
    held, struck = (FeatureExtractor().push(sound.astype(np.float32), snapshot)[100:] for sound in (chord, drums))
    assert np.mean([f.harmonic - f.percussive for f in held]) > 0.4
    assert np.mean([max(f.percussive, 1e-9) > f.harmonic for f in struck if f.level_hit > 0.3]) > 0.8
