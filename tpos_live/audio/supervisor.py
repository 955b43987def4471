"""The supervisor: keeps an input open, reopens it after a failure, and uses the fallback meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import perf_counter

from tpos_live.audio.capture import Capture
from tpos_live.audio.fallback import FallbackInput
from tpos_live.audio.open_attempt import OpenAttempt, OpenAttempts, can_be_opened
from tpos_live.audio.source import AudioError, SourceState
from tpos_live.core.messages import NOTICE
from tpos_live.core.parameter import whole_number

log = logging.getLogger(__name__)

STALL = 0.5
"""Seconds without a block after which an input counts as stalled, although PortAudio calls it active."""
SPARE_AFTER = 1.5
"""Seconds without a block after which the input is opened a second time, beside the stalled stream."""
GIVE_UP = 3.0
"""Seconds without a block after which a stalled stream is closed."""
START = 5.0
"""The same for the first block: through PulseAudio it takes 1.8 s, and more on a busy machine."""
FALLBACK_OPEN, FALLBACK_AFTER = 1.0, 2.0
"""Seconds without a block after which the fallback is opened (FALLBACK_OPEN), and used; it may need 2 s for its first
block."""
BACK_FOR = 0.5
"""Seconds of blocks from a lost input before it replaces the fallback."""
FIRST_WAIT, LONGEST_WAIT, PROBE_WAIT = 0.5, 2.0, 5.0
EAGER = 15.0
"""Seconds between attempts to open a lost input: FIRST_WAIT for the first EAGER seconds, then doubled up to
LONGEST_WAIT; up to PROBE_WAIT while the fallback plays, because each attempt then needs a process."""
HANGS = 6.0
"""Seconds after which an attempt to open a lost input is abandoned and another one is made: a driver may never answer
for a device that was just coming back."""
MESSAGE_SECONDS = 10.0
"""Seconds for which a message about a refused change is shown."""
NEVER = "cannot be opened"
"""State of an input that was missing from the start."""
_TICK = 0.05
_LEAVE = 0.45


class Supervisor:
    """Owns the device: every PortAudio call for it is made on this thread or on those of its `OpenAttempt`s, so that a
    hanging driver blocks nothing else.

    Thread contract: `open`, `close` and `change` may be called from any thread; `capture`, `state`, `name` and
    `message` are replaced as a whole and may be read from anywhere.
    `step` is the thread's whole work, and the time is passed in, so a test can replace the thread.

    The states: STARTING -> RUNNING -> STALLED (no block; the stream is kept, because it may continue) or, when the
    stream ended or stalled too long, REOPENING -> RUNNING. While the fallback plays the state is RUNNING as well.
    """

    def __init__(
        self,
        wanted: str | int | None,
        open_capture: Callable[[str | int | None], Capture],
        rescan: Callable[[], None],
        open_fallback: Callable[[], Capture] | None = None,
        probe: Callable[[str | int | None], bool] = can_be_opened,
    ) -> None:
        """open_fallback: opens the fallback. probe: whether the input could be opened after a rescan; called where the
        fallback has a stream that a rescan would end."""
        self.capture: Capture | None = None
        """The stream in use: the input's or the fallback's."""
        self.state = SourceState.STARTING
        self.message = ""
        self.name = str(wanted or "mic")
        self._label = self.name
        self._wanted = wanted
        self._open_capture = open_capture
        self._rescan = rescan
        self._probe = probe
        self._request: str | int | None = None
        self._attempts = OpenAttempts()
        self._first: Capture | None = None
        self._spare: Capture | None = None
        self._spare_tried = False
        self._fallback = FallbackInput(open_fallback, self._attempts) if open_fallback is not None else None
        self._opening: OpenAttempt | None = None
        self._opening_since = 0.0
        self._opening_spare: OpenAttempt | None = None
        self._trouble = ""
        self._lost_told = False
        self._good_at = 0.0
        self._good_since: float | None = None
        self._undo: tuple[str | int | None] | None = None
        self._wait = FIRST_WAIT
        self._retry_at = 0.0
        self._look_again = False
        self._message_until = 0.0
        self._leaving = threading.Event()
        self._known = threading.Event()
        self._awaited = True
        self._refused: AudioError | None = None
        self._thread = threading.Thread(target=self._run, name="sound-supervisor", daemon=True)

    def open(self, patience: float = 5.0) -> None:
        """Open the input; raises AudioError if that is refused and there is no fallback. A device that does not answer
        within `patience` seconds is waited for in the background."""
        self._thread.start()
        self._awaited = self._known.wait(patience)
        if not self._awaited:
            self.message = f'waiting for microphone "{self._label}" to open'
        elif self._refused is not None and self._fallback is None:
            raise self._refused

    def close(self) -> None:
        """Release the device; returns within 0.5 s."""
        self._leaving.set()
        self._thread.join(_LEAVE)

    def change(self, wanted: str | int) -> None:
        """Change to another input. If it cannot be opened, the old one comes back, with a message."""
        self._request = wanted

    def _run(self) -> None:
        self.begin(perf_counter())
        while not self._leaving.wait(_TICK):
            if self._refused is not None and self._awaited and self._fallback is None:
                break
            self.step(perf_counter())
        self._attempts.abandon(self._opening)
        self._let_go_of_first()
        self._let_go_of_second()

    def begin(self, now: float) -> None:
        """Open the input for the first time."""
        self._good_at = now + START - FALLBACK_AFTER
        self._begin(self._open_plainly, now)
        self._take_opening(now)

    def _begin(self, work: Callable[[], Capture | None], now: float) -> None:
        self._opening, self._opening_since = self._attempts.begin(work), now

    def step(self, now: float) -> None:
        """Check the inputs once; `now` is perf_counter."""
        if self._request is not None:
            wanted, self._request = self._request, None
            self._change(wanted, now)
        self._take_opening(now)
        self._look_after_first(now)
        if self._fallback is not None:
            if self._good_since is not None and now - self._good_since >= BACK_FOR:
                self._let_go_of_second()
            else:
                self._fallback.look_after(now, needed=now - self._good_at > FALLBACK_OPEN)
        self._choose(now)

    # The requested input.

    def _take_opening(self, now: float) -> None:
        """Handle the result of the attempt to open the input."""
        attempt = self._opening
        if attempt is None or not attempt.done:
            return
        self._opening = None
        if attempt.capture is not None:
            self._opened(attempt.capture, now)
        elif attempt.error is not None:
            self._refuse(attempt.error, now)
        else:  # the probe succeeded: now the fallback's stream may be ended
            self._let_go_of_second()
            self._begin(self._open_plainly if self._attempts.hangs() else self._open_afresh, now)
            self._take_opening(now)
        if self._opening is None:
            self._known.set()

    def _opened(self, capture: Capture, now: float) -> None:
        if whole_number(str(self._wanted)) is not None:
            self._wanted = capture.full_name  # numbers change when devices come and go
        self._label = capture.name
        self._first, self._undo = capture, None
        self._choose(now)

    def _refuse(self, error: AudioError, now: float) -> None:
        if not self._known.is_set():
            self._refused = error
            if self._fallback is not None:
                self._trouble = NEVER
                log.warning(str(error))
                self._good_at = now - FALLBACK_AFTER
            else:
                self._trouble = "is gone"
        elif self._undo is not None:
            (self._wanted,), self._undo = self._undo, None
            line = f'back to "{self._label}": {error}'
            log.warning(line)
            self._set_message(line, now, MESSAGE_SECONDS)
            self._put_off(0.0, now)
            return
        elif self._trouble != NEVER:
            self._trouble = "is gone"
        self._put_off(self._wait, now)

    def _look_after_first(self, now: float) -> None:
        first = self._first
        if first is None:
            if self._opening is not None and self._known.is_set() and now - self._opening_since > HANGS:
                self._attempts.abandon(self._opening)
                self._opening = None
                self._put_off(self._wait, now)
            if self._opening is None and now >= self._retry_at:
                self._reopen(now)
            return
        if first.finished:
            self._trouble, self._good_since = "is gone", None
            self._give_up(now)
            return
        silent_for = now - (first.opened_at if first.stamp is None else first.stamp[0])
        if first.stamp is not None and silent_for <= STALL:
            self._good(first.stamp[0], now)
        elif first.stamp is None:
            if silent_for > START:
                self._trouble = "gives no sound"
                self._give_up(now)
        else:
            self._trouble, self._good_since = "gives no sound", None
            self._stalled(silent_for, now)

    def _good(self, at: float, now: float) -> None:
        """The input delivers audio."""
        self._good_at = at
        self._good_since = now if self._good_since is None else self._good_since
        self._wait, self._look_again = FIRST_WAIT, False
        self._let_go_of_spare()

    def _stalled(self, silent_for: float, now: float) -> None:
        """Wait for a stalled stream, and try a second one; whichever delivers first is kept."""
        attempt = self._opening_spare
        if attempt is not None and attempt.done:
            self._spare, self._opening_spare = attempt.capture, None
        if self._spare is not None and self._spare.stamp is not None and not self._spare.finished:
            old, self._first, self._spare = self._first, self._spare, None
            self._attempts.close(old)
            self._spare_tried = False
        elif silent_for > GIVE_UP:
            self._give_up(now)
        elif silent_for > SPARE_AFTER and not self._spare_tried:
            self._spare_tried = True
            self._opening_spare = self._attempts.begin(self._open_plainly)

    def _give_up(self, now: float) -> None:
        had_sound = self._first is not None and self._first.stamp is not None
        self._let_go_of_first()
        self._put_off(0.0 if had_sound else self._wait, now)

    def _reopen(self, now: float) -> None:
        if not self._look_again or self._attempts.hangs():
            self._begin(self._open_plainly, now)
        elif self._holds_a_stream():
            self._begin(self._open_or_probe, now)
        else:
            self._begin(self._open_afresh, now)
        self._take_opening(now)

    def _holds_a_stream(self) -> bool:
        """Whether the fallback has, or is opening, a PortAudio stream."""
        return self._fallback is not None and self._fallback.on_portaudio

    def _open_plainly(self) -> Capture:
        return self._open_capture(self._wanted)

    def _open_afresh(self) -> Capture:
        self._rescan()
        return self._open_capture(self._wanted)

    def _open_or_probe(self) -> Capture | None:
        """The input as PortAudio knows it, or None if it could be opened after a rescan."""
        try:
            return self._open_capture(self._wanted)
        except AudioError:
            if self._probe(self._wanted):
                return None
            raise

    def _change(self, wanted: str | int, now: float) -> None:
        self._undo = (self._wanted,) if self._undo is None else self._undo
        self._wanted = wanted
        self._attempts.abandon(self._opening)
        self._let_go_of_first()
        self._let_go_of_second()
        self._trouble, self._good_since = "is opened", None
        self._good_at = now + START - FALLBACK_AFTER
        self._begin(self._open_plainly if self._attempts.hangs() else self._open_afresh, now)
        self._message_until = now

    # The stream in use.

    def _choose(self, now: float) -> None:
        first, second = self._first, self._fallback.capture if self._fallback is not None else None
        lost = self._good_since is None or now - self._good_since < BACK_FOR
        in_time = now - self._good_at > FALLBACK_AFTER or (self.capture is second and lost)
        if second is not None and second.stamp is not None and lost and in_time:
            line = f'microphone "{self._label}" {self._trouble}; "{second.name}" is heard until it returns'
            if self.capture is not second:
                self._lost_told = True
                log.warning(line)
            self.capture, self.name, self.state = second, second.name, SourceState.RUNNING
            self._set_message(line, now)
            return
        self.capture, self.name = first, self._label
        if self._good_since is not None:
            if self._trouble == "is opened":
                log.log(NOTICE, f'listening to "{self._label}"')
            elif self._lost_told:
                log.log(NOTICE, f'microphone "{self._label}" is back')
            self.state, self._trouble, self._lost_told = SourceState.RUNNING, "", False
            if now >= self._message_until:
                self.message = ""
        elif self._trouble:
            if self.state is SourceState.RUNNING and self._trouble != "is opened" and not self._lost_told:
                self._lost_told = True
                log.warning(f'microphone "{self._label}" {self._trouble}; waiting for it')
            self.state = SourceState.STALLED if first is not None and first.stamp else SourceState.REOPENING
            if self._trouble != "is opened":
                self._set_message(f'microphone "{self._label}" {self._trouble}; waiting for it', now)

    # Releasing devices.

    def _let_go_of_spare(self) -> None:
        self._spare_tried = False
        self._attempts.close(self._spare)
        self._attempts.abandon(self._opening_spare)
        self._spare = self._opening_spare = None

    def _let_go_of_first(self) -> None:
        first, self._first = self._first, None
        if self.capture is first:
            self.capture = None
        self._attempts.close(first)
        self._let_go_of_spare()

    def _let_go_of_second(self) -> None:
        if self._fallback is not None:
            if self.capture is not None and self.capture is self._fallback.capture:
                self.capture = self._first
            self._fallback.let_go()

    def _put_off(self, wait: float, now: float) -> None:
        self._retry_at = now + wait
        if wait:
            self._look_again = True
            if now - self._good_at > EAGER or self._holds_a_stream():
                self._wait = min(2 * self._wait, PROBE_WAIT if self._holds_a_stream() else LONGEST_WAIT)

    def _set_message(self, message: str, now: float, keep: float = 0.0) -> None:
        if keep or now >= self._message_until:
            self.message = message
            self._message_until = now + keep
