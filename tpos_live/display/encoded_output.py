"""An output that encodes image and sound together, paced by the sound, on a thread of its own: a file or a stream."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.core.errors import first_line
from tpos_live.core.timing import FrameGrid
from tpos_live.display.audio_track import AudioTrack, TimedFrames, WaitingAudio
from tpos_live.display.av_writer import AvWriter
from tpos_live.display.encoder_presets import EncoderController
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_transform import FrameFitter, FrameTransform
from tpos_live.display.pacing import Meter

log = logging.getLogger(__name__)

DELAY = 0.15
"""Seconds that audio waits before it is written: by then the frames of its time have been read from the GPU."""
WAITING = 0.2
"""Seconds of frames that may wait for the encoder, besides those of DELAY; the oldest is dropped first."""
MOST = 6
"""Largest number of frames for WAITING, whatever the frame rate."""
CRF = 23.5
"""Quality of x264. Most of a file is grain: from 20 to 23 its size halves (13 to 7 Mbit/s at 720p) and encoding takes a
quarter less time, while the image below the grain is as accurate."""
CLOSING = 1.5
"""Seconds at the end for the frames that wait; if that is too short, an evenly spread part of them is written."""
PATIENCE = 10.0
"""Seconds that `close` waits for the disk."""


class EncodedOutput:
    """An Output of H.264 and AAC.

    Audio is written as it comes, before each frame. An encoder that is slower than the frames always gets the oldest
    waiting frame, so the written frames are evenly spread and each is at its own place; the others are left out. The
    EncoderController then reduces the load.

    Thread contract: `open`, `wants`, `send`, `end` and `close` on the display's thread; `sound` on the thread that
    pulls the audio; the figures may be read from anywhere. Nothing waits for the encoder: buffers are small and
    bounded, and dropped frames are counted. A failure ends the output, shows in `error`, and does not affect the
    session.
    """

    fixed_size = False
    presets: tuple[str, ...] = ("superfast", "ultrafast")
    """x264 presets: the first one at the start, the next ones while the encoder is too slow."""

    def __init__(
        self,
        name: str,
        fps: float = 30.0,
        *,
        rate: int = RATE,
        clock: Callable[[], float] = time.perf_counter,
        transform: FrameTransform | None = None,
    ) -> None:
        """name: for messages. clock: the clock of all timestamps. transform: applied to each frame."""
        self.name, self.fps, self.error = name, fps, ""
        self._rate, self._clock, self._transform = rate, clock, transform or FrameTransform()
        self._track, self._steps = AudioTrack(fps, rate), EncoderController(fps, name, self.presets)
        self._frames: TimedFrames = deque()
        self._audio = WaitingAudio(rate)
        self._lock = threading.Condition()
        self._crowded_out = self._missed = 0
        self._ending = False
        self._grid = FrameGrid(fps)
        self._thread: threading.Thread | None = None
        self._rate_meter, self._rate_now, self._lag = Meter(2.0), 0.0, 0.0
        self._busy_since = self._written_at = 0.0

    @property
    def room(self) -> int:
        """Frames that may wait: those of DELAY, one whose audio is being collected, and those of WAITING."""
        fps = self.fps / self._steps.every
        return max(round(DELAY * fps) + 1 + min(math.ceil(WAITING * fps), MOST), 3)

    @property
    def dropped(self) -> int:
        """Frames taken and not written: the encoder was too slow, or two came for one frame of the file."""
        return self._track.lost + self._crowded_out

    @property
    def sound_lost(self) -> int:
        """Samples replaced by silence because the disk or the network stalled."""
        return self._audio.lost

    @property
    def repeated(self) -> int:
        """Frames without an image of their own: session or encoder was slower than the file's rate."""
        return self._track.repeated

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self._track.frames / self.fps

    @property
    def recorded_fps(self) -> float:
        """Frames written per second, over the last two seconds."""
        return self._rate_now if self._clock() - self._written_at < 2.0 else 0.0

    @property
    def lag(self) -> float:
        """Seconds by which the encoder is late; 0 while it keeps up."""
        since = self._busy_since
        return max(self._lag, self._clock() - since) if since else self._lag

    @property
    def recording(self) -> bool:
        """True while it takes frames."""
        return self._thread is not None and self._thread.is_alive() and not self._ending and not self.error

    @property
    def line(self) -> str:
        """For the status: name, frames per second, and dropped frames."""
        dropped = f", {self.dropped} dropped" if self.dropped else ""
        of = f" of {self.fps:.0f}" if self._steps.every > 1 else ""
        return f"{self.name} {self.recorded_fps:.0f}{of} fps{dropped}"

    def is_available(self) -> str:
        """ "" if PyAV is installed, else what to do."""
        # Not imported: this runs on the display's thread, and the import takes 0.1 s.
        return "" if find_spec("av") else "this needs PyAV: pip install av"

    def open(self, size: tuple[int, int], fps: float | None = None) -> None:
        """Start, and return at once: opening the encoder takes 0.25 s, on a thread of its own.

        size: (width, height) of the frames; later frames of another size are scaled to fit. Raises DisplayError for
        errors that are known at once; later failures show in `error`.
        """
        if fps is not None:
            self.fps = fps
            self._track, self._steps = AudioTrack(fps, self._rate), EncoderController(fps, self.name, self.presets)
            self._grid = FrameGrid(fps)
        writer = self._new_writer(self._transform.size(size))
        self._fitter = FrameFitter(self.name, size, self._transform)
        self._thread = threading.Thread(target=self._run, args=(writer,), name=self.name, daemon=True)
        self._thread.start()

    def _new_writer(self, size: tuple[int, int]) -> AvWriter:
        """The writer of the file or stream. Raises DisplayError."""
        raise NotImplementedError

    def _frame_written(self, now: float) -> None:
        """Called after each frame."""

    def wants(self, now: float) -> bool:
        """True at most `fps` times per second, less often for a slow encoder."""
        return self.recording and self._grid.due(now, self._steps.every)

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        """A composed frame: uint8 [height, width, 3], not modified afterwards."""
        if self.recording:
            with self._lock:
                self._track.see(shown_at)
                self._frames.append((shown_at, pixels))
                # Drop at most two per new frame where the limit was lowered, so that no large gap appears.
                self._make_room(max(self.room, len(self._frames) - 2))

    def _make_room(self, most: int) -> None:
        while len(self._frames) > most:
            self._frames.popleft()
            self._crowded_out += 1

    def sound(self, stereo: np.ndarray, captured_at: float) -> None:
        """Audio as it comes: float32 [n, 2], not modified afterwards; captured_at: perf_counter of its end."""
        if not self.recording or not len(stereo):
            return
        with self._lock:
            self._audio.add(stereo, captured_at)
            if self._frame_due():
                self._lock.notify()

    def end(self) -> None:
        """Ask the output to end, without waiting for it."""
        with self._lock:
            self._ending = True
            self._lock.notify()

    def close(self, patience: float = PATIENCE) -> None:
        """Write all audio, and as many waiting frames as can be written in CLOSING seconds, then end. If that takes
        longer than `patience` seconds, `error` says so."""
        if self._thread is None:
            return
        self.end()
        self._thread.join(patience)
        if self._thread.is_alive() and not self.error:
            self._fail(f"it has not answered for {patience:.0f} s")

    def _fail(self, why: str) -> None:
        self.error = f"{self.name}: {why}"

    def _run(self, writer: AvWriter) -> None:
        try:
            with writer:
                while not self._ending:
                    with self._lock:
                        self._lock.wait_for(lambda: self._frame_due() or self._ending, 0.5)
                    while not self._ending and self._step(writer):
                        pass
                self._finish(writer)
        except DisplayError as error:
            self._fail(str(error))
        except Exception as error:  # A failed output must not stop the session.
            self._fail(first_line(error))

    def _frame_due(self) -> bool:
        """Whether there is audio for another frame. Audio comes in blocks of 5 ms, and waking up for each block took a
        quarter of the thread's processor time."""
        return self._audio.seconds >= DELAY + 1 / self.fps

    def _ready(self) -> bool:
        return self._audio.seconds >= DELAY

    def _step(self, writer: AvWriter) -> bool:
        """Write the audio that has come, and one frame; False if there was neither."""
        with self._lock:
            blocks, newest = self._take_sound(), self._audio.newest
            frame = self._track.next(self._frames)
        if frame is None and not blocks:
            return False
        begin = self._busy_since = self._clock()
        for block in blocks:
            writer.write_sound(block)
        if frame is not None:
            place, pixels, new = frame
            writer.write_frame(self._fitter(pixels), place)
            if writer.frames_written == 1:
                self._missed = self._crowded_out  # losses while the encoder was opened do not count
            else:
                self._adapt(writer, begin, max(newest - DELAY - self._track.moment(place), 0.0), new)
            self._frame_written(self._clock())
        self._busy_since = 0.0
        return True

    def _take_sound(self) -> list[np.ndarray]:
        """Blocks of audio that have waited for DELAY, or all at the end. Audio before the first frame is dropped."""
        out = []
        while self._audio and (self._ending or self._ready()):
            stereo, captured_at = self._audio.take()
            if self._track.add_samples(len(stereo), captured_at):
                out.append(stereo)
        return out

    def _adapt(self, writer: AvWriter, begin: float, lag: float, new: bool) -> None:
        """Update the figures after a frame, and adapt the encoder's load."""
        now = self._written_at = self._clock()
        self._lag = lag
        if new:
            self._rate_meter.add(now)
        self._rate_now = self._rate_meter.rate(now)
        missed, self._missed = self._crowded_out - self._missed, self._crowded_out
        self._steps.note(now - begin, missed)
        line = self._steps.decide(now)
        if self._steps.preset != writer.preset and not writer.change_preset(self._steps.preset):
            self._steps.keep_preset()
            line = ""
        self._track.thin = self._steps.every > 1
        if line:
            log.warning(line)

    def _finish(self, writer: AvWriter) -> None:
        """Write waiting audio and frames, then a last frame that makes the video as long as the audio."""
        with self._lock:
            blocks = self._take_sound()
        for block in blocks:
            writer.write_sound(block)
        begin = self._clock()
        while frame := self._track.next(self._frames):
            before = self._clock()
            writer.write_frame(self._fitter(frame[1]), frame[0])
            now = self._clock()
            # Thin out the waiting frames to as many as there is time for.
            fit = max(int((begin + CLOSING - now) / (now - before)), 1)
            self._make_room(len(self._frames) - max(len(self._frames) // fit - 1, 0))
        if rest := self._track.last():
            writer.write_frame(self._fitter(rest[1]), rest[0])
