from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import soundfile

from tpos_live.audio.demo import BAR, DEMO
from tpos_live.audio.files import read_audio
from tpos_live.audio.source import RATE
from tpos_live.training.synth import demo_track, synth
from tpos_live.training.synth.demo_track import BEAT, SECTIONS, score
from tpos_live.training.synth.synth import loudness, saw, seconds, shaped


@pytest.fixture(scope="module")
def track() -> np.ndarray:
    return read_audio(DEMO)


@pytest.fixture(scope="module")
def sidecar() -> dict:
    data: dict = json.loads(DEMO.with_suffix(".json").read_text())
    return data


def between(track: np.ndarray, start: float, end: float) -> np.ndarray:
    return track[round(start * RATE) : round(end * RATE)]


def level(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt((samples**2).mean()) + 1e-9))


def test_sidecar_is_what_the_generator_says(sidecar: dict) -> None:
    assert json.loads(score().json()) == sidecar
    assert DEMO.with_suffix(".json").read_text() == score().json()


def test_the_sidecar_has_24_bars_and_its_sections_in_order(sidecar: dict) -> None:
    assert sidecar["tempo"] == 128
    assert len(sidecar["beats"]) == 96 and len(sidecar["downbeats"]) == 24
    assert sidecar["beats"][::4] == sidecar["downbeats"]
    assert np.allclose(np.diff(sidecar["beats"]), 60 / 128, atol=2e-6)
    assert [s["name"] for s in sidecar["sections"]] == [name for name, *_ in SECTIONS]
    for before, after in zip(sidecar["sections"], sidecar["sections"][1:], strict=False):
        assert before["end"] == after["start"]
    silence = next(s for s in sidecar["sections"] if s["name"] == "silence")
    assert silence["end"] - silence["start"] == pytest.approx(4 * BEAT)
    drop = next(s for s in sidecar["sections"] if s["name"] == "drop")
    assert drop["start"] < 16, "twenty seconds of the demo must reach the drop"


def test_the_file_is_small_stereo_and_exactly_24_bars(track: np.ndarray, sidecar: dict) -> None:
    info = soundfile.info(DEMO)
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 2, "VORBIS")
    assert DEMO.stat().st_size <= 1_000_000
    assert len(track) == round(24 * BAR * RATE) == round(sidecar["duration"] * RATE)


def test_the_track_is_as_loud_as_other_music_and_does_not_cancel_in_mono(track: np.ndarray) -> None:
    assert 20 * np.log10(np.abs(track).max()) < -1
    assert loudness(track) == pytest.approx(-14, abs=0.5)
    assert abs(track.mean()) < 1e-3
    assert level(track[:, 0]) == pytest.approx(level(track[:, 1]), abs=1)
    assert level(track.mean(axis=1)) > level(track) - 2, "the analysis hears mono: it must not cancel"


def test_every_section_sounds_like_its_name(track: np.ndarray, sidecar: dict) -> None:
    levels = {}
    for part in sidecar["sections"]:
        levels.setdefault(part["name"], []).append(level(between(track, part["start"] + 0.05, part["end"] - 0.05)))
    assert max(levels["silence"]) < -75
    assert min(levels["drop"]) > max(levels["intro"] + levels["breakdown"]) + 4
    assert levels["intro"][0] < levels["build-up"][0] < levels["drop"][0]
    build = [level(shaped(between(track, bar * BAR, (bar + 1) * BAR).mean(axis=1), low=3000)) for bar in (4, 5, 6, 7)]
    assert build == sorted(build), "the riser rises"


@pytest.mark.parametrize(
    ("drum", "low", "high", "ratio"), [("kicks", 0, 130, 4), ("snares", 1000, 6000, 2), ("hats", 8000, 0, 2)]
)
def test_drums_are_where_the_sidecar_says(
    track: np.ndarray, sidecar: dict, drum: str, low: float, high: float, ratio: float
) -> None:
    """In the drops the energy of a drum's band jumps within 20 ms of each of its onsets."""
    energy = shaped(track.mean(axis=1).astype(float), low, high, 8) ** 2
    summed = np.concatenate([[0.0], np.cumsum(energy)])

    def power(start: float, length: float) -> float:
        at = round(start * RATE)
        return float(summed[at + round(length * RATE)] - summed[at]) / length

    drops = [(part["start"], part["end"]) for part in sidecar["sections"] if part["name"] == "drop"]
    onsets = [t for t in sidecar[drum] if any(start < t < end for start, end in drops)]
    assert len(onsets) >= 20
    rises = [power(t, 0.02) / (power(t - 0.025, 0.02) + 1e-9) for t in onsets]
    assert np.median(rises) > ratio


def test_there_is_no_click_at_the_loop_point(track: np.ndarray) -> None:
    """At the loop point the waveform has no larger step than in the beat before it."""
    turned = np.roll(track, RATE // 2, axis=0)
    bend = np.abs(np.diff(turned, n=2, axis=0)).max(axis=1)
    seam = bend[RATE // 2 - 4 : RATE // 2 + 4].max()
    assert seam < np.percentile(bend[: RATE // 2 - 10], 99.5)


def test_saw_has_no_audible_aliases() -> None:
    spectrum = np.abs(np.fft.rfft(saw(1001.0, 1.0) * np.hanning(RATE)))
    harmonics = np.zeros(len(spectrum), bool)
    for harmonic in range(1, 24):
        harmonics[1001 * harmonic - 3 : 1001 * harmonic + 4] = True
    assert spectrum[~harmonics][:8000].max() < 10 ** (-50 / 20) * spectrum.max()


def test_loudness_of_the_standards_own_example() -> None:
    """BS.1770: a 997 Hz sine at 0 dBFS in one channel of two is -3.01 LUFS."""
    tone = np.sin(2 * np.pi * 997 * seconds(5.0))
    assert loudness(np.stack([tone, 0 * tone], axis=1)) == pytest.approx(-3.01, abs=0.02)
    assert loudness(np.zeros((RATE, 2))) == -np.inf


@pytest.mark.slow
def test_the_generator_makes_the_file(track: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    master, mixes = synth.mastered, []

    def mastered(mix: np.ndarray, *given: float) -> np.ndarray:
        mixes.append(mix.copy())
        return master(mix, *given) if len(mixes) == 1 else mix

    monkeypatch.setattr(synth, "mastered", mastered)
    for name in ("_basses", "_pads", "_leads"):  # most of the work, and of no random numbers: once is enough
        monkeypatch.setattr(demo_track, name, functools.cache(getattr(demo_track, name)))
    made = demo_track.render()
    demo_track.render()
    assert np.array_equal(*mixes)
    error = level(made - track) - level(made)
    assert error < -15, "Vorbis at this rate stays 20 dB below the music"
    with_low_only = shaped((made - track).mean(axis=1), high=2000)
    assert level(with_low_only) < level(made) - 28
