from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch

from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.sampling import noise_field
from tpos_live.diffusion.sampling.noise_field import NoiseField, kernel
from tpos_live.diffusion.sampling.unet_tokens import SeedScalars


@pytest.mark.parametrize("position", [-7.3, -1.0, 0.0, 0.25, 0.5, 3.999, 1e6 + 0.1])
def test_weights_are_those_of_a_rotation(position: float) -> None:
    first, weights = kernel(position)
    assert first <= position - 1 < first + 1
    assert sum(w * w for w in weights) == pytest.approx(1.0)
    step = 1e-4
    there = dict(enumerate(weights, first))
    a, b = kernel(position + step)
    speed = math.sqrt(sum((w - there.get(n, 0.0)) ** 2 for n, w in enumerate(b, a))) / step
    assert speed == pytest.approx(math.pi / 4 * math.sqrt(2 / 1.5), rel=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (36, 64), (16, 15), (15, 15)])
def test_white_at_any_moment(size: tuple[int, int]) -> None:
    field = NoiseField(4, *size)
    values, power = [], torch.zeros(size[0], size[1] // 2 + 1)
    moments = np.random.default_rng(0).uniform(-50, 5000, 400)
    for n, walk in enumerate(moments):
        noise = field.at(n, n % 3, walk, walk * 0.37, walk * -0.11)
        assert noise.shape == (1, 4, *size) and noise.dtype == torch.float32
        values.append(noise.flatten().clone())
        power += torch.fft.rfft2(noise[0], norm="ortho").abs().square().mean(0)
    flat = torch.stack(values)
    assert abs(float(flat.mean())) < 0.01
    assert float(flat.var()) == pytest.approx(1.0, abs=0.01)
    kurtosis = float((flat**4).mean())
    assert kurtosis == pytest.approx(3.0, abs=0.05)
    # 1600 independent draws a coefficient: mean power 1, standard error at most sqrt(2 / 1600) = 0.035.
    power /= len(moments)
    assert float((power - 1).abs().max()) < 6 * 0.036


def test_the_trajectory_is_smooth_and_goes_far() -> None:
    field = NoiseField(4, 32, 32)
    track = [field.at(5, 0, 0.03 * n, 0.0, 0.0).clone() for n in range(400)]
    steps = torch.tensor([float((b - a).norm()) for a, b in itertools.pairwise(track)])
    assert float(steps.max()) < 1.2 * float(steps.median())
    random_pair = math.sqrt(2 * 4 * 32 * 32)
    assert float(steps.median()) / random_pair < 0.1
    unit = torch.stack([field.at(5, 0, 7.3, 0, 0).clone().flatten(), field.at(5, 0, 8.3, 0, 0).clone().flatten()])
    assert abs(float(torch.corrcoef(unit)[0, 1]) - 1 / 6) < 0.08
    curvature = [float((a - 2 * b + c).norm()) for a, b, c in zip(track, track[1:], track[2:], strict=False)]
    assert max(curvature) < 0.2 * float(steps.median())  # no kink, at keyframes either


@pytest.mark.parametrize("size", [(32, 32), (36, 64), (15, 16)])
def test_pan_by_whole_pixels_is_a_roll(size: tuple[int, int]) -> None:
    height, width = size
    field = NoiseField(4, height, width)
    still = field.at(1, 0, 3.3).clone()
    for right, up in [(1, 0), (0, 1), (5, -3), (width, height), (3 * width + 1, -7 * height - 2)]:
        panned = field.at(1, 0, 3.3, right / width, up / height)
        assert torch.allclose(panned, still.roll((-up, right), (-2, -1)), atol=2e-4)


def test_pan_is_smooth_below_a_pixel() -> None:
    field = NoiseField(4, 32, 32)
    track = [field.at(1, 0, 2.0, n / 3200, n / 1700).clone() for n in range(200)]
    steps = torch.tensor([float((b - a).norm()) for a, b in itertools.pairwise(track)])
    assert float(steps.max()) < 1.5 * float(steps.median())


def test_deterministic_and_free_of_history() -> None:
    one, other = NoiseField(4, 32, 32), NoiseField(4, 32, 32)
    for walk in np.linspace(0, 100, 500):
        other.at(9, 0, walk)
    assert torch.equal(one.at(9, 1, 33.3, 0.1, 0.2), other.at(9, 1, 33.3, 0.1, 0.2))
    base = one.at(9, 1, 33.3).clone()
    for seed, look, stream in [(8, 1, 0), (9, 2, 0), (9, 1, 1)]:
        far = NoiseField(4, 32, 32, stream).at(seed, look, 33.3)
        assert abs(float(torch.corrcoef(torch.stack([base.flatten(), far.flatten()]))[0, 1])) < 0.08


def test_a_field_takes_less_than_a_millisecond() -> None:
    field = NoiseField(4, 32, 32)
    field.at(0, 0, 0.0)
    times = []
    for n in range(200):
        before = time.thread_time()
        field.at(0, 0, n / 30, n / 300, n / 400)
        times.append(time.thread_time() - before)
    assert sorted(times)[len(times) // 4] < 0.001


def test_scalars_stay_in_range_and_move_smoothly() -> None:
    made = SeedScalars(
        [
            Scalar(name="intensity", source="intensity"),
            Scalar(name="palette", source="seed", rate=0.05, cyclic=True),
            Scalar(name="horizon", source="seed", rate=0.05),
            Scalar(name="phase", source="clock", rate=0.25, cyclic=True),
        ]
    )
    track = np.array([made.at(3, 0, n / 30, 1.7) for n in range(9000)])
    assert track.min() >= 0 and track.max() <= 1
    assert (track[:, 0] == 1).all()
    steps = np.abs(np.diff(track, axis=0))
    steps = np.minimum(steps, 1 - steps)  # round the corner, for the cyclic ones
    assert steps[:, 1].max() == pytest.approx(0.05 / 30, rel=1e-3)
    assert steps[:, 3].max() == pytest.approx(0.25 / 30, rel=1e-3)
    speed = np.abs(np.diff(track[:, 2])) * 30 / 0.05
    assert 0.3 < speed.mean() < 1.0 and speed.max() < 4.5
    assert np.abs(np.diff(track[:, 2], 2)).max() * 30 / 0.05 < 0.1 * speed.max()  # no kink
    assert track[:, 2].std() > 0.15  # it goes somewhere
    assert made.at(3, 0, 1.0, 0.2) != made.at(3, 1, 1.0, 0.2) != made.at(4, 1, 1.0, 0.2)
    wandered = np.array([made.at(seed, 0, 11.0, 0)[2] for seed in range(800)])
    assert wandered.mean() == pytest.approx(0.5, abs=0.05) and wandered.std() == pytest.approx(0.289, abs=0.03)


def test_looking_ahead_changes_nothing_and_saves_the_next_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, plain = NoiseField(4, 32, 32), NoiseField(4, 32, 32)
    ahead.look_ahead()  # before the first there is nothing to look ahead from
    made: list[int] = []
    real = noise_field._noise
    monkeypatch.setattr(noise_field, "_noise", lambda *key: made.append(key[3]) or real(*key))
    for n in range(200):
        walk = n / 60
        made.clear()
        field = ahead.at(3, 0, walk).clone()
        assert n == 0 or not made, "a keyframe was wanted that nobody had made"
        ahead.look_ahead()
        assert torch.equal(field, plain.at(3, 0, walk))
