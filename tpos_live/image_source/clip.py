"""A video file as a source, with random access by the pictures' timestamps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import av
from av.video.stream import VideoStream

from tpos_live.core.errors import reason
from tpos_live.image_source.reader import Reader, SourceError

FAR = 1.0
"""Seconds ahead from which the decoder seeks, instead of decoding all pictures up to there."""
NEAR = 0.8
"""Seconds ahead up to which each picture is decoded: more than a decoder's delay for reordering."""
LONGEST_REST = 0.02
"""Longest pause in seconds between two pictures that are decoded but not shown, where a clip is `gentle`."""
THREADS = 2
"""Threads of the decoder: the engine needs the other cores."""


class Clip(Reader):
    """A video file. A picture is shown from its timestamp to the next picture's, so variable frame rates work too."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError for a file without pictures."""
        self.name = path.name
        self._path = path
        self._now: av.VideoFrame | None = None
        self._next: av.VideoFrame | None = None
        self._untimed, self._count = False, 0
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"source {path.name}: cannot be read ({reason(error)}); choose another file") from error
        try:
            if not self._container.streams.video:
                raise SourceError(f"source {path.name}: has no video; choose another file")
            self._stream = self._first_stream()
            self._from = float((self._stream.start_time or 0) * (self._stream.time_base or 0))
            self._length = self._declared_length()
            self._restart(0.0)
            if self._now is None:
                raise SourceError(f"source {path.name}: has no picture that can be decoded; choose another file")
        except BaseException:
            self._container.close()
            raise

    @property
    def seconds(self) -> float:
        return self._length

    def at(self, seconds: float) -> av.VideoFrame | None:
        if self._now is None or seconds < self._time(self._now) or self._is_far(seconds):
            self._restart(seconds)
        while self._next is not None and self._time(self._next) <= seconds:
            self._skip_nonref(not self._untimed and seconds - self._time(self._next) > NEAR)
            began = time.perf_counter()
            self._now, self._next = self._next, self._decoded()
            if self._next is None and self._now is not None:
                self._correct_length(self._now)
            elif self.gentle and self._next is not None and self._time(self._next) <= seconds:
                time.sleep(min(time.perf_counter() - began, LONGEST_REST))
        return self._now

    def close(self) -> None:
        self._container.close()

    def _first_stream(self) -> VideoStream:
        """The stream to decode. Raises SourceError."""
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise SourceError(f"source {self.name}: FFmpeg does not know its format; choose another file")
        stream.codec_context.thread_count = THREADS
        stream.thread_type = "AUTO"
        return stream

    def _skip_nonref(self, on: bool) -> None:
        """Do not decode non-reference frames, half of the frames in most files, or decode all frames."""
        self._stream.codec_context.skip_frame = "NONREF" if on else "DEFAULT"

    def _declared_length(self) -> float:
        """Length in seconds by the file's metadata; 0 if they lack it."""
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return self._container.duration / av.time_base if self._container.duration else 0.0

    def _correct_length(self, last: av.VideoFrame) -> None:
        """Take the end of the last picture as the length where the metadata differ by more than 0.5 s."""
        end = self._time(last) + self._step()
        if not self._length or abs(end - self._length) > 0.5:
            self._length = end

    def _step(self) -> float:
        """Seconds from one picture to the next, on average."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(1 / rate) if rate else 0.04

    def _is_far(self, seconds: float) -> bool:
        return self._now is not None and seconds - self._time(self._now) > FAR and self._next is not None

    def _restart(self, seconds: float) -> None:
        """Seek to the key frame before `seconds` and decode from there."""
        self._count = 0
        if self._untimed or not self._seek(seconds):
            self._container.close()
            self._container = av.open(str(self._path))
            self._stream = self._first_stream()
        self._frames: Iterator[av.VideoFrame] = self._container.decode(self._stream)
        self._now = self._decoded()
        self._next = self._decoded() if self._now is not None else None

    def _seek(self, seconds: float) -> bool:
        """Whether the format can seek."""
        base = self._stream.time_base
        try:
            offset = round((seconds + self._from) / base) if base else 0
            self._container.seek(offset, stream=self._stream, backward=True)
        except av.FFmpegError:
            return False
        return True

    def _decoded(self) -> av.VideoFrame | None:
        """The next picture; None at the end. Damaged parts of the file are skipped."""
        for _ in range(100):
            try:
                return self._timed(next(self._frames))
            except StopIteration:
                return None
            except av.FFmpegError:
                self._frames = self._container.decode(self._stream)
        return None

    def _timed(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture with a timestamp: raw streams, as of a Raspberry Pi's camera, have none, and are counted from the
        begin of the file."""
        if frame.pts is None and frame.time_base:
            self._untimed = True
            frame.pts = round(self._from / frame.time_base + self._count * self._step() / frame.time_base)
            self._count += 1
        return frame

    def _time(self, frame: av.VideoFrame) -> float:
        return (frame.time or 0.0) - self._from
