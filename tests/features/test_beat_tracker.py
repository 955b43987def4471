"""The beat tracker: tempo, phase, prediction, tapping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes.music import RATE, four_on_the_floor

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.beat import RAW_CONFIDENCE, RIGHT_BEATS, BeatEvidence, TempoControl
from tpos_live.features.beat_tracker import BeatTracker
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import TRUST, Features


def beats_of(features: list[Features]) -> list[float]:
    return [b.time - b.beat_phase * 60.0 / b.tempo for a, b in itertools.pairwise(features) if b.beats > a.beats]


@pytest.mark.parametrize("bpm", [90, 101.3, 112, 120, 128, 137.5, 150, 160])
def test_four_on_the_floor(bpm: float) -> None:
    sound, beats = four_on_the_floor(bpm, 18)
    found = FeatureExtractor().push(sound, ParameterStore().snapshot())
    late = [f for f in found if f.time >= 8.0]
    assert all(abs(f.tempo / bpm - 1.0) < 0.01 for f in late)
    assert all(f.confidence > 0.6 for f in late)
    counted = [t for t in beats_of(found) if 8.0 < t < beats[-1] + 0.02]
    nearest = [int(np.argmin(abs(beats - t))) for t in counted]
    assert nearest == list(range(nearest[0], len(beats))) and beats[nearest[0]] < 8.0 + 60.0 / bpm
    assert max(min(abs(beats - t)) for t in counted) < 0.010


def test_beats_go_on_through_a_pause_where_they_would_have_been() -> None:
    sound, beats = four_on_the_floor(126, 20)
    sound[round(beats[24] * RATE) - 480 : round(beats[32] * RATE) - 480] = 0.0
    found = FeatureExtractor().push(sound, ParameterStore().snapshot())
    inside = [t for t in beats_of(found) if beats[24] - 0.1 < t < beats[31] + 0.1]
    assert len(inside) == 8
    assert max(abs(np.array(inside) - beats[24:32])) < 0.040


def test_phase_never_runs_backwards_and_beats_never_skip() -> None:
    sound, _ = four_on_the_floor(122, 15)
    found = FeatureExtractor().push(sound, ParameterStore().snapshot())
    late = [f for f in found if f.time > 6.0]
    turns = np.array([f.beats + f.beat_phase for f in late])
    assert np.all(np.diff(turns) > 0.0)
    bars = np.array([f.bar_phase for f in late])
    assert np.all((np.diff(bars) > 0.0) | (bars[1:] < 0.05))


@pytest.mark.parametrize("sound", ["noise", "silence", "random"])
def test_no_beat_no_confidence(sound: str) -> None:
    rng = np.random.default_rng(3)
    strength = np.zeros(2000)
    if sound == "noise":
        strength = rng.random(2000) * 0.2
    if sound == "random":
        strength[rng.integers(0, 2000, 70)] = 1.0
    tracker = BeatTracker()
    found = [tracker.step(BeatEvidence(value, value), TempoControl()) for value in strength]
    assert np.mean([b.confidence for b in found[400:]]) < 0.4


def test_a_new_tempo_is_followed() -> None:
    first, _ = four_on_the_floor(124, 12)
    second, _ = four_on_the_floor(140, 20)
    found = FeatureExtractor().push(np.concatenate([first, second]), ParameterStore().snapshot())
    assert abs(found[1190].tempo - 124) < 1.3 and abs(found[-1].tempo - 140) < 1.4


def test_taps_set_tempo_and_phase() -> None:
    tracker = BeatTracker()
    taps = {100, 150, 200, 250, 300}
    found = [tracker.step(BeatEvidence(), TempoControl(source="tap", tapped=hop in taps)) for hop in range(600)]
    assert found[-1].tempo == pytest.approx(120.0) and found[-1].confidence == 1.0
    assert found[300].phase == pytest.approx(0.02, abs=0.03)
    assert found[350].phase % 1.0 == pytest.approx(0.0, abs=0.05) or found[350].phase > 0.95


def test_fixed_tempo_resync_and_off() -> None:
    tracker = BeatTracker()
    found = [tracker.step(BeatEvidence(), TempoControl(fixed=150.0, resync=hop == 73)) for hop in range(400)]
    assert found[-1].tempo == pytest.approx(150.0)
    assert found[73].phase == 0.0 and found[73].bar_phase == 0.0
    assert found[73 + 160].bar_phase == pytest.approx(0.0, abs=0.01) or found[73 + 160].bar_phase > 0.99
    off = tracker.step(BeatEvidence(), TempoControl(source="off"))
    assert off.tempo == 0.0 and off.confidence == 0.0 and off.beats == found[-1].beats


def test_triggers_reach_the_tracker_once_each() -> None:
    store = ParameterStore({"tempo.source": "tap"})
    analyzer = FeatureExtractor()
    for _ in range(6):
        store.trigger("tempo.tap")
        last = analyzer.push(np.zeros(RATE // 2, np.float32), store.snapshot())[-1]
    assert last.tempo == pytest.approx(120.0)
    store.trigger("tempo.resync")
    synced = analyzer.push(np.zeros(4800, np.float32), store.snapshot())
    assert synced[0].bar_phase == 0.0 and synced[-1].beat_phase == pytest.approx(0.18, abs=0.01)


def test_mashing_tap_and_odd_tempi_do_no_harm() -> None:
    tracker = BeatTracker()
    found = [tracker.step(BeatEvidence(1.0, 1.0), TempoControl(tapped=True, resync=hop % 3 == 0)) for hop in range(500)]
    found += [tracker.step(BeatEvidence(1.0, 1.0), TempoControl(fixed=0.001)) for _ in range(50)]
    assert all(0.0 <= b.phase <= 1.0 and 0.0 <= b.bar_phase <= 1.0 and b.tempo <= 240.5 for b in found)


def test_confidence_is_a_share_of_right_beats() -> None:
    """The calibration is 0 without evidence, monotonic, and high at little evidence, as measured on real music."""
    assert RIGHT_BEATS[0] == 0.0 and RIGHT_BEATS[-1] <= 1.0 and np.all(np.diff(RIGHT_BEATS) >= 0.0)
    little, some, more = np.interp((0.02, 0.1, 0.3), RAW_CONFIDENCE, RIGHT_BEATS)
    assert little < 0.2 and some > TRUST and more == pytest.approx(0.61, abs=0.01)


@pytest.mark.parametrize("rate", [2.0, 6.0, 20.0])
def test_random_claps_without_music_are_hardly_ever_trusted(rate: float) -> None:
    sure = []
    for seed in range(2):
        rng, claps = np.random.default_rng(seed + 90), np.zeros(2500)
        for at in rng.integers(0, 2498, round(25 * rate)):
            claps[at : at + 2] += 0.03 * rng.gamma(2.0) * np.array([1.0, 0.5])
        tracker = BeatTracker()
        sure += [tracker.step(BeatEvidence(clap, clap), TempoControl()).confidence >= TRUST for clap in claps][500:]
    assert np.mean(sure) < 0.1
