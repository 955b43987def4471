"""The image's response to single clicks: latency, decay, and strength relative to its idle motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tpos_live.audio.source import RATE

CLICKS = 200
BEFORE, AFTER = 0.3, 0.9
"""Seconds before and after a click that are evaluated."""


@dataclass(frozen=True)
class Response:
    """latency: seconds from a click to half of the peak change. decay: seconds from the peak to 1/e of it.

    d_prime: (mean change at the peak - mean idle change) / standard deviation of the idle change (Green and Swets
    1966). curve: mean change around the clicks minus the idle change, from -BEFORE to AFTER.
    """

    latency: float
    decay: float
    d_prime: float
    curve: np.ndarray


def clicks(count: int = CLICKS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A sound of short drum-like clicks at random times, 1.2 to 2 s apart: float32 [n, 2] and the times in seconds."""
    rng = np.random.default_rng(seed)
    times = 3.0 + np.cumsum(rng.uniform(AFTER + BEFORE, 2.0, count))
    sound = 1e-4 * rng.standard_normal(int((times[-1] + 2.0) * RATE)).astype(np.float32)
    t = np.arange(int(0.06 * RATE)) / RATE
    click = (np.exp(-t / 0.012) * (np.sin(2 * np.pi * 70 * t) + 0.5 * rng.standard_normal(len(t)))).astype(np.float32)
    for at in times:
        start = int(at * RATE)
        sound[start : start + len(click)] += 0.5 * click
    return np.repeat(sound[:, None], 2, axis=1), times


def respond(change: np.ndarray, times: np.ndarray, fps: float) -> Response:
    """The response to clicks at `times` (seconds). change: change of the image, one value for each image."""
    first, last = -round(BEFORE * fps), round(AFTER * fps)
    at = np.round(times * fps).astype(int)
    at = at[(at + first >= 0) & (at + last < len(change))]
    around = change[at[:, None] + np.arange(first, last)]
    idle = around[:, : -first - 1]
    curve = around.mean(axis=0) - idle.mean()
    after = curve[-first:]
    peak = int(after.argmax())
    top = float(after[peak])
    if top <= 0 or idle.std() == 0:
        return Response(float("nan"), float("nan"), 0.0 if top <= 0 else float("inf"), curve)
    latency = _crossing(after[: peak + 1], 0.5 * top, rising=True)
    decay = _crossing(after[peak:], top / np.e, rising=False)
    strongest = around[:, -first + peak]
    return Response(latency / fps, decay / fps, float((strongest.mean() - idle.mean()) / idle.std()), curve)


def _crossing(values: np.ndarray, level: float, rising: bool) -> float:
    """Interpolated index at which the values first reach `level`; their length if they never do."""
    reached: Callable[[float], bool] = (lambda v: v >= level) if rising else (lambda v: v <= level)
    for index, value in enumerate(values):
        if reached(value):
            if index == 0:
                return 0.0
            before = float(values[index - 1])
            return index - 1 + (level - before) / (float(value) - before)
    return float(len(values))
