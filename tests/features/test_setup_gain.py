"""SetUpGain: the gain for an input that is too quiet."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.music import RATE, four_on_the_floor

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.agc import LIFT_FALL_DB, LIFT_LIMIT_DB, LIFT_RISE_DB, LOUD_DB, SetUpGain
from tpos_live.features.extractor import FeatureExtractor
from tpos_live.features.features import HOP_SECONDS, Features

SECOND = round(1 / HOP_SECONDS)


def hear(sound: np.ndarray) -> list[Features]:
    return FeatureExtractor().push(sound.astype(np.float32), ParameterStore().snapshot())


def at_level(sound: np.ndarray, dbfs: float) -> np.ndarray:
    return sound * 10 ** (dbfs / 20) / np.sqrt(np.mean(sound**2))


def test_it_is_bounded_slow_and_frozen_without_sound() -> None:
    gain = SetUpGain()
    up = [gain.step(-80.0, True) for _ in range(30 * SECOND)]
    assert max(np.diff(up)) <= LIFT_RISE_DB * HOP_SECONDS + 1e-9 and up[-1] == pytest.approx(LIFT_LIMIT_DB)
    assert gain.step(-10.0, False) == up[-1]
    down = [gain.step(0.0, True) for _ in range(3 * SECOND)]
    assert min(np.diff(down)) >= -LIFT_FALL_DB * HOP_SECONDS - 1e-9 and down[-1] == 0.0


def test_a_quiet_part_after_loud_music_is_not_lifted() -> None:
    gain = SetUpGain()
    for _ in range(10 * SECOND):
        gain.step(LOUD_DB + 6.0, True)
    assert max(gain.step(-45.0, True) for _ in range(300 * SECOND)) == 0.0


def heard_at(dbfs: float) -> list[Features]:
    """Half a minute of music at this level."""
    return hear(at_level(four_on_the_floor(128, 30)[0], dbfs))


@pytest.fixture(scope="module")
def loud() -> list[Features]:
    return heard_at(-20.0)


@pytest.mark.parametrize("dbfs", [-30.0, -38.0, -45.0])
def test_a_quiet_show_moves_fully_after_20_seconds(loud: list[Features], dbfs: float) -> None:
    quiet = heard_at(dbfs)
    for name in ("level", "bass"):
        usual, found = (np.mean([getattr(f, name) for f in heard[20 * SECOND :]]) for heard in (loud, quiet))
        assert found >= 0.85 * usual, name
    kicks = [sum(f.kick >= 0.9 for f in heard[20 * SECOND :]) for heard in (loud, quiet)]
    assert kicks[1] >= 0.9 * kicks[0] > 0


def test_noise_of_a_room_is_not_lifted() -> None:
    noise = np.random.default_rng(3).normal(0.0, 10 ** (-45 / 20), 20 * RATE)
    found = hear(noise)
    assert found[-1].gain == found[5 * SECOND].gain < 6.0
    assert max(f.level for f in found[5 * SECOND :]) < 0.02


def test_a_solo_instrument_of_steady_level_is_no_hum() -> None:
    time = np.arange(24 * RATE) / RATE
    note = 110.0 * 2.0 ** (np.array([0, 3, 5, 7])[(time / 1.5).astype(int) % 4] / 12.0)
    phase = 2.0 * np.pi * np.cumsum(note) / RATE
    sound = sum(np.sin(k * phase + k * k) for k in range(1, 12))  # one chord after the other, no attacks
    room = np.random.default_rng(4).normal(0.0, 10 ** (-75 / 20), 25 * RATE)
    found = hear(room + np.pad(at_level(sound, -40.0), (RATE, 0)))
    assert all(f.gate for f in found[2 * SECOND :])
    assert np.mean([f.level for f in found[21 * SECOND :]]) > 0.6


@pytest.mark.parametrize("hum", [True, False])
def test_what_does_not_change_is_hum_or_hiss(hum: bool) -> None:
    time = np.arange(12 * RATE) / RATE
    tones = sum(np.sin(2.0 * np.pi * 50.0 * k * time + k) / k for k in (1, 2, 3, 4, 5, 7))
    hiss = np.random.default_rng(5).normal(0.0, 1.0, len(time))
    room = np.random.default_rng(6).normal(0.0, 10 ** (-75 / 20), 13 * RATE)
    found = hear(room + np.pad(at_level(tones if hum else hiss, -40.0), (RATE, 0)))
    assert any(f.gate for f in found) and not any(f.gate for f in found[10 * SECOND :])
