"""Converts the channels and the rate of a source to those of the analysis: stereo and mono, at 48 kHz."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import soxr

from tpos_live.audio.source import RATE, AudioError

log = logging.getLogger(__name__)

HOP = 480
"""Frames over which the power of each mix is measured. The mix changes only between two hops."""
CANCELLED, RESTORED = 0.1, 0.32
"""Power of the average relative to uncorrelated channels: below CANCELLED (-10 dB) the channels cancel each other,
above RESTORED (-5 dB) they no longer do."""
LOUDER = 2.0
"""Power ratio to the current mix from which another one replaces it."""
_SMOOTH = 0.4
_CANCELLED_FOR, _CHANGED_FOR = 0.2, 1.0
_FADE = 0.1
"""In seconds: time constant of the mean power, how long a condition must hold before the mix changes (from the average,
from another mix), and the crossfade."""
_SILENT = 1e-8
"""Mean power (-80 dBFS) below which the mix does not change."""
_TIE = 1.25
"""Power ratio up to which the difference of two channels is preferred to a louder single channel."""


def select_channels(available: int, channels: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
    """0-based channels to use, of `available` ones.

    channels: the user's choice, counted from 1; None takes the first two. (Not all: the empty inputs of an
    eight-channel interface would attenuate the microphone, and PulseAudio offers 32 channels for every device.) Raises
    AudioError for a choice that the source does not have.
    """
    if channels is None:
        return tuple(range(min(available, 2)))
    if not channels:
        raise AudioError(f'no channel of "{name}" is chosen; name at least one, as in --channels 1,2')
    missing = [str(channel) for channel in channels if not 1 <= channel <= available]
    if missing:
        there = "has one channel" if available == 1 else f"has channels 1 to {available}"
        raise AudioError(f'"{name}" {there}, not {" or ".join(missing)}; change --channels')
    return tuple(channel - 1 for channel in channels)


class Downmix:
    """Mixes several channels to one: their average, unless they cancel each other.

    If they do (right = -left), it uses the loudest channel, or the difference of two channels, until they no longer
    cancel each other; the first time is logged. The choice has hysteresis and crossfades over 0.1 s. It depends on
    earlier audio alone, not on the block size. One thread.
    """

    def __init__(self, channels: int, rate: float = RATE, name: str = "the input") -> None:
        """rate: frames per second. name: of the source, for the log."""
        self._channels, self._name = channels, name
        average = np.full(channels, 1 / channels, np.float32)
        self._mixes = [average, *np.eye(channels, dtype=np.float32)]
        if channels == 2:
            self._mixes.append(np.array([0.5, -0.5], np.float32))
        self._weights = np.stack(self._mixes, axis=1).astype(np.float64)
        self._hop = np.empty((HOP, channels), np.float32)
        self._filled = 0
        self._hops_a_second = rate / HOP
        self._smoothing = 1 - np.exp(-1 / (_SMOOTH * self._hops_a_second))
        self._power: np.ndarray | None = None
        self._chosen, self._previous = 0, 0
        self._fade = self._faded = max(round(_FADE * rate), 1)
        self._candidate, self._candidate_hops = 0, 0
        self._warned = False

    def push(self, block: np.ndarray) -> np.ndarray:
        """float32 [n] from float32 [n, channels]."""
        mono: np.ndarray = block.mean(axis=1, dtype=np.float32)
        if self._channels == 1:
            return mono
        start = 0
        while start < len(block):
            count = min(HOP - self._filled, len(block) - start)
            part = slice(start, start + count)
            if self._chosen or self._faded < self._fade:
                mono[part] = self._mixed(block[part])
            self._hop[self._filled : self._filled + count] = block[part]
            self._filled += count
            if self._filled == HOP:
                self._filled = 0
                self._decide()
            start += count
        return mono

    def _mixed(self, block: np.ndarray) -> np.ndarray:
        new, old = self._mixes[self._chosen], self._mixes[self._previous]
        if self._faded >= self._fade:
            return _weighted(block, new)
        progress = np.arange(self._faded, self._faded + len(block), dtype=np.float32) / np.float32(self._fade)
        self._faded += len(block)
        progress = np.minimum(progress, np.float32(1))
        return _weighted(block, [old[c] + (new[c] - old[c]) * progress for c in range(self._channels)])

    def _decide(self) -> None:
        """After each hop, measure the mixes, and change to another one that has been better for long enough."""
        power = np.square(self._hop.astype(np.float64) @ self._weights).mean(axis=0)
        if self._power is None:
            if not power.max() > _SILENT:
                return
            self._power = power
        self._power = self._power + self._smoothing * (power - self._power)
        if not self._power.max() > _SILENT:
            self._candidate_hops = 0
            return
        best = self._best()
        self._candidate_hops = self._candidate_hops + 1 if best == self._candidate else 1
        self._candidate = best
        needed_hops = (_CANCELLED_FOR if self._chosen == 0 else _CHANGED_FOR) * self._hops_a_second
        if best != self._chosen and self._candidate_hops >= needed_hops and self._faded >= self._fade:
            self._previous, self._chosen, self._faded = self._chosen, best, 0
            self._warn_once()

    def _best(self) -> int:
        """The mix to use by the smoothed powers."""
        power = self._power
        assert power is not None
        uncorrelated = power[1 : 1 + self._channels].sum() / self._channels**2
        if power[0] > RESTORED * uncorrelated or (self._chosen == 0 and power[0] > CANCELLED * uncorrelated):
            return 0
        loudest = int(power[1:].argmax()) + 1
        if self._channels == 2 and power[3] * _TIE >= power[loudest]:
            loudest = 3
        return loudest if self._chosen == 0 or power[loudest] > LOUDER * power[self._chosen] else self._chosen

    def _warn_once(self) -> None:
        if self._warned or not self._chosen:
            return
        self._warned = True
        if self._channels != 2:
            log.warning(f'channels of "{self._name}" cancel each other: only the loudest is heard; see --channels')
            return
        heard = ("the left one", "the right one", "their difference")[self._chosen - 1]
        log.warning(
            f'left and right of "{self._name}" are opposite in phase and cancel each other: '
            f"{heard} is heard; check cables and phase switches"
        )


class StereoMix:
    """The selected channels of a source as stereo: two become left and right; any other number is mixed to mono on both
    sides. One thread."""

    def __init__(self, picked: tuple[int, ...], rate: float = RATE, name: str = "the input") -> None:
        self._picked = list(picked)
        self._downmix = Downmix(len(picked), rate, name) if len(picked) != 2 else None

    def push(self, block: np.ndarray) -> np.ndarray:
        """float32 [n, 2] from [n, c]."""
        chosen = block[:, self._picked]
        if self._downmix is not None:
            chosen = np.repeat(self._downmix.push(chosen)[:, None], 2, axis=1)
        return np.ascontiguousarray(chosen, np.float32)


class Resampler:
    """A streaming resampler to 48 kHz; 48 kHz passes unchanged. One thread.

    soxr's higher qualities work in long blocks: at 44.1 kHz "HQ" has a latency of 2 to 21 ms that varies from call to
    call; "LQ" has a constant 0.5 ms, is flat to 15 kHz, and has distortion below -110 dB. Above 48 kHz "LQ" works in
    blocks too (up to 10 ms); there the variable-rate filter has a constant latency (2.5 ms at 96 kHz, aliases below
    -120 dB). Offline (`live=False`) latency does not matter, so "HQ" is used.
    """

    def __init__(self, rate: float, live: bool = True) -> None:
        """rate: input samples per second, two channels."""
        self._stream = None
        if rate != RATE:
            quality = "LQ" if live else "HQ"
            self._stream = soxr.ResampleStream(rate, RATE, 2, dtype="float32", quality=quality, vr=live and rate > RATE)

    def push(self, stereo: np.ndarray, last: bool = False) -> np.ndarray:
        """Take float32 [n, 2]; returns the float32 [m, 2] at 48 kHz that are ready. `last` flushes the rest."""
        if self._stream is None:
            return stereo
        out: np.ndarray = self._stream.resample_chunk(np.ascontiguousarray(stereo), last=last)
        return out


def _weighted(block: np.ndarray, weights: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    mono: np.ndarray = block[:, 0] * weights[0]
    for channel in range(1, block.shape[1]):
        mono = mono + block[:, channel] * weights[channel]
    return mono
