"""Records the show: composed pictures at a constant rate, paced by the sound, on a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tpos_live.sound.source import RATE
from tpos_live.stage.errors import StageError
from tpos_live.stage.video import VideoWriter

DELAY = 0.15
"""Seconds the sound is held back, so that the pictures of its moment have been read from the GPU."""
PICTURES = 10
"""Pictures that wait for the encoder at most; the oldest makes room and is lost."""
CRF = 23
"""Quality of x264. Most of a file is grain: from 20 to 23 it halves (13 to 7 Mbit/s at 720p) and costs the encoder a
quarter less, while what lies under the grain is as near to the picture as before."""
JUMP = 0.1
"""A step of the stamps (seconds) that is no jitter: the device was gone, time starts anew."""
STEADY = 0.05
"""Share of the stamps' jitter that is followed with each block."""
SOUND_SECONDS = 10.0
"""Sound that waits for the encoder at most; beyond, silence takes its place."""


class Track:
    """Which picture belongs to which sample: the arithmetic of a recording, without threads or files.

    The sound is the clock. Frame k of the file lies at sample k * rate / fps; the moment (perf_counter)
    of that sample is known from the stamps of the sound, and the frame gets the picture that was on the
    screen at that moment. So neither a sound card that runs 0.1 % fast nor a slow encoder pulls them apart.
    """

    def __init__(self, fps: float, rate: int = RATE) -> None:
        self.fps, self.rate = fps, rate
        self.frames = 0
        """Frames given out so far."""
        self.samples = 0
        """Samples heard so far."""
        self.repeated = 0
        """Frames that show the picture before again, because none newer had come: a show below the file's rate."""
        self.lost = 0
        """Pictures that were shown and are in no frame, because a newer one took their place."""
        self._current: np.ndarray | None = None
        self._fresh = False
        self._began: float | None = None

    def due(self, samples: int, captured_at: float, pictures: deque[tuple[float, np.ndarray]]) -> list[np.ndarray]:
        """`samples` more were heard, the newest at `captured_at`: the pictures to write now, in order.

        pictures: (shown_at, pixels), oldest first; those that are used or outdated are taken out.
        """
        self.samples += samples
        began = captured_at - self.samples / self.rate
        if self._began is None or abs(began - self._began) > JUMP:
            self._began = began
        self._began += STEADY * (began - self._began)
        nearest = 0.5 / self.fps
        out = []
        while self.frames * self.rate < self.samples * self.fps:
            moment = self._began + self.frames / self.fps
            while pictures and (pictures[0][0] <= moment + nearest or self._current is None):
                self.lost += self._fresh
                self._current = pictures.popleft()[1]
                self._fresh = True
            if self._current is None:
                # Nothing was shown yet: the file begins with the first picture, so does its sound.
                self.samples, self._began = 0, None
                break
            if not self._fresh:
                self.repeated += 1
            self._fresh = False
            out.append(self._current)
            self.frames += 1
        return out


class Recorder:
    """An Output that writes a file. Also a context manager after `open`.

    Thread contract: `open`, `wants`, `send` and `close` on the stage's thread; `sound` on the thread
    that pulls the sound. Neither ever waits for the encoder: buffers are small and bounded, what does
    not fit is counted. A failure stops the recording, shows in `error`, and leaves the show alone.
    """

    name = "recorder"

    def __init__(self, path: Path, fps: float = 30.0, *, rate: int = RATE, preset: str = "superfast") -> None:
        self.path, self.fps, self.error = Path(path), fps, ""
        self._rate, self._preset = rate, preset
        self._track = Track(fps, rate)
        self._pictures: deque[tuple[float, np.ndarray]] = deque(maxlen=PICTURES)
        self._sound: deque[tuple[float, np.ndarray]] = deque()
        self._waiting = 0
        self._lock = threading.Condition()
        self._crowded_out = 0
        self._ending = False
        self._next = 0.0
        self._thread: threading.Thread | None = None
        self.sound_lost = 0
        """Samples replaced by silence because the encoder was too slow."""

    @property
    def dropped(self) -> int:
        """Pictures that it took and did not write: the encoder was too slow, or two came for one frame."""
        return self._track.lost + self._crowded_out

    @property
    def repeated(self) -> int:
        """Frames that repeat the one before, because the show is slower than the file."""
        return self._track.repeated

    @property
    def seconds(self) -> float:
        """Length of the recording so far."""
        return self._track.frames / self.fps

    @property
    def recording(self) -> bool:
        """True while it takes pictures."""
        return self._thread is not None and self._thread.is_alive() and not self._ending and not self.error

    def is_available(self) -> str:
        """ "" if PyAV is installed, else what to do."""
        # Looked for, not imported: the stage's thread asks, and an import takes it a tenth of a second.
        return "" if find_spec("av") else "recording needs PyAV: pip install av"

    def open(self, size: tuple[int, int], fps: float | None = None) -> None:
        """Start, at once: the encoder takes a quarter of a second to open, which no stage can spare, so it
        opens on the recorder's own thread while pictures and sound already wait for it.

        size: (width, height) of the pictures. Raises StageError if there is no folder for the file; what else
        can be wrong with it shows in `error`.
        """
        if not self.path.parent.is_dir():
            raise StageError(
                f"cannot write {self.path}: there is no folder {self.path.parent}; make it, or choose another"
            )
        if fps is not None:
            self.fps = fps
            self._track = Track(fps, self._rate)
        self._writer = VideoWriter(
            self.path, size, self.fps, rate=self._rate, preset=self._preset, crf=CRF, threads=1, live=True
        )
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def wants(self, now: float) -> bool:
        """True at most `fps` times a second."""
        period = 1 / self.fps
        if not self.recording or now < self._next - 0.25 * period:
            return False
        # Keep the beat (asked a little early counts as in time); after a stall, start anew.
        self._next = self._next + period if now - self._next < period else now + period
        return True

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        """A composed picture: uint8 [height, width, 3], not written again."""
        if self.recording:
            with self._lock:
                self._crowded_out += len(self._pictures) == PICTURES
                self._pictures.append((shown_at, pixels))

    def sound(self, stereo: np.ndarray, captured_at: float) -> None:
        """Sound as it comes: float32 [n, 2], not written again; captured_at: perf_counter of its end."""
        if not self.recording or not len(stereo):
            return
        with self._lock:
            self._sound.append((captured_at, stereo))
            self._waiting += len(stereo)
            # Too slow for too long: keep the time, lose the sound. Silence costs no memory.
            for i, (at, old) in enumerate(self._sound):
                if self._waiting <= SOUND_SECONDS * self._rate:
                    break
                if old.strides[0]:
                    self._waiting -= len(old)
                    self.sound_lost += len(old)
                    self._sound[i] = (at, np.broadcast_to(np.zeros(2, np.float32), old.shape))
            self._lock.notify()

    def close(self) -> None:
        """Finish the file, within about a second; what still waits is left out of it."""
        if self._thread is None:
            return
        with self._lock:
            self._ending = True
            self._lock.notify()
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            with self._writer as writer:
                while self._step(writer):
                    pass
        except StageError as error:
            self.error = str(error)
        except Exception as error:  # Whatever it is, it is not worth a show.
            self.error = f"recording stopped: {error}; start another one"

    def _step(self, writer: VideoWriter) -> bool:
        with self._lock:
            self._lock.wait_for(lambda: self._ready() or self._ending, 0.5)
            if self._ending and (not self._sound or self._waiting > self._rate // 2):
                return False
            if not self._ending and not self._ready():
                return True
            captured_at, stereo = self._sound.popleft()
            if stereo.strides[0]:
                self._waiting -= len(stereo)
            before = self._track.samples
            pictures = self._track.due(len(stereo), captured_at, self._pictures)
            kept = self._track.samples - before
        if kept > 0:
            writer.write_sound(stereo[-kept:])
        for pixels in pictures:
            writer.write_frame(pixels)
        return True

    def _ready(self) -> bool:
        return bool(self._sound) and self._sound[-1][0] - self._sound[0][0] >= DELAY
