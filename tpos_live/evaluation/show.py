"""Measures what an audience sees of a show: visibility of kicks, drops, similarity over time, scenes.

A viewer in the back row is modelled by BACK_ROW pixels of blurred lightness. The change of this image over
CHANGE_SECONDS has larger peaks at kicks than between them. How well both can be told apart is d' (Green and Swets,
"Signal Detection Theory and Psychophysics", 1966):

    d' = (mean of the peaks at kicks - mean of the peaks between) / sqrt((variance at kicks + variance between) / 2)

A peak is the largest change within WINDOW seconds. Windows between kicks begin at least AFTER seconds after a kick and
end before the next one. So both kinds of peaks are maxima of the same number of frames.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.display.flash_limiter import luminance

BACK_ROW = (64, 36)
"""Width and height in pixels."""
CHANGE_SECONDS = 1 / 15
WINDOW = 0.1
AFTER = 0.2
FEWEST = 8
"""Smallest number of kicks, and of windows between kicks, for a d'."""
LAGS = (1, 5, 20, 60, 120)
"""Seconds between two images that are compared."""
SAMPLES = 2
"""Images per second that are compared and classified."""
SIMILAR = (32, 18)
"""Width and height of the images that are compared, in colour."""
SHOWN_SECONDS = 3.0
"""A scene counts if the classifier recognises it for so long without a break."""
DROPS = Path(__file__).with_name("drops.tsv")
_BLUR = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


class ShowError(Exception):
    """A show cannot be measured; the message says in one line what, where and what to do."""


def shrink(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Area averages: uint8 [h, w, 3] to float32 [height, width, 3], 0 to 1. size: (width, height)."""
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float().div_(255)
    small = F.interpolate(image, size=(size[1], size[0]), mode="area")[0].permute(1, 2, 0)
    return np.asarray(small.numpy())


def back_row(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """CIE lightness, 0 to 100, float [36, 64] of uint8 [h, w, 3], blurred by one pixel; and the mean luminance, 0 to 1.

    Lightness: CIE 15:2004, from relative luminance.
    """
    light = luminance(shrink(pixels, BACK_ROW))
    mean = float(light.mean())
    for axis in (0, 1):
        padded = np.pad(light, [(2, 2) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        light = sum(w * padded.take(range(i, i + light.shape[axis]), axis) for i, w in enumerate(_BLUR))
    cubic = np.where(light > (6 / 29) ** 3, np.cbrt(light), light / (3 * (6 / 29) ** 2) + 4 / 29)
    return 116.0 * cubic - 16.0, mean


class BackRow:
    """Collects the change of lightness and the mean luminance of each frame; 8 bytes for each frame."""

    def __init__(self, fps: float) -> None:
        self._past: deque[np.ndarray] = deque(maxlen=max(round(CHANGE_SECONDS * fps), 1))
        self._change, self._light = array("f"), array("f")

    def push(self, pixels: np.ndarray) -> None:
        """Take the next frame, uint8 [h, w, 3]."""
        lightness, mean = back_row(pixels)
        self._change.append(float(np.abs(lightness - self._past[0]).mean()) if self._past else 0.0)
        self._light.append(mean)
        self._past.append(lightness)

    @property
    def change(self) -> np.ndarray:
        """Mean change of the lightness over CHANGE_SECONDS, float32 [frames]."""
        return np.array(self._change)

    @property
    def light(self) -> np.ndarray:
        """Mean luminance, 0 to 1, float32 [frames]."""
        return np.array(self._light)


@dataclass
class Similarity:
    """Mean correlation of images that are LAGS seconds apart; keeps the last 120 s of small images."""

    _past: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=max(LAGS) * SAMPLES))
    _sums: dict[int, float] = field(default_factory=lambda: dict.fromkeys(LAGS, 0.0))
    _counts: Counter[int] = field(default_factory=Counter)

    def push(self, pixels: np.ndarray) -> None:
        """Take the next image, uint8 [h, w, 3], SAMPLES per second."""
        image = shrink(pixels, SIMILAR).ravel()
        image = image - image.mean()
        image = (image / max(float(np.linalg.norm(image)), 1e-6)).astype(np.float16)
        for lag in LAGS:
            if len(self._past) >= lag * SAMPLES:
                before = self._past[-lag * SAMPLES]
                self._sums[lag] += float(before.astype(np.float32) @ image.astype(np.float32))
                self._counts[lag] += 1
        self._past.append(image)

    def means(self) -> dict[int, float]:
        """Correlation, -1 to 1, by lag in seconds; NaN for lags longer than the show."""
        return {lag: self._sums[lag] / self._counts[lag] if self._counts[lag] else math.nan for lag in LAGS}


def frames_of(times: np.ndarray, fps: float) -> np.ndarray:
    """Index of the first frame that can show a sound at each of `times`, int [n]. Frame k is drawn from the sound up to
    (k + 1) / fps, and the time of features is the end of their sound."""
    return np.ceil(np.asarray(times, float) * fps - 1e-6).astype(int) - 1


def d_prime(change: np.ndarray, times: np.ndarray, fps: float) -> float:
    """d' of events at `times` (seconds) against the windows between them; NaN with fewer than FEWEST of either.

    change: one value for each frame (`BackRow.change`). An event in the first frame does not count, because there is no
    frame before it.
    """
    width, apart = max(round(WINDOW * fps), 1), max(round(AFTER * fps), 1)
    first = np.unique(frames_of(times, fps))
    first = first[(first >= 1) & (first + width <= len(change))]
    if len(change) < width or len(first) < FEWEST:
        return math.nan
    peaks = np.lib.stride_tricks.sliding_window_view(np.asarray(change, float), width).max(axis=1)
    between = np.zeros(len(peaks), bool)
    for start, end in itertools.pairwise([*first, len(change)]):
        between[start + apart : max(end - width + 1, 0)] = True
    if between.sum() < FEWEST:
        return math.nan
    at, other = peaks[first], peaks[between]
    spread = math.sqrt((at.var() + other.var()) / 2)
    gap = float(at.mean() - other.mean())
    return gap / spread if spread > 0 else math.copysign(math.inf, gap) if gap else 0.0


def impulses(light: np.ndarray, times: np.ndarray, fps: float) -> np.ndarray:
    """Relative rise of the mean luminance at each event: the largest value within WINDOW, divided by the frame before,
    minus 1; float [n]. Events too near to the ends are left out."""
    width = max(round(WINDOW * fps), 1)
    first = frames_of(times, fps)
    first = first[(first >= 1) & (first + width <= len(light))]
    return np.array([light[f : f + width].max() / max(light[f - 1], 1e-6) - 1.0 for f in first])


def oscillator_d_prime(change: np.ndarray, tempo: float, fps: float, phases: int = 8) -> float:
    """d' of regular events at `tempo` BPM with unknown phase, a control: the mean over `phases` phases."""
    if tempo <= 0:
        return math.nan
    period, seconds = 60.0 / tempo, len(change) / fps
    found = [d_prime(change, np.arange(n / phases * period, seconds, period), fps) for n in range(phases)]
    return float(np.mean(found))


@dataclass(frozen=True)
class DropMatch:
    """Numbers of drops. found: listed and detected. missed: listed, not detected. false: detected, not listed."""

    found: int = 0
    missed: int = 0
    false: int = 0


def match_drops(found: Sequence[float], listed: Sequence[float], beats: Sequence[float]) -> DropMatch:
    """Compare detected and listed times in seconds, with a tolerance of one beat. beats: seconds per beat at each
    detected drop."""
    left = list(listed)
    for time, beat in zip(found, beats, strict=True):
        near = [other for other in left if abs(other - time) <= beat]
        if near:
            left.remove(min(near, key=lambda other: abs(other - time)))
    matched = len(listed) - len(left)
    return DropMatch(matched, len(left), len(found) - matched)


def read_drops(path: Path = DROPS) -> dict[str, tuple[float, ...]]:
    """The list made by hand: times of the drops in seconds, by the track's file name without suffix.

    Format of a line: name, tab, seconds separated by spaces (none for a track without drops). # begins a comment.
    """
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, times = line.partition("\t")
            found[name.strip()] = tuple(float(time) for time in times.split())
    return found


def scenes(names: Iterable[str]) -> set[str]:
    """Scenes that are recognised for SHOWN_SECONDS without a break. names: recognised scenes, SAMPLES per second."""
    return {name for name, run in itertools.groupby(names) if len(list(run)) >= SHOWN_SECONDS * SAMPLES}
