"""One attempt to open an input, on a thread of its own: a driver may hang in it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable

from tpos_live.sound.capture import Capture
from tpos_live.sound.source import SoundError

PATIENCE = 1.0
"""Seconds that an attempt is waited for at once; a longer one goes on in the background."""
_PROBE_PATIENCE = 8.0


class Attempt:
    """Opens a capture. `done` once it has `capture` or `error`.

    Thread contract: made, read and abandoned on one thread.
    """

    def __init__(self, work: Callable[[], Capture | None], patience: float = PATIENCE) -> None:
        """work: opens and returns the capture (or None for an attempt that only looks); raises SoundError."""
        self.capture: Capture | None = None
        self.error: SoundError | None = None
        self._work = work
        self._lock = threading.Lock()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="sound-open", daemon=True)
        self._thread.start()
        self._thread.join(patience)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def abandon(self) -> bool:
        """Nobody waits for it any more: what it opens is closed again. False if it still hangs."""
        with self._lock:
            self._abandoned = True
            capture, self.capture = self.capture, None
        if capture is not None:
            capture.close()
        return self.done

    def _run(self) -> None:
        try:
            capture = self._work()
        except SoundError as error:
            self.error = error
            return
        except Exception as error:  # a library's; as good as refused
            self.error = SoundError(f"cannot be opened ({error})")
            return
        with self._lock:
            if not self._abandoned:
                self.capture = capture
                return
        if capture is not None:
            capture.close()


def can_be_opened(wanted: str | int | None) -> bool:
    """Whether another process, which looks for devices afresh, can open the input `wanted`.

    PortAudio looks for devices only when it starts, which ends every open stream of the process; asking like this
    disturbs none. Takes about 0.3 s. Call from a thread that may wait.
    """
    code = (
        "import json, sys; from tpos_live.sound.capture import DeviceCapture; "
        "sys.exit(0 if DeviceCapture(json.loads(sys.argv[1])).close() else 1)"
    )
    try:
        command = [sys.executable, "-c", code, json.dumps(wanted)]
        return subprocess.run(command, capture_output=True, timeout=_PROBE_PATIENCE, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
