"""PortAudio: imported late, without its messages on stderr, and closed even if a driver hangs."""

from __future__ import annotations

import atexit
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tpos_live.audio.source import AudioError
from tpos_live.audio.stderr_filter import install_stderr_filter, quiet_stderr

WITHOUT = 'files still play: --audio FILE, or "tpos-live demo"'
"""What works without an audio device."""
CLOSE_PATIENCE = 0.3
"""Seconds that a stream gets to close; then it is abandoned."""


def portaudio() -> ModuleType:
    """The sounddevice module, imported late. Raises AudioError with the remedy where it cannot work."""
    install_stderr_filter()
    try:
        import sounddevice
    except (OSError, ImportError) as error:
        if isinstance(error, ImportError):
            remedy = "pip install sounddevice"
        elif sys.platform.startswith("linux"):
            remedy = "sudo apt install libportaudio2 (Fedora: dnf install portaudio)"
        else:
            remedy = "pip install --force-reinstall sounddevice"
        raise AudioError(f"PortAudio is missing, so no sound device can be used: {remedy}; {WITHOUT}") from error
    except Exception as error:  # PortAudioError, a class of the module whose import failed
        raise AudioError(f"PortAudio does not start ({error}); {WITHOUT}") from error
    module: ModuleType = sounddevice
    return module


def rescan() -> None:
    """Restart PortAudio, because it scans devices only when it starts. Closes every open stream.

    Raises AudioError if it does not start again; the caller may try again.
    """
    sd = portaudio()
    try:
        with quiet_stderr():
            if sd._initialized:
                sd._terminate()
            sd._initialize()
    except sd.PortAudioError as error:
        raise AudioError(f"PortAudio does not start again ({error})") from error


def started(make: Callable[[], Any]) -> Any:
    """Open a stream with `make` and start it. A stream that does not start is closed, because it would keep the device
    busy for the next attempt. Raises PortAudio's errors."""
    with quiet_stderr():
        stream = make()
        try:
            stream.start()
        except BaseException:
            close_stream(stream)
            raise
    return stream


def close_stream(stream: Any) -> bool:
    """Abort and close a stream; False if its driver hung and it was abandoned.

    Never stop(): it waits for a stalled device, 22 s as measured under PulseAudio, where abort() returns at once. If
    even abort() hangs, its thread is abandoned, and PortAudio's own clean-up at exit is cancelled, because it would
    wait for the same driver.
    """

    def abort() -> None:
        stream.abort(ignore_errors=True)
        stream.close(ignore_errors=True)

    closing = threading.Thread(target=abort, name="sound-close", daemon=True)
    closing.start()
    closing.join(CLOSE_PATIENCE)
    if closing.is_alive():
        atexit.unregister(getattr(sys.modules.get("sounddevice"), "_exit_handler", abort))
    return not closing.is_alive()
