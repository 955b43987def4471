"""Assigns frames to audio samples: the arithmetic of a recording, without threads or files."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from tpos_live.audio.source import RATE

JUMP = 0.1
"""Seconds. A larger jump of the timestamps is no jitter: the device was interrupted, and the time base restarts."""
STEADY = 0.05
"""Smoothing factor of the time base: share of a timestamp's deviation that is corrected per block of audio."""
LATE = 0.1
"""Seconds that the video may be behind the audio before repeated frames are left out."""
HOLD = 0.5
"""Longest time in seconds without a frame in the file."""

TimedFrames = deque[tuple[float, np.ndarray]]
"""(shown_at in perf_counter seconds, pixels), oldest first."""


class AudioTrack:
    """The audio is the clock. Frame k of the file is at sample k * rate / fps; the time (perf_counter) of that sample
    is known from the timestamps of the audio, and the frame gets the image that was on the screen at that time. Neither
    a sound card that runs 0.1 % fast nor a slow encoder can desynchronise them.

    A place is the index of a frame. Frames are taken one by one. A slow encoder takes fewer images, each at its own
    place: the frames between them are left out at no cost, and the previous image stays longer.
    """

    def __init__(self, fps: float, rate: int = RATE) -> None:
        self.fps, self.rate = fps, rate
        self.thin = False
        """Leave out repeated frames also while in time: set where there are fewer images than frames."""
        self.frames = 0
        """Length so far, in frames."""
        self.samples = 0
        """Samples received so far."""
        self.repeated = 0
        """Frames that repeat the previous image, or were left out, for lack of a newer one."""
        self.lost = 0
        """Images that were shown and are in no frame, because a newer one took their place."""
        self._current: np.ndarray | None = None
        self._first: float | None = None
        self._began: float | None = None

    @property
    def due(self) -> int:
        """Frames needed for the audio so far."""
        return math.ceil(self.samples * self.fps / self.rate)

    def moment(self, place: int) -> float:
        """Time (perf_counter) at which the image of frame `place` was on the screen."""
        return (self._began or 0.0) + place / self.fps

    def see(self, shown_at: float) -> None:
        """An image was shown. The file begins with the first one, and so does its audio."""
        if self._first is None:
            self._first = shown_at

    def add_samples(self, samples: int, captured_at: float) -> bool:
        """Add received samples, the newest captured at `captured_at`. False, and not added, before the first image."""
        if self._first is None or (not self.samples and captured_at < self._first):
            return False
        self.samples += samples
        began = captured_at - self.samples / self.rate
        if self._began is None or abs(began - self._began) > JUMP:
            self._began = began
        self._began += STEADY * (began - self._began)
        return True

    def next(self, frames: TimedFrames) -> tuple[int, np.ndarray, bool] | None:
        """The next frame to write: its place, its pixels, and whether they are new. None if none is due.

        frames: images that are used or outdated are removed.
        """
        due, place = self.due, self.frames
        if place >= due:
            return None
        new = self._take(frames, place)
        if self._current is None:
            return None
        if not new and (self.thin or due - place > LATE * self.fps):
            if frames:
                ahead = math.ceil((frames[0][0] - self.moment(0)) * self.fps - 0.5)
                if place < ahead < due:
                    place, new = ahead, self._take(frames, ahead)
            if not new:
                if due - place < HOLD * self.fps:
                    return None
                place = due - 1
        self.repeated += place - self.frames + (not new)
        self.frames = place + 1
        return place, self._current, new

    def last(self) -> tuple[int, np.ndarray] | None:
        """A last frame that makes the video as long as the audio, None if it is."""
        if self._current is None or self.frames >= self.due:
            return None
        self.repeated += self.due - self.frames
        self.frames = self.due
        return self.frames - 1, self._current

    def _take(self, frames: TimedFrames, place: int) -> bool:
        """Take the image that was on the screen at `place`; False if it is the previous one."""
        until = self.moment(place) + 0.5 / self.fps
        new = False
        while frames and (frames[0][0] <= until or self._current is None):
            self.lost += new
            self._current = frames.popleft()[1]
            new = True
        return new
