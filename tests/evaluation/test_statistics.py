"""Statistics against values that are known without them."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.evaluation.metrics.statistics import difference, frechet, sharpness, small, spearman

RNG = np.random.default_rng(0)


def test_frechet_of_the_same_cloud_is_nothing() -> None:
    cloud = RNG.normal(size=(50, 8))
    assert frechet(cloud, cloud) == pytest.approx(0, abs=1e-9)


def test_frechet_of_a_shifted_cloud_is_the_squared_shift() -> None:
    cloud = RNG.normal(size=(200, 8))
    assert frechet(cloud, cloud + 3.0) == pytest.approx(8 * 9, rel=1e-9)


def test_frechet_of_a_wider_cloud_is_what_the_formula_says() -> None:
    cloud = RNG.normal(size=(20_000, 3))
    # per dimension: (sigma - 3 sigma)^2 = 4 sigma^2
    assert frechet(cloud, 3 * cloud - 2 * cloud.mean(0)) == pytest.approx(4 * cloud.var(0, ddof=1).sum(), rel=1e-6)


def test_frechet_sees_turned_clouds_and_is_symmetric() -> None:
    a, b = RNG.normal(size=(300, 2)) * (5, 1), RNG.normal(size=(300, 2)) * (1, 5)
    assert frechet(a, b) == pytest.approx(frechet(b, a)) and frechet(a, b) > 10


def test_frechet_with_fewer_images_than_features_is_finite() -> None:
    assert np.isfinite(frechet(RNG.normal(size=(5, 64)), RNG.normal(size=(5, 64))))
    with pytest.raises(ValueError):
        frechet(np.zeros((1, 4)), np.zeros((5, 4)))


@pytest.mark.parametrize(
    ("a", "b", "rank"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 4000], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 2, 2, 3], [1, 2, 2, 3], 1.0),
        ([1, 1, 1], [1, 2, 3], 0.0),
    ],
)
def test_spearman(a: list[float], b: list[float], rank: float) -> None:
    assert spearman(a, b) == pytest.approx(rank)


def test_small_is_a_mean_over_areas() -> None:
    image = np.zeros((256, 128, 3), np.uint8)
    image[:4, :2] = 255
    assert small(image).shape == (128, 64, 3)
    assert small(np.full((256, 256, 3), 255, np.uint8)).min() == 1
    checks = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)
    assert difference(checks, 255 - checks) == 0


def test_a_blurred_image_is_less_sharp() -> None:
    noise = RNG.integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    soft = ((noise.astype(int) + np.roll(noise, 1, 2) + np.roll(noise, 1, 1)) // 3).astype(np.uint8)
    assert (sharpness(soft) < 0.8 * sharpness(noise)).all()
    assert sharpness(np.zeros((1, 8, 8, 3), np.uint8)) == [0]
