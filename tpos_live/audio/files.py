"""Audio files, decoded on demand: whole for training, frame by frame for offline rendering, live for a session."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tpos_live.audio.conversion import Resampler, StereoMix, select_channels
from tpos_live.audio.damage import DamageCheck
from tpos_live.audio.decoders import DecodeError, Decoder, FFmpegDecoder, SndfileDecoder, open_decoder
from tpos_live.audio.source import ABSURD, RATE, AudioError
from tpos_live.core.errors import first_line
from tpos_live.core.timing import hms

log = logging.getLogger(__name__)

BLOCK = 4096
"""Frames decoded at a time."""
_LOOK_AHEAD = 2.0
"""Seconds that an Ogg or MP3 file is scanned ahead of decoding."""
_SHORT = 0.5
"""Seconds by which a file may be shorter than its header says: lengths of MP3 files can be estimates."""
_MOST_DAMAGE = 5
"""Most places of damage that are reported one by one."""


class AudioFile:
    """An open audio file, read in order, repeatedly.

    Parts that cannot be decoded become silence of the same length, so later audio is on time; `log_damage` reports
    them. libsndfile decodes undamaged files of its formats, FFmpeg all others. One thread at a time.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises AudioError for a file that is missing, is no audio file, or has no audio."""
        self.path = Path(path)
        self.name = self.path.name
        with _as_audio_error(self.path):
            self._decoder = open_decoder(self.path)
        self.samplerate, self.channels = self._decoder.rate, self._decoder.channels
        self.frames = self._decoder.frames
        """Length by the file's header, 0 where unknown."""
        self.damage: list[str] = []
        """Damage found since the last `log_damage`, one line per place."""
        self.lost = 0
        """Frames lost to damage."""
        self._position = 0
        self._capped = False
        self._reported: set[str] = set()
        self._check = self._damage_check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._decoder.close()
        if self._check is not None:
            self._check.close()

    def read(self, count: int) -> np.ndarray:
        """Up to `count` frames, float32 [n, channels]; n is 0 at the end.

        Raises AudioError if even the beginning cannot be decoded, or if a decoder fails in another way.
        """
        with _as_audio_error(self.path):
            return self._read(count)

    def _read(self, count: int) -> np.ndarray:
        count = self._up_to_damage(count)
        try:
            samples = self._decoder.read(count)
            cut = not len(samples) and 0 < self._position < self.frames - _SHORT * self.samplerate
            reason = ""
        except DecodeError as error:
            samples, cut, reason = np.empty((0, self.channels), np.float32), True, str(error)
        if cut:
            samples = self._after_stop(count, reason)
        if self._capped:
            samples = samples[: max(self.frames - self._position, 0)]  # FFmpeg may add the padding of the last Ogg page
        self._position += len(samples)
        self._report_holes()
        return samples

    def rewind(self) -> None:
        """Start again. Raises AudioError if the file is missing, or has changed its rate or channels."""
        with _as_audio_error(self.path):
            self.close()
            self._decoder = open_decoder(self.path)
        if (self._decoder.rate, self._decoder.channels) != (self.samplerate, self.channels):
            raise AudioError(f'"{self.path}" is another file now; start again to play it')
        self._position, self._capped = 0, False
        self._check = self._damage_check()

    def _damage_check(self) -> DamageCheck | None:
        if not (isinstance(self._decoder, SndfileDecoder) and self._decoder.plays_on):
            return None
        try:
            return DamageCheck(self.path)
        except Exception:  # without this check the decoder reports the error
            return None

    def _up_to_damage(self, count: int) -> int:
        """How many of `count` frames the decoder may read before the damage; at the damage, change to FFmpeg."""
        if self._check is None:
            return count
        self._check.scan((self._position + count) / self.samplerate + _LOOK_AHEAD)
        if self._check.damage is None:
            return count
        left = int(self._check.damage * self.samplerate) - self._position
        if left > 0:
            return min(count, left)
        self._check.close()
        self._check = None
        self._change_decoder()
        return count

    def _after_stop(self, count: int, reason: str) -> np.ndarray:
        """The next frames after the decoder stopped before the end of the file. reason: its error, "" if none."""
        if isinstance(self._decoder, SndfileDecoder):
            self._change_decoder()
            try:
                samples = self._decoder.read(count)
            except DecodeError:
                samples = np.empty((0, self.channels), np.float32)
            if len(samples):
                return samples
        if not self._position:
            raise AudioError(f'"{self.path}" is damaged at its start: {reason or "nothing can be decoded"}')
        if self.frames - self._position > _SHORT * self.samplerate:
            at, length = (hms(int(frames / self.samplerate)) for frames in (self._position, self.frames))
            self._report(f'"{self.name}" ends at {at} of {length}: it is cut short')
        return np.empty((0, self.channels), np.float32)

    def _change_decoder(self) -> None:
        """Let FFmpeg decode from the current position on, if it can."""
        try:
            other: Decoder = FFmpegDecoder(self.path, self._position)
        except DecodeError:
            return
        if (other.rate, other.channels) != (self.samplerate, self.channels):
            other.close()
            return
        self._decoder.close()
        self._decoder, self._capped = other, True

    def _report_holes(self) -> None:
        for start, length in self._decoder.holes:
            self.lost += round(length * self.samplerate)
            self._report(f'"{self.name}" is damaged at {hms(int(start))}: silence for {length:.2f} s, then it plays on')
        self._decoder.holes.clear()

    def note_invalid(self, samples: np.ndarray) -> None:
        """Report NaN, infinite or absurd values in the newest `samples`, which the caller replaces by zeros."""
        at = hms(int(max(self._position - len(samples), 0) / self.samplerate))
        if np.isfinite(samples).all():
            decibel = 20 * math.log10(float(np.abs(samples).max()))
            what = f"samples of {decibel:.0f} dB above full scale"
        else:
            what = "samples that are no numbers"
        self._report(f'"{self.name}" has {what} from {at} on: they are silence', "invalid")

    def log_damage(self) -> None:
        """Log the damage found since the last call. For files that are played, not for training data."""
        for line in self.damage:
            log.warning(line)
        self.damage.clear()

    def _report(self, line: str, key: str = "") -> None:
        key = key or line
        if key in self._reported or len(self._reported) > _MOST_DAMAGE:
            return
        if len(self._reported) == _MOST_DAMAGE:
            line = f'"{self.name}" is damaged in more places; they are silence, too'
        self._reported.add(key)
        self.damage.append(line)


@contextmanager
def _as_audio_error(path: Path) -> Iterator[None]:
    """Turn any other error of a decoder's library (out of memory, a stream without a time base) into an AudioError, the
    only error that callers expect."""
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error, 160)}"
        raise AudioError(f'"{path}" cannot be decoded any further ({why})') from error


def open_audio(path: str | Path) -> AudioFile:
    """Open an audio file of any format of libsndfile or FFmpeg. Raises AudioError."""
    return AudioFile(path)


def stream_audio(
    file: AudioFile,
    channels: tuple[int, ...] | None = None,
    loop: bool = False,
    live: bool = True,
    block: int = BLOCK,
) -> Iterator[np.ndarray]:
    """The audio of `file` as float32 blocks [n, 2] at 48 kHz, n varying, decoded on demand.

    channels: see `select_channels`; by default two channels are stereo, and any other number is mixed to mono. loop:
    start again at the end, through the same resampler, so that the loop is seamless. live: use the low-latency
    resampler. NaN, infinite and absurd samples become zeros, damage becomes silence; see `AudioFile.log_damage`. Raises
    AudioError if even the beginning cannot be decoded.
    """
    everything = channels is None and file.channels > 2
    picked = tuple(range(file.channels)) if everything else select_channels(file.channels, channels, file.name)
    mix = StereoMix(picked, file.samplerate, file.name)
    resampler = Resampler(file.samplerate, live)
    frames = 0
    while True:
        samples = file.read(block)
        frames += len(samples)
        if len(samples):
            sane = np.abs(samples) <= ABSURD
            if not sane.all():
                file.note_invalid(samples)
                samples = np.where(sane, samples, np.float32(0))
            yield resampler.push(mix.push(samples))
        elif loop and frames:
            file.rewind()
            frames = 0
        else:
            yield resampler.push(np.empty((0, 2), np.float32), last=True)
            return


@dataclass(frozen=True)
class AudioClip:
    """The audio of a file, or of its first `seconds`. Each use decodes it again, so it takes no memory. Can be
    pickled."""

    path: Path
    seconds: float | None = None
    channels: tuple[int, ...] | None = None

    def blocks(self, log_damage: bool = False) -> Iterator[np.ndarray]:
        """float32 [n, 2] at 48 kHz, n varying. log_damage: log where the file is damaged.

        Raises AudioError if there is no audio.
        """
        left = math.inf if self.seconds is None else round(self.seconds * RATE)
        have = 0
        with open_audio(self.path) as file:
            for block in stream_audio(file, self.channels, live=False, block=1 << 16):
                if log_damage:
                    file.log_damage()
                block = block[: int(min(left - have, len(block)))]
                if len(block):
                    have += len(block)
                    yield block
                if have >= left:
                    break
        if not have:
            raise AudioError(f'"{self.path}" has no sound in it')

    def check(self) -> int:
        """Approximate number of frames at 48 kHz, 0 if unknown. Raises AudioError for a file that cannot be read, or
        that lacks the channels."""
        with open_audio(self.path) as file:
            next(stream_audio(file, self.channels, live=False))
            frames = math.ceil(file.frames * RATE / file.samplerate)
            return frames if self.seconds is None else min(frames or 10**18, round(self.seconds * RATE))


def read_audio(path: str | Path, seconds: float | None = None) -> np.ndarray:
    """The audio of a file, whole or its first `seconds`, as float32 [n, 2] at 48 kHz, in memory.

    Raises AudioError if there is none.
    """
    return np.concatenate(list(AudioClip(Path(path), seconds).blocks()))
