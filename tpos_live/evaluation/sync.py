"""Synchronisation of a video with its sound: correlation compared with chance, and AV-Align as published.

Onset strength and onset detection are librosa's, independent of the show's own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.core.optional_library import optional_library

SIDE = 64
"""Images are compared at SIDE by SIDE pixels."""
MAX_LAG = 0.5
"""Seconds that the image may lead or trail the sound."""
SHIFTS = 1000
SECONDS = 4.0
"""Shortest video that can be measured."""
_HOP = 0.01
_RATE = 22_050


class SyncError(Exception):
    """A video cannot be measured; the message says in one line why and what to do."""


@dataclass(frozen=True)
class Watched:
    """Features of a video and its sound; arrays have one value for each frame.

    change: mean CIELAB distance to the previous frame. flow: mean length of the optical flow from the previous frame,
    in pixels at SIDE by SIDE. onset: mean onset strength while the frame is shown. onsets: onset times in seconds.
    tempo: BPM.
    """

    fps: float
    change: np.ndarray
    flow: np.ndarray
    onset: np.ndarray
    onsets: np.ndarray
    tempo: float


@dataclass(frozen=True)
class Sync:
    """z: the best correlation within MAX_LAG, as a z-score against the best correlations with shifted sound.

    correlation: Pearson's r at that lag. lag: seconds by which the image trails the sound (negative: leads).
    """

    z: float
    correlation: float
    lag: float


def watch(path: Path) -> Watched:
    """Read a video. Raises SyncError for a file without video or sound, or shorter than SECONDS."""
    librosa, cv2 = (optional_library(name, "evaluate") for name in ("librosa", "cv2"))
    import av

    change, flow, before, grey_before = [0.0], [0.0], None, None
    moments: list[float] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video or not container.streams.audio:
                raise SyncError(f"{path}: has no picture or no sound; take a video written by tpos-live render")
            fps = float(container.streams.video[0].average_rate or 0)
            for frame in container.decode(video=0):
                moments.append(float(frame.time or 0.0))
                small = frame.reformat(SIDE, SIDE, "rgb24", interpolation="AREA").to_ndarray()
                lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
                grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
                if before is not None:
                    change.append(float(np.linalg.norm(lab - before, axis=2).mean()))
                    moved = cv2.calcOpticalFlowFarneback(grey_before, grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)
                    flow.append(float(np.linalg.norm(moved, axis=2).mean()))
                before, grey_before = lab, grey
        with av.open(str(path)) as container:
            mono = _mono(container, av)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise SyncError(f"{path}: cannot be read ({error}); take a video written by tpos-live render") from error
    places, fps = _places(moments, fps)
    changes, flows = (_spread(values, places) for values in (change, flow))
    if fps <= 0 or len(changes) < SECONDS * fps:
        raise SyncError(f"{path}: shorter than {SECONDS:.0f} s; take a longer one")
    hop = round(_HOP * _RATE)
    strength = librosa.onset.onset_strength(y=mono, sr=_RATE, hop_length=hop)
    times = (np.arange(len(changes)) + 0.5) / fps
    # Average over the frame's duration, so that no onset of 10 ms between two frames is missed.
    wide = max(round(1 / fps / _HOP), 1)
    even = np.convolve(strength, np.ones(wide) / wide, mode="same")
    onset = np.interp(times, np.arange(len(even)) * hop / _RATE, even, right=0.0)
    onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=_RATE, hop_length=hop, units="time")
    tempo = float(np.atleast_1d(librosa.feature.tempo(onset_envelope=strength, sr=_RATE, hop_length=hop))[0])
    return Watched(fps, changes, flows, onset, np.asarray(onsets, float), tempo)


def _places(moments: list[float], fps: float) -> tuple[np.ndarray, float]:
    """Frame number of each image, and frames per second. A recording with a slow encoder has gaps between frames."""
    steps = np.diff(moments)
    if len(steps) and steps.min() > 0 and steps.max() > 1.5 * steps.min():
        fps = round(float(1 / steps.min()), 3)
        return np.round((np.array(moments) - moments[0]) * fps).astype(int), fps
    return np.arange(len(moments)), fps


def _spread(values: list[float], places: np.ndarray) -> np.ndarray:
    """One value for each frame number; 0 where a frame is missing, because the image did not change there."""
    out = np.zeros(int(places[-1]) + 1 if len(places) else 1)
    out[places] = values[: len(places)]
    return out


def correlations(change: np.ndarray, onset: np.ndarray) -> np.ndarray:
    """Pearson's r [n] of the image's change with the sound, for every circular delay of the image in frames."""
    a, b = (np.asarray(series, float) - np.mean(series) for series in (change, onset))
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    if scale == 0:
        return np.zeros(len(a))
    product: np.ndarray = np.fft.irfft(np.fft.rfft(a) * np.conj(np.fft.rfft(b)), n=len(a)) / scale
    return product


def sync(
    change: np.ndarray, onset: np.ndarray, fps: float, shift: float = 0.0, seed: int = 0, within: float = MAX_LAG
) -> Sync:
    """Correlation of the image's change with the sound, compared with SHIFTS circular shifts of the sound.

    change, onset: one value for each frame. shift: seconds by which the sound is delayed first (a control). within:
    largest lag in seconds. The best of all lags is compared with the best of the same lags of each shifted sound.
    So a steady beat alone gives no z, because a sound shifted by whole beats fits as well.
    """
    r = np.roll(correlations(change, onset), -round(shift * fps))
    reach, apart = round(within * fps), round(MAX_LAG * fps)
    lags = np.arange(-reach, reach + 1)
    near = r[lags]
    best = int(near.argmax())
    rng = np.random.default_rng(seed)
    far = rng.integers(2 * apart, max(len(r) - 2 * apart, 2 * apart + 1), SHIFTS)
    chance = r[(far[:, None] + lags) % len(r)].max(axis=1)
    spread = float(chance.std())
    z = (float(near[best]) - float(chance.mean())) / spread if spread > 0 else 0.0
    return Sync(z, float(near[best]), float(lags[best] + _between(near, best)) / fps)


def strobe(n: int, fps: float, tempo: float) -> np.ndarray:
    """The change of a video that only flashes on every beat, one value for each frame; a control."""
    beat = np.arange(n) / fps * tempo / 60 % 1.0
    return (np.diff(beat, prepend=1.0) < 0).astype(float)


def peaks(series: np.ndarray, fps: float) -> np.ndarray:
    """Times of local maxima above the mean, in seconds."""
    inner = (series[1:-1] > series[:-2]) & (series[1:-1] >= series[2:]) & (series[1:-1] > series.mean())
    return (np.flatnonzero(inner) + 1) / fps


def av_align(onsets: np.ndarray, seen: np.ndarray, fps: float) -> float:
    """AV-Align: intersection over union of peaks of sound and of optical flow (Yariv et al. 2024, "Diverse and
    Aligned Audio-to-Video Generation via Text-to-Video Model Adaptation", section 4.1), a window of one frame to
    either side.

    onsets, seen: times in seconds.
    """
    if not len(onsets) or not len(seen):
        return 0.0
    close = np.abs(onsets[:, None] - seen[None, :]) <= 1.001 / fps
    matched = (int(close.any(axis=1).sum()) + int(close.any(axis=0).sum())) / 2
    return matched / (len(onsets) + len(seen) - matched)


def shuffled_align(onsets: np.ndarray, seen: np.ndarray, fps: float, seconds: float, seed: int = 0) -> float:
    """AV-Align with stretched and shifted onsets, mean of 20: the value that chance gives."""
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(20):
        stretch = rng.choice([-1, 1]) * rng.uniform(0.07, 0.2)
        other = np.sort((onsets * (1 + stretch) + rng.uniform(1, max(seconds - 1, 1.1))) % seconds)
        scores.append(av_align(other, seen, fps))
    return float(np.mean(scores))


def _between(values: np.ndarray, best: int) -> float:
    """Offset of the interpolated maximum (a parabola through three points), in [-0.5, 0.5]."""
    if best in (0, len(values) - 1):
        return 0.0
    left, here, right = values[best - 1 : best + 2]
    bend = left - 2 * here + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _mono(container: Any, av: Any) -> np.ndarray:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    return np.concatenate(list(_blocks(container, resampler)) or [np.zeros(1, np.float32)])


def _blocks(container: Any, resampler: Any) -> Iterator[np.ndarray]:
    for frame in container.decode(audio=0):
        for block in resampler.resample(frame):
            yield block.to_ndarray()[0]
    for block in resampler.resample(None):
        yield block.to_ndarray()[0]
