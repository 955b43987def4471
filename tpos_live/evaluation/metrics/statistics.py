"""Statistics for the evaluation: Fréchet distance, rank correlation, sharpness, image difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from tpos_live.core.optional_library import optional_library

_stats = optional_library("scipy.stats", "evaluate")


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two sets of features [n, d], each modelled as a Gaussian.

    |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982; for images: Heusel et al. 2017).
    Biased upwards for small n: compare only distances with the same n. Raises ValueError for fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a distance of distributions needs at least two images of each")
    a, b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    # tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), of a symmetric matrix: exact also for a singular one, which the
    # covariance of fewer images than features is; scipy's sqrtm is inaccurate there, and warns.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ cov_b @ root), 0, None)).sum()
    shift = a.mean(0) - b.mean(0)
    return max(float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * shared), 0.0)


def mean_distance(clouds: Mapping[str, np.ndarray]) -> float:
    """Mean Fréchet distance over all pairs of named feature sets; the unit for distances in the evaluation."""
    return float(np.mean([frechet(a, b) for a, b in combinations(clouds.values(), 2)]))


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation; 0 where one of them is constant."""
    if len(a) < 2 or min(np.ptp(a), np.ptp(b)) == 0:
        return 0.0
    return float(_stats.spearmanr(a, b).statistic)


def sharpness(images: np.ndarray) -> np.ndarray:
    """Mean gradient magnitude of the grey values, float [batch], of uint8 images [batch, H, W, 3]."""
    grey = images.astype(np.float32).mean(-1) / 255
    down, across = np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]
    lengths: np.ndarray = np.sqrt(down**2 + across**2).mean((1, 2))
    return lengths


def small(image: np.ndarray, side: int = 64) -> np.ndarray:
    """An image uint8 [H, W, 3] as block means, float32 [~side, ~side, 3] in [0, 1]; its shorter side becomes `side`."""
    height, width = image.shape[:2]
    block = max(min(height, width) // side, 1)
    rows, columns = height // block, width // block
    cut = image[: rows * block, : columns * block].astype(np.float32) / 255
    means: np.ndarray = cut.reshape(rows, block, columns, block, 3).mean((1, 3))
    return means


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two images at 64 by 64 pixels, 0 to 1."""
    return float(np.abs(small(a) - small(b)).mean())
