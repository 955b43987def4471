"""Which picture belongs to which sample: the arithmetic of a recording, without threads or files."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from tpos_live.audio.source import RATE

JUMP = 0.1
"""A step of the stamps (seconds) that is no jitter: the device was gone, time starts anew."""
STEADY = 0.05
"""Share of the stamps' jitter that is followed with each block."""
LATE = 0.1
"""Seconds behind the sound from which frames that only repeat a picture are left out."""
HOLD = 0.5
"""Longest time (seconds) for which a picture stands without a frame of the file."""

TimedFrames = deque[tuple[float, np.ndarray]]
"""(shown_at in perf_counter seconds, pixels), oldest first."""


class AudioTrack:
    """The sound is the clock. Frame k of the file lies at sample k * rate / fps; the moment (perf_counter) of that
    sample is known from the stamps of the sound, and the frame gets the picture that was on the screen at that moment.
    So neither a sound card that runs 0.1 % fast nor a slow encoder pulls them apart.

    Frames are taken one by one. An encoder that comes late finds fewer pictures, each at its own place: the frames
    between are left out, which costs nothing, and the picture before stands longer.
    """

    def __init__(self, fps: float, rate: int = RATE) -> None:
        self.fps, self.rate = fps, rate
        self.thin = False
        """Leave frames that only repeat a picture out, also when in time: fewer pictures come than there are frames."""
        self.frames = 0
        """Length so far, in frames."""
        self.samples = 0
        """Samples heard so far."""
        self.repeated = 0
        """Frames that show the picture before again, or were left out: none newer had come."""
        self.lost = 0
        """Pictures that were shown and are in no frame, because a newer one took their place."""
        self._current: np.ndarray | None = None
        self._first: float | None = None
        self._began: float | None = None

    @property
    def due(self) -> int:
        """Frames that the sound so far needs."""
        return math.ceil(self.samples * self.fps / self.rate)

    def moment(self, place: int) -> float:
        """When (perf_counter) what frame `place` shows was on the screen."""
        return (self._began or 0.0) + place / self.fps

    def see(self, shown_at: float) -> None:
        """A picture was shown. The file begins with the first one, and so does its sound."""
        if self._first is None:
            self._first = shown_at

    def hear(self, samples: int, captured_at: float) -> bool:
        """`samples` more were heard, the newest at `captured_at`. False before the first picture."""
        if self._first is None or (not self.samples and captured_at < self._first):
            return False
        self.samples += samples
        began = captured_at - self.samples / self.rate
        if self._began is None or abs(began - self._began) > JUMP:
            self._began = began
        self._began += STEADY * (began - self._began)
        return True

    def next(self, pictures: TimedFrames) -> tuple[int, np.ndarray, bool] | None:
        """The next frame to write: its place, its pixels, and whether they are new. None if none is due.

        pictures: those that are used or outdated are taken out.
        """
        due, place = self.due, self.frames
        if place >= due:
            return None
        new = self._take(pictures, place)
        if self._current is None:
            return None
        if not new and (self.thin or due - place > LATE * self.fps):
            if pictures:
                ahead = math.ceil((pictures[0][0] - self.moment(0)) * self.fps - 0.5)
                if place < ahead < due:
                    place, new = ahead, self._take(pictures, ahead)
            if not new:
                if due - place < HOLD * self.fps:
                    return None
                place = due - 1
        self.repeated += place - self.frames + (not new)
        self.frames = place + 1
        return place, self._current, new

    def last(self) -> tuple[int, np.ndarray] | None:
        """A last frame that makes the pictures as long as the sound, None if they are."""
        if self._current is None or self.frames >= self.due:
            return None
        self.repeated += self.due - self.frames
        self.frames = self.due
        return self.frames - 1, self._current

    def _take(self, pictures: TimedFrames, place: int) -> bool:
        """Take what was on the screen at `place`; False if it is what was there before."""
        until = self.moment(place) + 0.5 / self.fps
        new = False
        while pictures and (pictures[0][0] <= until or self._current is None):
            self.lost += new
            self._current = pictures.popleft()[1]
            new = True
        return new
