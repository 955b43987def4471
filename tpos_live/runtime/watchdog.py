"""The watchdog: a small process that starts the show, and starts it again when it dies.

    tpos-live (watchdog)      starts, waits, passes signals on; imports neither PyTorch nor a window
      ├─ the show             a fork: its start takes no longer than without a watchdog
      ├─ the spare            `spare_show.py`: a fork that has imported what the next show needs
      └─ the still            `still_window.py`: shows the last frame while no show does

A show has died if a signal ended it (kill -9, a driver's crash, out of memory), or if it left the state that a clean
end deletes; after a death also if it could not start, because the driver may not be ready yet. Every other exit status
is passed on. A show with a window is killed if its interpreter does not run for HUNG seconds (a driver that hangs while
it holds the GIL).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tpos_live.core.port_claims import PortClaims
from tpos_live.runtime.frame_memory import FrameMemory
from tpos_live.runtime.spare_show import SpareShow, import_show, wait_for_go
from tpos_live.runtime.still_process import StillProcess
from tpos_live.runtime.stop_signals import ENDING, ending_signals
from tpos_live.web.access import new_token

log = logging.getLogger(__name__)

WITHIN = 300.0
"""Seconds within which deaths count."""
SAFE = 3
"""Deaths after which the show runs Ember on the CPU."""
MOST = 8
"""Deaths after which it is started again only every REST seconds, while the last frame is on the screen; without a
frame to show it is not started again."""
REST = 30.0
FORKS = 30
"""Attempts, one a second, to fork the next show if the system refuses."""
BEGINNING = 60.0
"""Seconds within which a show that starts again has written its state, if it can start."""
STEADY = 6
"""Frames of a new show after which the still is hidden: 0.2 s."""
HUNG = 20.0
"""Seconds without a heartbeat after which a show is killed."""
SPARE_AFTER = 15.0
"""Seconds of a show after which a spare for the next one is made; before, it would slow the start."""
LOADED = 60
"""Checks with an image of its engine (`FrameMemory.drawn`; 2 s) after which a show that follows a death gets a spare,
if that is before SPARE_AFTER: it is likelier to die soon, and a start without a spare takes twice as long."""
_OFTEN, _SELDOM = 0.05, 1.0
"""Longest wait in seconds for a signal: while the still is about to appear or to go, and otherwise."""


@dataclass(frozen=True)
class Run:
    """What the watchdog tells a show. deaths: of earlier shows. safe: run Ember on the CPU. memory: where the frame on
    the screen is kept, None without a window. watchdog: its process number. left: that of the dead show whose state
    this one continues, 0 for none. token: of the control page, the same in each show, so that open pages come back; ""
    for a new one."""

    deaths: int = 0
    safe: bool = False
    memory: FrameMemory | None = None
    watchdog: int = 0
    left: int = 0
    token: str = ""


UNWATCHED = Run()
"""Of a show without a watchdog."""


def is_available() -> str:
    """ "" if shows can be supervised on this system, else why not."""
    return "" if hasattr(os, "fork") else "no watchdog on this system: it needs fork"


class Pulse:
    """Detects that a heartbeat counter has stopped, on a clock that is passed in. A count of 0 is no heartbeat."""

    def __init__(self, seconds: float) -> None:
        """seconds: for which the counter may stay the same."""
        self._seconds, self._beats = seconds, 0
        self._stood, self._checked_at = 0.0, -math.inf

    def stopped(self, now: float, beats: int) -> bool:
        """True once for each stop. Time for which the computer was asleep does not count."""
        passed, self._checked_at = min(now - self._checked_at, 2 * _SELDOM), now
        before = self._stood
        self._stood = before + passed if beats and beats == self._beats else 0.0
        self._beats = beats
        return before < self._seconds <= self._stood


class Watchdog:
    """Thread contract: created and run on the main thread of a process without other threads, which are lost in the
    show's process."""

    def __init__(
        self,
        states: Path,
        *,
        window: bool,
        clock: Callable[[], float] = time.monotonic,
        rest: float = REST,
        spare_after: float = SPARE_AFTER,
        prepare: Callable[[bool], None] = import_show,
    ) -> None:
        """states: folder of the Autosave. window: whether the show has one. prepare: what a spare does; whether
        its show will run safely."""
        self._states, self._clock, self._rest = states, clock, rest
        self._pid, self._token = os.getpid(), new_token()
        self._spare_after, self._prepare = spare_after, prepare
        self._spare: SpareShow | None = None
        self._memory = FrameMemory.create() if window else None
        self._still = StillProcess(self._memory, clock) if self._memory is not None else None
        self._deaths: deque[float] = deque(maxlen=MOST)
        self._count = self._left = 0
        self._ending = self._begun = False
        self._hide_at: int | None = None

    def run(self) -> Run | int:
        """Returns a Run in the process of each show, and the exit status in this one."""
        self._wakeup, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._wakeup, False)
        self._handlers = {
            number: signal.signal(number, lambda *_: None) for number in (*ending_signals(), signal.SIGCHLD)
        }
        self._previous = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        while True:
            show = self._start_show()
            status = show if isinstance(show, Run) else self._wait(show)
            if isinstance(status, Run):
                return status
            assert isinstance(show, int)
            code = os.waitstatus_to_exitcode(status)
            if self._ending or not self._died(show, code):
                if self._still is not None:
                    self._still.end()
                return code if code >= 0 else 128 - code
            if self._still is not None:
                self._still.cover(True)
            if self._recent() >= MOST and self._asked_to_end(self._rest):
                if self._still is not None:
                    self._still.end()
                return 0
            self._hide_at = self._memory.count + STEADY if self._memory else None

    def _start_show(self) -> Run | int:
        """The process of the next show: the spare, or a fork; a Run in it."""
        spare, self._spare = self._spare, None
        if self._memory is not None:  # now, because the next show may count before this process runs again
            self._memory.beats = self._memory.drawn = 0
        deaths, safe = self._count, self._recent() >= SAFE
        if spare is not None and spare.start(deaths, safe, self._left):
            return spare.pid
        if pid := self._fork():
            return pid
        self._leave_watchdog()
        return Run(deaths, safe, self._memory, self._pid, self._left, self._token)

    def _fork(self) -> int:
        """`os.fork`, with FORKS attempts after a death: the system may need some time to free the show's memory.
        Raises OSError."""
        for left in reversed(range(FORKS if self._count else 1)):
            _flush()
            try:
                return os.fork()
            except OSError:
                if not left or self._asked_to_end(1.0):
                    raise
        raise AssertionError

    def _make_spare(self) -> Run | None:
        """Fork a spare. Returns a Run in the spare's process, once it becomes the show; None in this one."""
        _flush()
        safe = self._recent() + 1 >= SAFE
        try:
            spare = SpareShow.fork()
        except OSError:  # too little memory for another process
            self._spare_after = math.inf
            return None
        if isinstance(spare, SpareShow):
            self._spare = spare
            return None
        self._leave_watchdog()
        deaths, safe, left = wait_for_go(spare, lambda: self._prepare(safe))
        return Run(deaths, safe, self._memory, self._pid, left, self._token)

    def _leave_watchdog(self) -> None:
        """In a new process: release the watchdog's signal handlers, pipes and process group."""
        signal.set_wakeup_fd(self._previous)
        os.close(self._write)
        os.close(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.setpgid(0, 0)  # Ctrl-C reaches the show once: by the watchdog
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a group in the background may write to the terminal
        if self._still is not None:
            self._still.let_go()

    def _recent(self) -> int:
        return sum(self._clock() - at < WITHIN for at in self._deaths)

    def _died(self, show: int, code: int) -> bool:
        """Count a death, and say what happens; False if the show ended by itself, or dies too often."""
        failed = code == 1 and self._count > 0 and not self._begun
        if code >= 0 and not failed and not self._state_of(show).exists():
            return False
        if self._state_of(show).exists():  # else it died before it wrote a state, and its predecessor's still exists
            self._left = show
        self._deaths.append(self._clock())
        self._count += 1
        how = f"by signal {_signal_name(-code)}" if code < 0 else "by an error"
        if self._recent() >= MOST:
            often = f"the show ended {how}, {MOST} times in {WITHIN / 60:.0f} minutes"
            if self._still is None or not self._still.runs:
                log.error(f"{often}; it is not started again")
                return False
            log.error(f"{often}; the last frame stays, and it is started again in {self._rest:.0f} s")
            return True
        safe = ", with Ember on the CPU" if self._recent() >= SAFE else ""
        ports = " and ".join(map(str, PortClaims(self._states, self._pid).kept()))
        kept = f"; other shows leave it port {ports}" if ports else ""
        log.warning(f"the show ended {how} (death {self._count}); it starts again with its last state{safe}{kept}")
        return True

    def _state_of(self, show: int) -> Path:
        return self._states / f"show-{show}.json"

    def _asked_to_end(self, seconds: float) -> bool:
        """Wait for `seconds` while there is no show; True at once if a signal asks to end."""
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            if self._still is not None:
                self._still.look_after()
            woken = select.select([self._wakeup], [], [], min(left, _SELDOM))[0]
            if woken and set(os.read(self._wakeup, 64)) & set(ENDING):
                return True
        return False

    def _wait(self, show: int) -> Run | int:
        """The status with which the show's process ended; a Run in the spare's, once it becomes the show."""
        pulse, begun = Pulse(HUNG), self._clock()
        self._begun = False
        while True:
            ended, status = os.waitpid(show, os.WNOHANG)
            if ended:
                return status
            self._begun = self._begun or self._clock() >= begun + BEGINNING or self._state_of(show).exists()
            if self._spare is None and self._wants_spare(begun) and (run := self._make_spare()):
                return run
            if self._memory is not None and pulse.stopped(self._clock(), self._memory.beats):
                log.error(f"the show has not run for {HUNG:.0f} s: it is killed")
                os.kill(show, signal.SIGKILL)
            starting = self._still is not None and (self._still.awaited or self._hide_at is not None)
            if select.select([self._wakeup], [], [], _OFTEN if starting else _SELDOM)[0]:
                for number in os.read(self._wakeup, 64):
                    if number in ENDING:
                        self._ending = True
                        os.kill(show, number)
                        if self._still is not None:
                            self._still.let_go()  # it ends while the show does
            if self._memory is not None and self._still is not None and not self._ending:
                self._still.look_after()
                if self._hide_at is not None and self._memory.count >= self._hide_at:
                    self._hide_at = None
                    self._still.cover(False)

    def _wants_spare(self, begun: float) -> bool:
        """Whether it is time for one. begun: when the show was started."""
        if math.isinf(self._spare_after):  # none could be made
            return False
        loaded = self._memory is not None and self._memory.drawn >= LOADED
        return (loaded and self._recent() > 0) or self._clock() >= begun + self._spare_after


def _flush() -> None:
    """Call it before a fork, or both processes would write the buffered output."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream, or a closed pipe
            stream.flush()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return str(number)
