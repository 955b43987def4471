"""Separable filters as one matrix for each axis: `down` @ image @ `across`.T.

A sequence of low-pass, shrinking and enlargement is a single matrix product, which is faster than three passes over the
pixels. Matrices are cached, because a scene uses the same few for every image of a size.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F

Side = torch.Tensor
"""A filter of one axis: float [samples after, samples before]."""


def apply(image: torch.Tensor, down: Side, across: Side) -> torch.Tensor:
    """Filter both axes: float [..., h, w] to [..., rows of `down`, rows of `across`]."""
    return down @ (image @ across.T)


@lru_cache(maxsize=192)  # 147 for all scenes in one size
def low_pass(places: int, sigma: float, factor: int, device: torch.device, dtype: torch.dtype) -> Side:
    """Gaussian low-pass that keeps the variance of white noise, also at the border, where it is normalised over the
    samples inside; then "bicubic" `enlarge`. places: samples before. sigma: in samples."""
    with torch.inference_mode(False):
        at = torch.arange(places, dtype=torch.float64)
        apart = (at[:, None] - at[None, :]).abs()
        kernel = torch.exp(-0.5 * (apart / sigma) ** 2) * (apart <= max(1, math.ceil(2.5 * sigma)))
        kernel = kernel / kernel.square().sum(1, keepdim=True).sqrt()
        return (enlarge(places, factor, "bicubic", at.device, at.dtype) @ kernel).to(device, dtype)


@lru_cache(maxsize=64)
def enlarge(places: int, factor: int, mode: str, device: torch.device, dtype: torch.dtype) -> Side:
    """Enlargement as by `torch.nn.functional.interpolate`, "bilinear" or "bicubic", by an integer factor."""
    with torch.inference_mode(False):
        unit = torch.eye(places, dtype=torch.float64)[None, None]
        larger = F.interpolate(unit, size=(places * factor, places), mode=mode, align_corners=False)
        return larger[0, 0].to(device, dtype)


@lru_cache(maxsize=64)
def soft_shrink(places: int, sigma: float, factor: int, device: torch.device, dtype: torch.dtype) -> Side:
    """Mean of each `factor` samples, then a Gaussian low-pass of sum 1 that repeats the border. sigma: in samples after
    shrinking."""
    with torch.inference_mode(False):
        small = places // factor
        mean = torch.eye(small, dtype=torch.float64).repeat_interleave(factor, 1) / factor
        reach = max(1, int(2 * sigma + 0.5))
        at = torch.arange(-reach, reach + 1, dtype=torch.float64)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        soft = torch.zeros(small, small, dtype=torch.float64)
        for offset, weight in zip(at.int().tolist(), kernel / kernel.sum(), strict=True):
            soft[range(small), [min(max(k + offset, 0), small - 1) for k in range(small)]] += weight
        return (soft @ mean).to(device, dtype)
