"""Silence and level: hum, hiss and noise leave the image calm; clipped and one-channel music still works."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pytest

from tpos_live.audio.conversion import Downmix
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.modulation.integrator import BASE_SPEED, ModulationIntegrator

RATE = 48_000
SNAPSHOT = ParameterStore().snapshot()
TIME = np.arange(6 * RATE) / RATE


def beat(level: float = 0.5) -> np.ndarray:
    """Six seconds of kicks and hats."""
    rng = np.random.default_rng(1)
    at = TIME % 0.5
    kicks = np.sin(2 * np.pi * (48 * at + 3.3 * (1 - np.exp(-at / 0.03)))) * np.exp(-at / 0.09)
    hats = np.diff(rng.normal(0, 1, TIME.size + 1)) * np.exp(-((TIME + 0.25) % 0.5) / 0.03)
    return (level * (kicks + 0.2 * hats)).astype(np.float32)


def drives(sound: np.ndarray) -> list[FrameParams]:
    integrator = ModulationIntegrator()
    return [integrator.step(f, SNAPSHOT, f.time) for f in FeatureExtractor().push(sound, SNAPSHOT)]


def hum(hertz: float) -> np.ndarray:
    return sum(0.01 / k * np.sin(2 * np.pi * hertz * k * TIME + k) for k in (1, 2, 3, 5)).astype(np.float32)


def hiss(level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, TIME.size).astype(np.float32)


def gusty(level: float) -> np.ndarray:
    """Noise that swells by 6 dB, as a room does."""
    return hiss(level) * (1.5 + 0.5 * np.sin(2 * np.pi * 0.7 * TIME)).astype(np.float32)


def torn() -> np.ndarray:
    """A driver that gives nonsense in silence."""
    sound = hiss(1e-5)
    sound[::331] = np.nan
    sound[7::1009] = np.inf
    return sound


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(TIME.size, np.float32),
        hum(50.0),
        hum(60.0) + hiss(0.001),
        hiss(0.004),
        gusty(0.0005),
        beat() * np.float32(1e-3),
        np.full(TIME.size, np.nan, np.float32),
        torn(),
        np.full(TIME.size, 0.3, np.float32),
    ],
    ids=["silence", "50 Hz", "60 Hz and hiss", "hiss", "room", "60 dB quieter", "NaN", "NaN and inf in silence", "DC"],
)
def test_what_is_no_music_leaves_the_image_calm(sound: np.ndarray) -> None:
    found = drives(sound)
    late = found[450:]
    assert max(d.speed for d in late) < 0.5 * BASE_SPEED
    assert max(abs(d.zoom) for d in late) < 1e-3 and max(abs(d.rotate) for d in late) < 0.01
    assert np.ptp([d.bloom for d in late]) < 0.01 and np.ptp([d.intensity for d in late]) < 0.25
    assert max(d.audio_weight for d in late) < 0.1 and {d.cut_index for d in found} == {0}
    assert max(abs(b.exposure - a.exposure) for a, b in itertools.pairwise(found)) < 0.02


def test_music_that_stops_lets_the_image_sink_without_a_jump() -> None:
    found = drives(np.concatenate([beat(), np.zeros(4 * RATE, np.float32)]))[580:]
    for name, most in (("exposure", 0.01), ("saturation", 0.01), ("intensity", 0.02), ("speed", 0.25), ("zoom", 0.03)):
        steps = np.abs(np.diff([getattr(d, name) for d in found[30:]]))
        assert steps.max() < most, name
    assert -0.5 <= found[-1].exposure < -0.35


def test_clipped_music_is_music() -> None:
    found = FeatureExtractor().push(np.clip(beat() * 40.0, -1.0, 1.0).astype(np.float32), SNAPSHOT)
    kicks = [b.time for a, b in itertools.pairwise(found) if b.kick > a.kick + 0.01 and b.time > 1.0]
    assert 9 <= sum(min(t % 0.5, 0.5 - t % 0.5) < 0.05 for t in kicks) <= 24
    for d in drives(np.clip(beat() * 40.0, -1.0, 1.0)):
        assert all(np.isfinite(getattr(d, f.name)).all() for f in fields(d) if f.name != "direction")
        assert abs(d.zoom - d.direction.zoom) < 0.1


def test_one_channel_is_enough() -> None:
    mono = beat()
    both = FeatureExtractor().push(Downmix(2).push(np.stack([mono, mono], 1)), SNAPSHOT)
    one = FeatureExtractor().push(Downmix(2).push(np.stack([mono, np.zeros_like(mono)], 1)), SNAPSHOT)
    assert [f.kick > 0.3 for f in both[200:]] == [f.kick > 0.3 for f in one[200:]]
    assert np.max(np.abs(np.array([a.level - b.level for a, b in zip(both, one, strict=True)]))) <= 6.1 / 30.0
    assert one[-1].tempo == pytest.approx(both[-1].tempo, rel=0.003)
