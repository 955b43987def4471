"""An audio file as a live source: it is played, and what is played is analysed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Self

import numpy as np

from tpos_live.audio.conversion import Downmix, select_channels
from tpos_live.audio.delivery import START
from tpos_live.audio.files import AudioFile, open_audio, stream_audio
from tpos_live.audio.playback import Playback
from tpos_live.audio.ring_buffer import RingBuffer
from tpos_live.audio.source import RATE, AudioError, Chunk, Losses, SourceState, SourceStatus
from tpos_live.audio.supervisor import MESSAGE_SECONDS, STALL
from tpos_live.core.errors import first_line
from tpos_live.core.parameter import shorten

log = logging.getLogger(__name__)

_AHEAD = 2 * RATE
"""Largest number of frames decoded ahead."""
_PIECE = RATE // 10
"""Frames written to the ring buffer at a time."""
_LEAVE = 0.15
"""Seconds that leaving waits for the reading thread."""


class FileSource:
    """A file that plays once or in a loop; implements `AudioSource`.

    It plays on the default output, whose callback is then the clock. With `mute`, without an output, or after the
    output has stalled, the wall clock sets the pace.

    Thread contract: as for `AudioSource`. A reading thread decodes into the ring buffer `_ahead` and never overwrites.
    This buffer has one reader: the output's callback while `_heard` is set, else the thread that calls `pull`. The
    callback writes what it has played to the ring buffer `_played`.
    """

    def __init__(
        self,
        path: str | Path,
        loop: bool = False,
        mute: bool = False,
        channels: tuple[int, ...] | None = None,
        output: str | int | None = None,
    ) -> None:
        """path: any format of libsndfile or FFmpeg. channels: see `stream_audio`. output: a PortAudio device, None for
        the default. Nothing is opened before the source is entered."""
        self._path = Path(path)
        self._loop = loop
        self._mute = mute
        self._channels = channels
        self._device = output
        self._ahead = RingBuffer(_AHEAD, 2)
        self._played = RingBuffer(_AHEAD, 2)
        self._output: Playback | None = None
        self._heard = False
        self._decoded = threading.Event()
        self._first_block = threading.Event()
        self._leaving = threading.Event()
        self._reader = threading.Thread(target=self._read, name="sound-file", daemon=True)
        self._file: AudioFile | None = None
        self._state = SourceState.STARTING
        self._message = ""
        self._gone = ""
        """Why a loop is silent, "" while it is not."""
        self._brief_message, self._brief_until = "", 0.0
        self._clock_start: float | None = None
        self._delivered = 0
        self._downmix = Downmix(2, name=self._path.name)

    def __enter__(self) -> Self:
        """Raises AudioError for a file that cannot be played."""
        self._file = open_audio(self._path)
        if self._channels is not None:
            try:
                select_channels(self._file.channels, self._channels, self._path.name)
            except AudioError:
                self._file.close()
                raise
        self._reader.start()
        self._first_block.wait(1.0)
        if self._decoded.is_set() and not self._ahead.available:
            raise AudioError(self._message or f'"{self._path}" has no sound in it')
        if not self._mute:
            self._heard = True
            try:
                self._output = Playback(self._fill, self._device)
            except AudioError as error:
                self._heard = False
                self._message = f'"{self._path.name}" plays unheard: {error}'
        return self

    def __exit__(self, *exc: object) -> None:
        self._leaving.set()
        self._heard = False
        if self._output is not None:
            self._output.close()
        self._reader.join(_LEAVE)

    def pull(self, now: float) -> Chunk | None:
        if self._heard and self._output is not None:
            self._watch(self._output, now)
        captured_at = now
        if self._heard and self._output is not None:
            stereo, captured_at = self._played.read(), self._output.asked_at or now
        else:
            stereo = self._by_the_clock(now)
        if not len(stereo):
            if self._decoded.is_set() and not self._ahead.available and not self._played.available:
                self._state = SourceState.ENDED
            return None
        self._state = SourceState.RUNNING
        mono = self._downmix.push(stereo)
        return Chunk(mono, stereo, captured_at)

    def status(self, now: float) -> SourceStatus:
        return SourceStatus(
            state=self._state,
            name=self._path.name,
            losses=Losses(overwritten=self._played.overwritten, dropouts=self._file.lost if self._file else 0),
            message=self._brief_message if now < self._brief_until else self._gone or self._message,
        )

    @property
    def passed(self) -> float:
        return -self._output.latency if self._heard and self._output else 0.0

    def reopen(self, device: str | int) -> None:
        """A file has no input to change: show a message that says so, and play on."""
        self._brief_message = f'"{self._path.name}" is playing; start the show with --device to hear {shorten(device)}'
        self._brief_until = perf_counter() + MESSAGE_SECONDS

    def _read(self) -> None:
        """The reading thread."""
        try:
            for block in self._blocks():
                for start in range(0, len(block), _PIECE):
                    piece = block[start : start + _PIECE]
                    while self._ahead.free < len(piece):
                        if self._leaving.wait(0.02):
                            return
                    self._ahead.write(piece)
                    self._first_block.set()
                if self._leaving.is_set():
                    return
        except Exception as error:  # after an error the file counts as ended
            self._message = first_line(error, 400)
            if self._first_block.is_set():  # otherwise `__enter__` raises it
                log.warning(self._message)
        finally:
            self._decoded.set()
            self._first_block.set()

    def _blocks(self) -> Iterator[np.ndarray]:
        """The file's audio. A loop whose file becomes unreadable gives silence until it can be read. Raises
        AudioError."""
        file = self._file
        while file is not None:
            try:
                with file:
                    for block in stream_audio(file, self._channels, self._loop):
                        file.log_damage()
                        yield block
                return
            except Exception as error:  # a loop continues after any error
                if not (self._loop and self._first_block.is_set()):
                    raise
                self._gone = f"{first_line(error, 400)}; silence until it is back"
            while self._gone:
                yield np.zeros((RATE, 2), np.float32)
                with suppress(Exception):
                    file, self._gone = open_audio(self._path), ""
            self._file = file

    def _fill(self, out: np.ndarray) -> None:
        """Runs in the output's callback: play the next samples, float32 [n, 2]."""
        count = self._ahead.read_into(out) if self._heard else 0
        out[count:] = 0
        if count:
            self._played.write(out[:count])

    def _watch(self, output: Playback, now: float) -> None:
        """Change to the wall clock when the output stops requesting audio."""
        last = output.opened_at if output.asked_at is None else output.asked_at
        # PulseAudio requests audio once at the start, and then not for 1 to 2 s
        if output.finished or (now - last > STALL and now - output.opened_at > START):
            self._heard = False
            self._message = f'the sound output stopped; "{self._path.name}" plays on unheard'
            threading.Thread(target=output.close, name="sound-close", daemon=True).start()

    def _by_the_clock(self, now: float) -> np.ndarray:
        """The audio that is due at `now`, float32 [n, 2]. A late disk delays the file; nothing is skipped."""
        if self._clock_start is None:
            self._clock_start = now
        rest = self._played.read()
        due = int((now - self._clock_start) * RATE) - self._delivered
        stereo = self._ahead.read(due) if due > 0 else np.empty((0, 2), np.float32)
        self._delivered += len(stereo)
        if len(stereo) < due:
            self._clock_start += (due - len(stereo)) / RATE
        return np.concatenate([rest, stereo]) if len(rest) else stereo
