"""Decoders of audio files: libsndfile where possible, else FFmpeg through PyAV, which also plays on after damage."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr

from tpos_live.audio.source import AudioError
from tpos_live.core.errors import reason

FORMATS = "WAV, FLAC, OGG, Opus, MP3, AIFF, M4A, MP4, WMA, WebM or MKV"
_JITTER = 0.005
"""Seconds by which timestamps of two packets may disagree without a gap: WMA and MKV count in milliseconds."""
_PRE_ROLL = 1.0
"""Seconds decoded and dropped before a seek position, because frames depend on earlier ones."""
_FADE = 0.003
"""Seconds of fade-in after a gap, so that damage is not heard as a click."""
_MOST_FAILURES = 100
"""Consecutive failed reads before giving up."""


def open_container(path: Path) -> Any:
    """Open a file with PyAV, whatever the encoding of its tags. Raises av.FFmpegError, OSError and ValueError."""
    import av

    if int(av.__version__.partition(".")[0]) < 19:  # later versions, for Python 3.12 and up, lack the argument
        return av.open(str(path), metadata_errors="replace")
    return av.open(str(path))


class DecodeError(Exception):
    """A decoder cannot continue at its position. The text is one line."""


class Decoder(Protocol):
    """An open file, read in order. One thread at a time.

    rate: samples per second. frames: the length by its header, 0 where unknown. holes: parts that could not be decoded
    and were replaced by silence, as (start, length) in seconds; the caller clears the list.
    """

    rate: int
    channels: int
    frames: int
    holes: list[tuple[float, float]]

    def read(self, count: int) -> np.ndarray:
        """Up to `count` frames, float32 [n, channels]; n is 0 at the end. Raises DecodeError."""
        ...

    def close(self) -> None: ...


class SndfileDecoder:
    """libsndfile: WAV, AIFF, FLAC, Ogg, MP3 and more, sample-exact. At damage it stops, or plays on too early."""

    def __init__(self, path: Path) -> None:
        """Raises DecodeError for a file that libsndfile cannot open."""
        try:
            # As bytes: soundfile refuses a str that is not valid UTF-8. Windows has no such names.
            self._file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
        except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
            raise DecodeError(str(error)) from error
        self.rate, self.channels = self._file.samplerate, self._file.channels
        self.frames = max(self._file.frames, 0)
        self.holes: list[tuple[float, float]] = []
        self.plays_on = self._file.format in ("OGG", "MP3", "MPEG")
        """Whether libsndfile skips damage in this format without an error, so that later audio is early."""

    def read(self, count: int) -> np.ndarray:
        try:
            samples: np.ndarray = self._file.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            raise DecodeError(str(error)) from error
        return samples

    def close(self) -> None:
        self._file.close()


class FFmpegDecoder:
    """FFmpeg's decoders through PyAV. Frames that cannot be decoded become silence of the same length, so that later
    audio is on time."""

    def __init__(self, path: Path, position: int = 0) -> None:
        """position: frame of the first sample. Raises DecodeError for a file without audio."""
        try:
            import av
        except ImportError as error:
            raise DecodeError(f"PyAV does not load ({error})") from error
        self._av = av
        self.holes: list[tuple[float, float]] = []
        try:
            self._container: Any = open_container(path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DecodeError(reason(error)) from error
        try:
            stream = self._stream()
            if stream.codec_context.name == "flac":
                # Otherwise a damaged frame is decoded as a burst of noise.
                stream.codec_context.options = {"err_detect": "crccheck+explode"}
            frames = self._timestamped(stream)
            first = next(frames, None)
            if first is None:
                raise DecodeError("no frame of it can be decoded")
            origin, samples, self.rate = first
            self.channels = samples.shape[1]
            length = stream.duration * stream.time_base if stream.duration else (self._container.duration or 0) / 1e6
            self.frames = round(float(length) * self.rate)
            if stream.start_time is not None and origin is not None:
                origin = min(origin, float(stream.start_time * stream.time_base))
            self._origin = origin or 0.0
            if position:
                samples = np.empty((0, self.channels), np.float32)
                seconds = self._origin + max(position / self.rate - _PRE_ROLL, 0.0)
                self._container.seek(round(seconds / float(stream.time_base)), stream=stream)
                frames = self._timestamped(stream)
                self._blocks = self._without_gaps(frames, None, position)
            else:
                self._blocks = self._without_gaps(frames, first, 0)
        except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
            self._container.close()
            raise DecodeError(reason(error)) from error
        except DecodeError:
            self._container.close()
            raise
        self._rest = np.empty((0, self.channels), np.float32)

    def read(self, count: int) -> np.ndarray:
        parts, have = [self._rest], len(self._rest)
        while have < count:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            have += len(block)
        joined = np.concatenate(parts)
        self._rest = joined[count:]
        return joined[:count]

    def close(self) -> None:
        self._blocks.close()
        self._container.close()

    def _stream(self) -> Any:
        streams = self._container.streams.audio
        if not streams:
            raise DecodeError("there is no sound in it")
        if streams[0].codec_context is None:
            raise DecodeError("FFmpeg does not know the format of its sound")
        return streams[0]

    def _timestamped(self, stream: Any) -> Iterator[tuple[float | None, np.ndarray, int]]:
        """Each decoded frame: its timestamp in seconds (None if it has none), its samples [n, c], its rate."""
        packets = self._container.demux(stream)
        # MP3 has no timestamps: FFmpeg counts frames, and counts several frames with damaged headers as one. The size
        # of the packet shows how many they were: a frame has `size` bytes (smoothed) and `length` seconds.
        size, length, late = 0.0, 0.0, 0.0
        failures, suspect, is_mp3 = 0, 0, stream.codec_context.name.startswith("mp3")
        while failures < _MOST_FAILURES:
            try:
                packet = next(packets)
            except (StopIteration, self._av.EOFError):
                return
            except self._av.InvalidDataError:
                failures += 1
                packets = self._container.demux(stream)  # continues after the unreadable part
                continue
            except (self._av.FFmpegError, OSError):
                return
            try:
                decoded = packet.decode()
            except (self._av.FFmpegError, ValueError):
                suspect = 2
                if size:
                    late += max(round(packet.size / size) - 1, 0) * length
                continue  # the next timestamp shows how much is missing
            failures = 0
            if is_mp3:
                if packet.size and packet.duration:
                    size += (packet.size - size) * (0.02 if size else 1.0)
                    length = float(packet.duration * packet.time_base)
                # Two frames after the damage depend on bits of lost frames and would be a loud crack.
                decoded, suspect = decoded[suspect:], max(suspect - len(decoded), 0)
            for frame in decoded:
                if frame.samples and frame.sample_rate:
                    at = None if frame.pts is None else float(frame.pts * frame.time_base) + late
                    yield at, _samples(frame), frame.sample_rate

    def _without_gaps(
        self, frames: Iterator[tuple[float | None, np.ndarray, int]], first: Any, position: int
    ) -> Generator[np.ndarray, None, None]:
        """Blocks [n, channels] from frame `position` on; silence fills the gaps between timestamps."""
        # After a seek the first timestamp gives the position; otherwise counting begins with the file.
        at: int | None = None if first is None else 0
        end = self.frames or None
        for seconds, samples, rate in _chain(first, frames):
            samples = _converted(samples, rate, self.rate, self.channels)
            if seconds is None:
                if at is not None:
                    yield from self._from(position, at, samples)
                    at += len(samples)
                continue
            here = round((seconds - self._origin) * self.rate)
            if at is None:
                at = max(here, 0)
                if at > position:  # the damage extends up to here
                    yield from self._hole(position, at - position)
                    samples = _faded_in(samples, self.rate)
            if here - at > _JITTER * self.rate and (end is None or here <= end + self.rate):
                start = max(at, position)
                yield from self._hole(start, here - start)
                at = here
                samples = _faded_in(samples, self.rate)
            yield from self._from(position, at, samples)
            at += len(samples)

    @staticmethod
    def _from(position: int, at: int, block: np.ndarray) -> Iterator[np.ndarray]:
        """The part of `block` from frame `position` on. at: frame number of the first one in `block`."""
        if at + len(block) > position:
            yield block[max(position - at, 0) :]

    def _hole(self, start: int, length: int) -> Iterator[np.ndarray]:
        if length > 0:
            self.holes.append((start / self.rate, length / self.rate))
        while length > 0:
            count = min(length, 1 << 16)
            yield np.zeros((count, self.channels), np.float32)
            length -= count


def open_decoder(path: Path) -> Decoder:
    """The decoder for a file. Raises AudioError for a file that is missing, is no audio file, or has no audio."""
    if path.is_dir() or not path.exists():
        raise AudioError(f'{"folder, not a sound file" if path.is_dir() else "no such sound file"}: "{path}"')
    try:
        if not path.is_file():
            raise AudioError(f'"{path}" is a device or a pipe; give a sound file')
        if path.stat().st_size == 0:
            raise AudioError(f'"{path}" is empty; give a sound file')
        with path.open("rb"):
            pass
    except OSError as error:
        raise AudioError(f'"{path}" cannot be opened: {reason(error)}') from error
    try:
        decoder: Decoder = SndfileDecoder(path)
    except DecodeError:
        try:
            return FFmpegDecoder(path)
        except DecodeError as error:
            raise AudioError(f'"{path}" cannot be read as sound ({error}); give {FORMATS}') from error
    if decoder.frames <= 0:
        decoder.close()
        raise AudioError(f'"{path}" has no sound in it')
    return decoder


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest


def _samples(frame: Any) -> np.ndarray:
    """float32 [n, channels], full scale 1, of an av.AudioFrame of any sample format."""
    array: np.ndarray = frame.to_ndarray()
    array = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - 128) / 128
    if array.dtype.kind == "i":
        # Division first in double, then one rounding, as libsndfile does.
        return (array / 2.0 ** (8 * array.dtype.itemsize - 1)).astype(np.float32)
    return array.astype(np.float32)


def _converted(samples: np.ndarray, rate: int, to_rate: int, channels: int) -> np.ndarray:
    """`samples` at the rate and with the channels of the first frame: some streams change them."""
    if samples.shape[1] != channels:
        samples = samples[:, np.arange(channels) % samples.shape[1]]
    if rate != to_rate:
        samples = np.asarray(soxr.resample(samples, rate, to_rate), np.float32)
    return samples


def _faded_in(samples: np.ndarray, rate: int) -> np.ndarray:
    count = min(len(samples), round(_FADE * rate))
    samples = samples.copy()
    samples[:count] *= np.linspace(0, 1, count, endpoint=False, dtype=np.float32)[:, None]
    return samples
