"""The supervisor: keeps an input open, reopens it after a failure, and uses the fallback meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import perf_counter

from tpos_live.audio.capture import Capture
from tpos_live.audio.delivery import START, Delivery
from tpos_live.audio.devices import other_inputs
from tpos_live.audio.fallback import FallbackInput, SpareStream
from tpos_live.audio.input_report import OPENED, InputReport
from tpos_live.audio.open_attempt import OpenAttempt, OpenAttempts, can_be_opened
from tpos_live.audio.reopening import InputOpener, RetryPace
from tpos_live.audio.source import AudioError, SourceState
from tpos_live.core.guard import Guard
from tpos_live.core.parameter import whole_number

log = logging.getLogger(__name__)

STALL = 0.5
"""Seconds without a block after which an input counts as stalled, even if PortAudio reports it as active."""
GIVE_UP = 3.0
"""Seconds without a block after which a stalled stream is closed."""
HANGS = 6.0
"""Seconds after which an attempt to open a lost input is abandoned, because a driver may never answer."""
MESSAGE_SECONDS = 10.0
"""Seconds for which the status shows the message about a refused change."""
NEVER = "cannot be opened"
"""`trouble` of an input that was missing from the start."""
_TICK, _LEAVE = 0.05, 0.45
"""Seconds between two checks, and seconds that closing waits for the thread."""


class Supervisor:
    """Owns the device: all PortAudio calls for it run on this thread or on those of its `OpenAttempt`s, so a driver
    that hangs blocks nothing else.

    Thread contract: `open`, `close` and `change` may be called from any thread; `capture`, `state`, `name` and
    `message` are replaced as a whole and may be read from anywhere. The thread calls `step` every 50 ms.

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
        list_others: Callable[[str | int | None], tuple[str, ...]] = other_inputs,
        required: bool = True,
    ) -> None:
        """wanted: as in `find_input`. open_capture, open_fallback: open an input, raise AudioError. rescan: scans the
        devices again, which closes every stream. probe: whether another process can open the input; used while a
        rescan would close the fallback. list_others: names of the inputs, if `wanted` is missing. required: without a
        fallback, an input that is missing at the start is an error; if False, the supervisor waits for it."""
        self.capture: Capture | None = None
        """The stream in use: the input's or the fallback's."""
        self.state = SourceState.STARTING
        self.name = str(wanted or "mic")
        self._label = self.name
        self._opener = InputOpener(wanted, open_capture, rescan, probe, list_others)
        self._request: str | int | None = None
        self._attempts = OpenAttempts()
        self._input: Capture | None = None
        self._spare = SpareStream(self._attempts, self._opener.open)
        self._fallback = FallbackInput(open_fallback, self._attempts) if open_fallback is not None else None
        self._required = required and open_fallback is None
        self._attempt: OpenAttempt | None = None
        self._attempt_since = 0.0
        self._report = InputReport()
        self._delivery = Delivery()
        self._previous_wanted: tuple[str | int | None] | None = None
        self._pace = RetryPace()
        self._leaving = threading.Event()
        self._first_result = threading.Event()
        self._answered = True
        self._refused: AudioError | None = None
        self._thread = threading.Thread(target=self._run, name="sound-supervisor", daemon=True)

    @property
    def message(self) -> str:
        """What is wrong, one line; "" if nothing is."""
        return self._report.message

    def open(self, patience: float = 5.0) -> None:
        """Start the thread and open the input. Raises AudioError if a required input cannot be opened. If the device
        does not answer within `patience` seconds, the attempt continues in the background."""
        self._thread.start()
        self._answered = self._first_result.wait(patience)
        if not self._answered:
            self._report.message = f'waiting for microphone "{self._label}" to open'
        elif self._refused is not None and self._required:
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
        guard = Guard(log, "looking after the input")
        while not self._leaving.wait(_TICK):
            if self._refused is not None and self._answered and self._required:
                break
            with guard:
                self.step(perf_counter())
        self._attempts.abandon(self._attempt)
        self._close_input()
        self._close_fallback()

    def begin(self, now: float) -> None:
        """Open the input for the first time."""
        self._delivery.requested(now)
        self._begin(self._opener.open, now)
        self._take_attempt(now)

    def _begin(self, work: Callable[[], Capture | None], now: float) -> None:
        self._attempt, self._attempt_since = self._attempts.begin(work), now

    def step(self, now: float) -> None:
        """Check the inputs once; `now` is perf_counter."""
        if self._request is not None:
            wanted, self._request = self._request, None
            self._change(wanted, now)
        self._take_attempt(now)
        self._check_input(now)
        if self._fallback is not None:
            if self._delivery.is_steady(now):
                self._close_fallback()
            else:
                self._fallback.look_after(now, needed=self._delivery.may_need_fallback(now))
        self._choose(now)

    def _take_attempt(self, now: float) -> None:
        """Handle the result of the attempt to open the input."""
        attempt = self._attempt
        if attempt is None or not attempt.done:
            return
        self._attempt = None
        if attempt.capture is not None:
            self._opened(attempt.capture, now)
        elif attempt.error is not None:
            self._refuse(attempt.error, now)
        else:  # the probe succeeded, so the fallback may be closed for a rescan
            self._close_fallback()
            self._begin(self._opener.open if self._attempts.hangs() else self._opener.rescan_and_open, now)
            self._take_attempt(now)
        if self._attempt is None:
            self._first_result.set()

    def _opened(self, capture: Capture, now: float) -> None:
        if whole_number(str(self._opener.wanted)) is not None:
            self._opener.wanted = capture.full_name  # device numbers change when devices come and go
        self._label = capture.name
        self._input, self._previous_wanted = capture, None
        self._choose(now)

    def _refuse(self, error: AudioError, now: float) -> None:
        if not self._first_result.is_set():
            self._refused = error
            if not self._required:
                self._report.trouble = NEVER
                log.warning(str(error))
                self._delivery.missing(now)
            else:
                self._report.trouble = "is gone"
        elif self._previous_wanted is not None:
            (self._opener.wanted,), self._previous_wanted = self._previous_wanted, None
            line = f'back to "{self._label}": {error}'
            log.warning(line)
            self._report.show(line, now, MESSAGE_SECONDS)
            self._pace.at_once(now)
            return
        elif self._report.trouble != NEVER:
            self._report.trouble = "is gone"
        self._put_off(now)

    def _check_input(self, now: float) -> None:
        capture = self._input
        if capture is None:
            if self._attempt is not None and self._first_result.is_set() and now - self._attempt_since > HANGS:
                self._attempts.abandon(self._attempt)
                self._attempt = None
                self._put_off(now)
            if self._attempt is None and self._pace.is_due(now):
                self._reopen(now)
            return
        if capture.finished:
            self._report.trouble = "is gone"
            self._delivery.stopped()
            self._give_up(now)
            return
        silent_for = now - (capture.opened_at if capture.stamp is None else capture.stamp[0])
        if capture.stamp is not None and silent_for <= STALL:
            self._delivery.delivers(capture.stamp[0], now)
            self._pace.reset()
            self._spare.let_go()
        elif capture.stamp is None:
            if silent_for > START:
                self._report.trouble = "gives no sound"
                self._give_up(now)
        else:
            self._report.trouble = "gives no sound"
            self._delivery.stopped()
            self._stalled(silent_for, now)

    def _stalled(self, silent_for: float, now: float) -> None:
        """Wait for a stalled stream, and try a second one; whichever delivers first is kept."""
        spare = self._spare.take()
        if spare is not None:
            old, self._input = self._input, spare
            self._attempts.close(old)
        elif silent_for > GIVE_UP:
            self._give_up(now)
        else:
            self._spare.look_after(silent_for)

    def _give_up(self, now: float) -> None:
        had_sound = self._input is not None and self._input.stamp is not None
        self._close_input()
        if had_sound:
            self._pace.at_once(now)
        else:
            self._put_off(now)

    def _reopen(self, now: float) -> None:
        if not self._pace.rescan or self._attempts.hangs():
            self._begin(self._opener.open, now)
        elif self._holds_a_stream():
            self._begin(self._opener.open_or_probe, now)
        else:
            self._begin(self._opener.rescan_and_open, now)
        self._take_attempt(now)

    def _holds_a_stream(self) -> bool:
        """Whether the fallback has, or is opening, a PortAudio stream."""
        return self._fallback is not None and self._fallback.on_portaudio

    def _change(self, wanted: str | int, now: float) -> None:
        self._previous_wanted = (self._opener.wanted,) if self._previous_wanted is None else self._previous_wanted
        self._opener.wanted = wanted
        self._attempts.abandon(self._attempt)
        self._close_input()
        self._close_fallback()
        self._report.trouble = OPENED
        self._delivery.requested(now)
        self._begin(self._opener.open if self._attempts.hangs() else self._opener.rescan_and_open, now)
        self._report.forget(now)

    def _choose(self, now: float) -> None:
        main, fallback = self._input, self._fallback.capture if self._fallback is not None else None
        lost = not self._delivery.is_steady(now)
        in_time = self._delivery.needs_fallback(now) or (self.capture is fallback and lost)
        if fallback is not None and fallback.stamp is not None and lost and in_time:
            self._report.on_fallback(self._label, fallback.name, self.capture is not fallback, now)
            self.capture, self.name, self.state = fallback, fallback.name, SourceState.RUNNING
            return
        self.capture, self.name = main, self._label
        if self._delivery.running:
            self._report.running(self._label, now)
            self.state = SourceState.RUNNING
        elif self._report.trouble:
            was_running = self.state is SourceState.RUNNING
            self.state = SourceState.STALLED if main is not None and main.stamp else SourceState.REOPENING
            self._report.waiting(self._label, was_running, now, self._opener.others)

    def _close_input(self) -> None:
        main, self._input = self._input, None
        if self.capture is main:
            self.capture = None
        self._attempts.close(main)
        self._spare.let_go()

    def _close_fallback(self) -> None:
        if self._fallback is not None:
            if self.capture is not None and self.capture is self._fallback.capture:
                self.capture = self._input
            self._fallback.let_go()

    def _put_off(self, now: float) -> None:
        self._pace.put_off(now, self._delivery.absent_for(now), self._holds_a_stream())
