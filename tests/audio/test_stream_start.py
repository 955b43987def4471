"""PortAudio streams that open but do not start, as while a driver is coming back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tpos_live.audio import capture, playback
from tpos_live.audio.devices import Device
from tpos_live.audio.source import AudioError


class DriverError(Exception):
    """Stands for sounddevice.PortAudioError."""


class Stream:
    """A stream that opens, but does not start."""

    def __init__(self, **_options: Any) -> None:
        opened.append(self)
        self.closed = False

    def start(self) -> None:
        raise DriverError("Device unavailable")

    def abort(self, ignore_errors: bool = True) -> None: ...

    def close(self, ignore_errors: bool = True) -> None:
        self.closed = True


opened: list[Stream] = []
DRIVER = SimpleNamespace(
    InputStream=Stream,
    OutputStream=Stream,
    PortAudioError=DriverError,
    check_input_settings=lambda **_options: None,
    query_devices=lambda: [{"max_output_channels": 2}],
)


def test_a_stream_that_does_not_start_keeps_no_device_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries may go on for hours, and a stream that stays open would block the next attempt."""
    for module in (capture, playback):
        monkeypatch.setattr(module, "portaudio", lambda: DRIVER)
    monkeypatch.setattr(capture, "find_input", lambda wanted: Device(0, "mic", "ALSA", 2, 0, 48_000.0))
    opened.clear()
    with pytest.raises(AudioError, match="cannot be opened"):
        capture.DeviceCapture(None)
    with pytest.raises(AudioError, match="no sound output"):
        playback.Playback(lambda out: None)
    assert len(opened) == 2 and all(stream.closed for stream in opened)
