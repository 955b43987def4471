"""The whole feature extractor: block sizes, bad input, silence, kicks, drops, latency."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from fakes.music import RATE, four_on_the_floor, hat, kick, place

import tpos_live
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import FEATURES
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import HOP, Features

SNAPSHOT = ParameterStore().snapshot()
NAMES = [*(field.name for field in dataclasses.fields(Features)), "beat"]
UNIT = [name for name in NAMES if name not in {"time", "gain", "gate", "tempo", "beats", "sections"}]


def hear(sound: np.ndarray, **values: object) -> list[Features]:
    start = {name.replace("_", "."): value for name, value in values.items()}
    return FeatureExtractor().push(sound, ParameterStore(start).snapshot())  # type: ignore[arg-type]


def in_blocks(sound: np.ndarray, sizes: list[int]) -> list[Features]:
    analyzer, found, at, turn = FeatureExtractor(), [], 0, 0
    while at < sound.size:
        size = sizes[turn % len(sizes)]
        found += analyzer.push(sound[at : at + size], SNAPSHOT)
        at, turn = at + size, turn + 1
    return found


def hits(features: list[Features], name: str) -> list[float]:
    """Times at which a hit begins."""
    values = [getattr(f, name) for f in features]
    found: list[float] = []
    last = -1.0
    for before, now, f in zip(values, values[1:], features[1:], strict=False):
        if now > before + 0.01:
            if f.time - last > 0.05:
                found.append(f.time)
            last = f.time
    return found


def f_score(found: list[float], true: list[float], tolerance: float) -> float:
    """F-measure; every true event is matched at most once."""
    left = list(true)
    matched = 0
    for time in found:
        near = [t for t in left if abs(t - time) <= tolerance]
        if near:
            left.remove(near[0])
            matched += 1
    return 2.0 * matched / (len(found) + len(true))


def assert_sane(features: list[Features]) -> None:
    for f in features:
        for field in dataclasses.fields(f):
            assert np.isfinite(getattr(f, field.name)), field.name
        for name in UNIT:
            assert (-1.0 if name == "beat" else 0.0) <= getattr(f, name) <= 1.0, name
        assert -12.0 <= f.gain <= 12.0
        assert f.tempo == 0.0 or 30.0 <= f.tempo <= 240.0


def test_every_feature_of_the_map_is_in_the_record() -> None:
    assert set(FEATURES) <= set(NAMES)


def test_the_same_features_for_every_block_size() -> None:
    sound, _ = four_on_the_floor(128, 4)
    whole = FeatureExtractor().push(sound, SNAPSHOT)
    for sizes in ([7], [441], [480], [479, 481], [1024], [1, 4799, 0, 33, 960], [RATE * 60]):
        assert in_blocks(sound, sizes) == whole, sizes


def test_blocks_of_one_sample() -> None:
    sound, _ = four_on_the_floor(128, 0.4)
    assert in_blocks(sound, [1]) == FeatureExtractor().push(sound, SNAPSHOT)


def test_causal() -> None:
    sound, _ = four_on_the_floor(128, 5)
    changed = sound.copy()
    changed[2 * RATE :] = 0.0
    until = 2 * RATE // HOP
    assert hear(sound)[:until] == hear(changed)[:until]


def test_one_record_a_hop_and_reset_forgets() -> None:
    sound, _ = four_on_the_floor(128, 3)
    analyzer = FeatureExtractor()
    first = analyzer.push(sound, SNAPSHOT)
    assert len(first) == sound.size // HOP
    assert [round(f.time * 100) for f in first[:3]] == [1, 2, 3]
    analyzer.reset()
    assert analyzer.push(sound, SNAPSHOT) == first


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.where(np.arange(x.size) % 97 == 0, np.nan, x),
        lambda x: np.where(np.arange(x.size) % 997 == 0, np.inf, x),
        lambda x: np.full_like(x, np.nan),
        lambda x: np.clip(x * 1e6, -1, 1),
        lambda x: x * 1e30,
        lambda x: x + 0.9,
        lambda x: np.full_like(x, 1.0),
        lambda x: x * 1e-3,
        lambda x: x * 1e-40,
        lambda x: np.zeros_like(x),
        lambda x: (x * 32767).astype(np.int16),
        lambda x: x.astype(np.float64),
        lambda x: np.random.default_rng(0).uniform(-1, 1, x.size),
    ],
)
def test_sane_for_any_sound(spoil: object) -> None:
    sound, _ = four_on_the_floor(140, 4)
    with np.errstate(over="ignore", invalid="ignore"):
        spoiled = spoil(sound)  # type: ignore[operator]
    found = hear(spoiled)
    assert len(found) == 400
    assert_sane(found)


def test_empty_block_gives_nothing() -> None:
    assert FeatureExtractor().push(np.zeros(0, np.float32), SNAPSHOT) == []


def test_a_constant_is_not_heard() -> None:
    sound, _ = four_on_the_floor(120, 4)
    plain, shifted = hear(sound), hear(sound + np.float32(0.25))
    # Switching it on is a bang, and a real one; after that it is not there.
    assert np.allclose([f.level for f in plain[100:]], [f.level for f in shifted[100:]], atol=0.02)
    assert hits(plain[100:], "kick") == hits(shifted[100:], "kick")


@pytest.mark.parametrize("seconds_of_hum", [6.0])
def test_hum_and_hiss_stay_calm(seconds_of_hum: float) -> None:
    t = np.arange(int(seconds_of_hum * RATE)) / RATE
    hiss = np.random.default_rng(2).normal(0, 0.003, t.size)
    found = hear((0.01 * np.sin(2 * np.pi * 50 * t) + hiss).astype(np.float32))
    late = found[300:]
    assert not any(f.gate for f in late)
    assert max(f.level for f in late) < 0.02 and max(f.kick for f in late) < 0.01
    assert all(f.silence == 1.0 and f.drop == 0.0 for f in late)


def test_digital_silence_is_silent_at_once() -> None:
    found = hear(np.zeros(RATE, np.float32))
    assert all(not f.gate and f.level == 0.0 and f.onset == 0.0 and f.tempo == 0.0 for f in found)


def test_music_sixty_decibels_quieter_is_calm() -> None:
    sound, _ = four_on_the_floor(128, 10)
    found = hear(sound * np.float32(1e-3))
    assert max(f.level for f in found) < 0.05


def test_mute_hears_nothing_and_does_not_forget_the_room() -> None:
    sound, _ = four_on_the_floor(128, 4)
    store = ParameterStore()
    analyzer = FeatureExtractor()
    gain = analyzer.push(sound, store.snapshot())[-1].gain
    store.set("audio.mute", True)
    muted = analyzer.push(sound, store.snapshot())
    assert all(f.silence == 1.0 and f.kick <= muted[0].kick for f in muted)
    assert muted[-1].level < 1e-6 and muted[-1].gain == gain
    assert all(f.beat == 0.0 for f in muted)


def test_gain_moves_the_level() -> None:
    sound, _ = four_on_the_floor(128, 3)
    quiet, loud = hear(sound, audio_agc=False, audio_gain=-12.0), hear(sound, audio_agc=False)
    assert loud[-1].gain == 0.0
    assert np.mean([f.level for f in loud[100:]]) > np.mean([f.level for f in quiet[100:]]) + 0.2


def test_levels_live_in_the_middle_of_their_range() -> None:
    sound, _ = four_on_the_floor(128, 20)
    late = hear(sound)[1000:]
    for name in ("level", "bass", "high"):  # there is next to nothing else in it
        values = np.array([getattr(f, name) for f in late])
        assert 0.3 < values.mean() < 0.95, name
        assert np.mean(values >= 1.0) < 0.2, name


@pytest.mark.parametrize("band", ["bass", "mid", "midhigh", "high"])
def test_a_tone_lights_its_own_band(band: str) -> None:
    hertz = {"bass": 80, "mid": 800, "midhigh": 3500, "high": 9000}[band]
    t = np.arange(RATE) / RATE
    last = hear((0.2 * np.sin(2 * np.pi * hertz * t)).astype(np.float32))[60]
    levels = {name: getattr(last, name) for name in ("bass", "mid", "midhigh", "high")}
    assert max(levels, key=levels.get) == band  # type: ignore[arg-type]
    assert levels[band] > 0.7


@pytest.mark.parametrize("offset", range(0, HOP, 60))
def test_a_click_is_an_onset_within_20_ms(offset: int) -> None:
    sound = np.random.default_rng(1).normal(0, 1e-4, RATE).astype(np.float32)
    at = RATE // 2 + offset
    sound[at : at + 48] += 0.5
    onsets = [f.time for f in hear(sound) if f.onset > 0.5 and f.time > 0.1]
    assert 0.0 < onsets[0] - at / RATE <= 0.020
    assert onsets[-1] - onsets[0] <= 0.021  # and over as soon as it has risen


def test_what_sounds_on_is_no_onset() -> None:
    t = np.arange(6 * RATE) / RATE
    rng = np.random.default_rng(6)
    vibrato = 0.2 * np.sin(2 * np.pi * 440 * t + 8 * np.sin(2 * np.pi * 6 * t))
    swell = rng.normal(0, 0.1, t.size) * np.minimum(t / 5, 1.0)
    for sound in (vibrato, rng.normal(0, 0.05, t.size), swell):
        late = [f.onset for f in hear(sound.astype(np.float32))[300:]]
        assert max(late) < 0.15 and np.mean(late) < 0.01


@pytest.mark.parametrize("bpm", [95, 128, 150])
def test_kicks_are_found_within_20_ms(bpm: int) -> None:
    sound, beats = four_on_the_floor(bpm, 12)
    found = hits(hear(sound), "kick")
    assert f_score(found, list(beats), 0.030) >= 0.95
    late = [min((t - beat for t in found), key=abs) for beat in beats]
    assert np.mean(late) <= 0.015 and np.quantile(late, 0.95) <= 0.020


def test_the_beating_of_deep_tones_is_no_kick() -> None:
    t = np.arange(6 * RATE) / RATE
    tones = ((55, 0.12), (61, 0.06), (220, 0.08), (226, 0.04))
    sound = np.random.default_rng(0).normal(0, 3e-4, t.size) + sum(a * np.sin(2 * np.pi * f * t) for f, a in tones)
    for beat in (1.0, 3.0, 5.0):
        place(sound, 0.6 * kick(), beat)
    assert [round(time) for time in hits(hear(sound.astype(np.float32)), "kick")] == [1, 3, 5]


def test_hats_are_no_kicks() -> None:
    rng = np.random.default_rng(4)
    sound = rng.normal(0, 1e-4, 6 * RATE)
    for index in range(24):
        place(sound, hat(rng, 0.3), 0.25 * index)
        if index < 8:
            place(sound, kick(), 0.25 * index)
    found = hear(sound.astype(np.float32))
    assert len(hits(found, "hats")) >= 20
    assert [t for t in hits(found, "kick") if t > 2.1] == []


def test_the_demo_track_is_understood() -> None:
    folder = Path(tpos_live.__file__).parent / "audio"
    soundfile = pytest.importorskip("soundfile")
    sound, rate = soundfile.read(folder / "demo.ogg", dtype="float32", always_2d=True)
    truth = json.loads((folder / "demo.json").read_text())
    assert rate == RATE
    found = hear(sound.mean(axis=1))
    assert_sane(found)
    assert f_score(hits(found, "kick"), truth["kicks"], 0.030) >= 0.9
    assert all(abs(f.tempo / truth["tempo"] - 1.0) < 0.01 for f in found if f.time > 8.0)
    period = 60.0 / truth["tempo"]
    beats = [b.time - b.beat_phase * period for a, b in itertools.pairwise(found) if b.beats > a.beats]
    off = [min((t - beat for beat in truth["beats"]), key=abs) for t in beats if 8.0 < t < truth["beats"][-1]]
    assert len(off) > 70 and max(map(abs, off)) < 0.040
    drops = [f.time for f in found if f.drop == 1.0]
    true_drops = [s["start"] for s in truth["sections"] if s["name"] == "drop"]
    assert len(drops) == len(true_drops)
    assert all(0.0 < a - b < 0.06 for a, b in zip(drops, true_drops, strict=True))
    at = {
        name: [f for f in found if s["start"] + 0.7 < f.time < s["end"]]
        for s in truth["sections"]
        for name in [s["name"]]
    }
    assert all(f.silence == 1.0 and f.kick < 0.01 for f in at["silence"])
    for band in ("level", "bass", "mid", "midhigh", "high"):
        values = np.array([getattr(f, band) for f in at["drop"]])
        assert 0.4 < values.mean() < 0.95 and np.mean(values >= 1.0) < 0.25, band
    assert max(f.buildup for f in at["build-up"]) > 0.5 > 0.3 > max(f.buildup for f in at["breakdown"])
    assert np.mean([f.level for f in at["breakdown"]]) < np.mean([f.level for f in at["drop"]]) - 0.1
