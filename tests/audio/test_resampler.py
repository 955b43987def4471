from __future__ import annotations

import numpy as np
import pytest

from tpos_live.audio.conversion import Resampler

RATES = [8_000, 16_000, 22_050, 32_000, 44_100, 88_200, 96_000, 192_000]


def sine(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    wave = np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate).astype(np.float32)
    return np.stack([wave, -wave], axis=1)


def run(samples: np.ndarray, rate: int, sizes: list[int], live: bool = True) -> np.ndarray:
    resampler, at, out = Resampler(rate, live), 0, []
    for count in sizes:
        out.append(resampler.push(samples[at : at + count]).copy())
        at += count
    out.append(resampler.push(samples[at:], last=True).copy())
    return np.concatenate(out)


def test_the_analysis_rate_passes_untouched() -> None:
    block = sine(440, 48_000)
    assert Resampler(48_000).push(block) is block


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("rate", RATES)
def test_a_sine_stays_a_sine_of_the_same_level_and_place(rate: int, live: bool) -> None:
    out = run(sine(440, rate), rate, [rate // 100] * 90, live)
    assert len(out) == pytest.approx(48_000, abs=2)
    middle = slice(4800, 43_200)
    wanted = np.sin(2 * np.pi * 440 * np.arange(len(out)) / 48_000)[middle]
    late_by_two_samples = 2 * np.pi * 440 / 48_000 * 2
    assert np.abs(out[middle, 0] - wanted).max() < late_by_two_samples
    assert out[middle, 0].std() == pytest.approx(np.sqrt(0.5), rel=2e-3)
    assert np.array_equal(out[:, 0], -out[:, 1])


def test_what_48_khz_cannot_hold_is_removed() -> None:
    out = run(sine(30_000, 96_000), 96_000, [960] * 90)
    assert np.abs(out[4800:-4800]).max() < 1e-4


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_block_sizes_do_not_matter(rate: int) -> None:
    noise = np.random.default_rng(3).standard_normal((rate, 2)).astype(np.float32)
    random = np.random.default_rng(4)
    a = run(noise, rate, [rate // 100] * 90)
    b = run(noise, rate, [int(n) for n in random.integers(1, rate // 40, 30)])
    assert np.array_equal(a, b)


@pytest.mark.parametrize(("rate", "delay"), [(44_100, 0.001), (96_000, 0.003), (88_200, 0.003)])
def test_the_live_delay_is_small(rate: int, delay: float) -> None:
    resampler, block = Resampler(rate), np.zeros((rate // 100, 2), np.float32)
    heard = [len(resampler.push(block)) for _ in range(100)]
    missing = 0.01 * np.arange(1, 101) - np.cumsum(heard) / 48_000
    assert missing.max() <= delay
