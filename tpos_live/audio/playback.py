"""Playback: an output whose callback requests audio at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from tpos_live.audio.portaudio import close_stream, portaudio, started
from tpos_live.audio.source import RATE, AudioError
from tpos_live.core.errors import first_line

_LATENCY = 0.06
"""Requested latency in seconds. With less, a busy interpreter causes audible dropouts; the image has a similar
latency."""


class Playback:
    """The default output, stereo at 48 kHz, playing what `fill` writes.

    Thread contract: `fill` is called on the device's thread with float32 [n, 2] to overwrite; it must only copy.
    `asked_at` may be read from anywhere; one thread opens and closes.
    """

    def __init__(self, fill: Callable[[np.ndarray], None], device: str | int | None = None) -> None:
        """Open and start. Raises AudioError where there is no output."""
        sd = portaudio()
        self._fill = fill
        self.opened_at = perf_counter()
        self.asked_at: float | None = None
        """perf_counter when the device last requested audio."""
        self.finished = False
        try:
            self._stream = started(
                lambda: sd.OutputStream(
                    device=device,
                    samplerate=RATE,
                    channels=2,
                    dtype="float32",
                    latency=_LATENCY,
                    callback=self._on_block,
                    finished_callback=self._on_end,
                )
            )
        except (sd.PortAudioError, ValueError, OSError) as error:
            if not _has_output(sd):
                raise AudioError("this machine has no sound output") from error
            raise AudioError(f"no sound output ({first_line(error, 200)})") from error
        self.latency = float(self._stream.latency)

    def _on_block(self, out: np.ndarray, frames: int, when: Any, flags: Any) -> None:
        self._fill(out)
        self.asked_at = perf_counter()

    def _on_end(self) -> None:
        self.finished = True

    def close(self) -> None:
        """Stop playback."""
        close_stream(self._stream)


def _has_output(sd: Any) -> bool:
    """Whether an output exists; also True if PortAudio cannot list the devices, so that its first error is reported."""
    try:
        return any(device["max_output_channels"] > 0 for device in sd.query_devices())
    except (sd.PortAudioError, ValueError, OSError):
        return True
