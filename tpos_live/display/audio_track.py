"""Assigns frames to audio samples, which wait in a queue: the arithmetic of a recording, without threads or files."""

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
SOUND_SECONDS = 60.0
"""Audio (0.4 MB per second) that may wait for a stalled disk; more is replaced by silence."""


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


class WaitingAudio:
    """A queue of blocks of audio, each with the time of its end. Where more than SOUND_SECONDS wait, the oldest blocks
    become silence: only their length and time are kept, in one entry a second, so that an hour takes little memory.

    Thread contract: the caller holds a lock.
    """

    def __init__(self, rate: int) -> None:
        """rate: in Hz."""
        self.samples = 0
        """Samples that wait, silence left out."""
        self.lost = 0
        """Samples replaced by silence."""
        self._rate = rate
        self._blocks: deque[tuple[float, np.ndarray]] = deque()
        self._silence: deque[tuple[float, int]] = deque()
        """Silence before the blocks: time of the end, and samples, at most one second."""

    @property
    def newest(self) -> float:
        """Time of the end of the last block; 0 without one."""
        return self._blocks[-1][0] if self._blocks else self._silence[-1][0] if self._silence else 0.0

    @property
    def seconds(self) -> float:
        """Seconds from the end of the first block to the end of the last."""
        oldest = self._silence or self._blocks
        return self.newest - oldest[0][0] if oldest else 0.0

    def __bool__(self) -> bool:
        return bool(self._silence or self._blocks)

    def add(self, stereo: np.ndarray, captured_at: float) -> None:
        """Add a block: float32 [n, 2], not modified afterwards; captured_at: perf_counter of its end."""
        self._blocks.append((captured_at, stereo))
        self.samples += len(stereo)
        while self.samples > SOUND_SECONDS * self._rate:
            at, old = self._blocks.popleft()
            self.samples -= len(old)
            self.lost += len(old)
            joined = self._silence[-1][1] + len(old) if self._silence else 0
            if 0 < joined <= self._rate:
                self._silence[-1] = at, joined
            else:
                self._silence.append((at, len(old)))

    def take(self) -> tuple[np.ndarray, float]:
        """The oldest block, and the time of its end."""
        if self._silence:
            captured_at, count = self._silence.popleft()
            return np.zeros((count, 2), np.float32), captured_at
        captured_at, stereo = self._blocks.popleft()
        self.samples -= len(stereo)
        return stereo, captured_at
