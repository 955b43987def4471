"""Keeps an input open: notices when it fails, and opens it again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter

from tpos_live.sound.capture import Capture
from tpos_live.sound.source import SoundError, SourceState

STALL = 0.5
"""Seconds without a block after which an input has stalled, although PortAudio calls it active."""
START = 5.0
"""The same for the first block: through PulseAudio it takes 1.8 s, and more on a busy machine."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 5.0
NOTICE = 10.0
"""Seconds that a message about a refused change stays."""
_TICK = 0.05
_LEAVE = 0.45


class Supervisor:
    """Owns the device: every PortAudio call for it is made on this thread, so that a driver that hangs
    holds up nothing else.

    Thread contract: `open`, `close` and `change` may be called from any thread; `capture`, `state` and
    `message` are replaced whole and may be read from anywhere. `step` is the thread's whole work, and
    takes the time, so that a test can be the thread.

    The states: STARTING -> RUNNING -> STALLED (no block, or the stream ended) -> REOPENING -> RUNNING.
    """

    def __init__(
        self,
        wanted: str | int | None,
        open_capture: Callable[[str | int | None], Capture],
        rescan: Callable[[], None],
    ) -> None:
        self.capture: Capture | None = None
        self.state = SourceState.STARTING
        self.message = ""
        self.name = str(wanted or "mic")
        self._wanted = wanted
        self._open_capture = open_capture
        self._rescan = rescan
        self._request: str | int | None = None
        self._wait = FIRST_WAIT
        self._retry_at = 0.0
        self._look_again = False
        self._left_behind = False
        self._notice_until = 0.0
        self._leaving = threading.Event()
        self._first = threading.Event()
        self._awaited = True
        self._refused: SoundError | None = None
        self._thread = threading.Thread(target=self._run, name="sound-supervisor", daemon=True)

    def open(self, patience: float = 5.0) -> None:
        """Open the input; raises SoundError if that is refused. A device that takes longer than
        `patience` seconds to answer is waited for in the background."""
        self._thread.start()
        self._awaited = self._first.wait(patience)
        if not self._awaited:
            self.message = f'waiting for microphone "{self.name}" to open'
        elif self._refused is not None:
            raise self._refused

    def close(self) -> None:
        """Let the device go; returns within 0.5 s whatever it does."""
        self._leaving.set()
        self._thread.join(_LEAVE)

    def change(self, wanted: str | int) -> None:
        """Change to another input. If it cannot be had, the old one comes back, with a message."""
        self._request = wanted

    def _run(self) -> None:
        try:
            self._open(perf_counter())
        except SoundError as error:
            self._refused = error
        self._first.set()
        if self._refused is not None and self._awaited:
            return
        while not self._leaving.wait(_TICK):
            self.step(perf_counter())
        self._let_go()

    def step(self, now: float) -> None:
        """Look after the input once; `now` is perf_counter."""
        if self._request is not None:
            wanted, self._request = self._request, None
            self._change(wanted, now)
        elif self.capture is None:
            if now >= self._retry_at:
                self._reopen(now)
        elif trouble := self._trouble(self.capture, now):
            self.state = SourceState.STALLED
            self._say(f'microphone "{self.name}" {trouble}; waiting for it', now)
            had_sound = self.capture.stamp is not None
            self._let_go()
            self._put_off(0.0 if had_sound else self._wait, now)
        elif self.capture.stamp is not None:
            self.state = SourceState.RUNNING
            self._wait, self._look_again = FIRST_WAIT, False
            if now >= self._notice_until:
                self.message = ""

    @staticmethod
    def _trouble(capture: Capture, now: float) -> str:
        if capture.finished:
            return "is gone"
        last, patience = (capture.opened_at, START) if capture.stamp is None else (capture.stamp[0], STALL)
        return "gives no sound" if now - last > patience else ""

    def _reopen(self, now: float) -> None:
        self.state = SourceState.REOPENING
        try:
            if self._look_again and not self._left_behind:
                self._rescan()
            self._open(now)
        except SoundError:
            self._say(f'microphone "{self.name}" is gone; waiting for it', now)
            self._put_off(self._wait, now)

    def _change(self, wanted: str | int, now: float) -> None:
        before, self._wanted = self._wanted, wanted
        self.state = SourceState.REOPENING
        self._let_go()
        try:
            if not self._left_behind:
                self._rescan()
            self._open(now)
            self._notice_until = now
        except SoundError as error:
            self._wanted = before
            self._say(f'back to "{self.name}": {error}', now, NOTICE)
            self._put_off(0.0, now)

    def _open(self, now: float) -> None:
        capture = self._open_capture(self._wanted)
        if isinstance(self._wanted, int) or str(self._wanted).isdigit():
            self._wanted = capture.full_name  # numbers change when devices come and go
        self.name = capture.name
        self.capture = capture

    def _let_go(self) -> None:
        capture, self.capture = self.capture, None
        if capture is not None and not capture.close():
            self._left_behind = True

    def _put_off(self, wait: float, now: float) -> None:
        self._retry_at = now + wait
        if wait:
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            self._look_again = True

    def _say(self, message: str, now: float, keep: float = 0.0) -> None:
        if keep or now >= self._notice_until:
            self.message = message
            self._notice_until = now + keep
