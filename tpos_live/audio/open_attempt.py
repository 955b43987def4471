"""Attempts to open an input, each on a worker thread, because a driver may hang. Used by the supervisor."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from tpos_live.audio.capture import Capture
from tpos_live.audio.source import AudioError
from tpos_live.core.child_process import ChildError, run_module

PATIENCE = 1.0
"""Seconds that the caller waits for an attempt; a longer one continues in the background."""
_PROBE_PATIENCE = 5.0
"""Seconds allowed to the probe process."""


class OpenAttempts:
    """Starts and abandons attempts, and knows whether a driver hangs.

    Worker threads are kept, and the first idle one is used: on Windows PortAudio belongs to the thread that started it.
    A thread that hangs is abandoned.

    Thread contract: used on one thread.
    """

    def __init__(self) -> None:
        self._idle: deque[_Worker] = deque()
        self._abandoned: list[OpenAttempt] = []
        self._stream_hangs = False

    def begin(self, work: Callable[[], Capture | None], patience: float = PATIENCE) -> OpenAttempt:
        """Start an attempt, and wait up to `patience` seconds for it. work: opens and returns the capture (or None for
        a probe); raises AudioError."""
        worker = self._idle.popleft() if self._idle else _Worker(self._idle)
        attempt = OpenAttempt(work)
        worker.tasks.put(attempt.run)
        attempt.wait(patience)
        return attempt

    def abandon(self, attempt: OpenAttempt | None) -> None:
        """Stop waiting for an attempt; what it opens later is closed."""
        if attempt is not None:
            attempt.abandon()
            if not attempt.done:
                self._abandoned.append(attempt)

    def close(self, capture: Capture | None) -> None:
        """Close a capture, and remember if its driver hung."""
        if capture is not None and not capture.close():
            self._stream_hangs = True

    def hangs(self) -> bool:
        """Whether a driver holds a stream or an abandoned attempt, so that PortAudio cannot rescan devices."""
        self._abandoned = [attempt for attempt in self._abandoned if not attempt.done]
        return self._stream_hangs or bool(self._abandoned)


class OpenAttempt:
    """One attempt to open a capture. It is `done` when it has `capture` or `error`, or neither after a successful
    probe.

    Thread contract: read and abandoned on one thread, run on another.
    """

    def __init__(self, work: Callable[[], Capture | None]) -> None:
        self.capture: Capture | None = None
        self.error: AudioError | None = None
        self._work = work
        self._lock = threading.Lock()
        self._abandoned = False
        self._done = threading.Event()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, patience: float) -> None:
        self._done.wait(patience)

    def abandon(self) -> None:
        """Close what it has opened, or will open."""
        with self._lock:
            self._abandoned = True
            capture, self.capture = self.capture, None
        if capture is not None:
            capture.close()

    def run(self) -> None:
        try:
            capture = self._work()
        except AudioError as error:
            self.error = error
        except Exception as error:  # any error of a library counts as a refusal
            self.error = AudioError(f"cannot be opened ({error})")
        else:
            with self._lock:
                if not self._abandoned:
                    self.capture, capture = capture, None
            if capture is not None:
                capture.close()
        finally:
            self._done.set()


class _Worker:
    """A thread that runs tasks in order, and adds itself to `idle` after each."""

    def __init__(self, idle: deque[_Worker]) -> None:
        self.tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = idle
        threading.Thread(target=self._run, name="sound-open", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.tasks.get()()
            self._idle.append(self)


def can_be_opened(wanted: str | int | None) -> bool:
    """Whether another process, which scans devices afresh, can open the input `wanted`.

    PortAudio scans devices only when it starts, which closes every open stream of the process; a probe in another
    process closes none. Takes about 0.3 s. Call it from a thread that may wait.
    """
    try:
        run_module(__name__, [json.dumps(wanted)], _PROBE_PATIENCE)
    except ChildError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """The probe process. arguments: the input to open, in JSON. Returns the exit status, 0 if it can be opened."""
    from tpos_live.audio.capture import DeviceCapture

    return 0 if DeviceCapture(json.loads(arguments[0])).close() else 1
