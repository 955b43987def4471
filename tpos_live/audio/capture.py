"""A capture: one open input with its stream, its ring buffer, and the time of its newest block."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from tpos_live.audio.conversion import select_channels
from tpos_live.audio.devices import Device, find_input
from tpos_live.audio.portaudio import close_stream, portaudio, started
from tpos_live.audio.ring_buffer import RingBuffer
from tpos_live.audio.source import RATE, AudioError
from tpos_live.audio.stderr_filter import quiet_stderr
from tpos_live.core.errors import first_line

RING_SECONDS = 2.0
BLOCKS_A_SECOND = 200
"""Requested callbacks per second: one block is half a hop of the analysis. PulseAudio's default of 480 takes 3 % of a
core, and the GIL 480 times; 200 adds 1.2 ms of latency (both measured)."""


class Capture:
    """The audio of one open input.

    name, full_name: as in `Device`. rate: samples per second. picked: the 0-based channels to use. opened_at:
    perf_counter. latency: the device's buffering in seconds.

    Thread contract: the device's thread calls `deliver` and `finish`, one thread reads `ring`, one thread calls
    `close`; the other fields may be read from anywhere. `stamp` is replaced as a whole, so its two numbers always
    belong together.
    """

    on_portaudio = False
    """Whether a rescan of PortAudio's devices closes this stream."""

    def __init__(self, name: str, full_name: str, rate: float, picked: tuple[int, ...], opened_at: float) -> None:
        self.name = name
        self.full_name = full_name
        self.rate = rate
        self.picked = picked
        self.opened_at = opened_at
        self.latency = 0.0
        self.ring = RingBuffer(round(RING_SECONDS * rate), max(picked) + 1)
        self.stamp: tuple[float, int] | None = None
        """perf_counter of the newest block, and the samples delivered or flagged as lost up to it."""
        self.flagged = 0
        """Samples flagged as lost. PortAudio does not report how many, so one block is counted per flag."""
        self.finished = False

    def deliver(self, block: np.ndarray, now: float, overflow: bool) -> None:
        """Take a block, float32 [n, channels], that the device delivered at `now` (perf_counter). overflow: the device
        reports lost samples. Only copies."""
        self.ring.write(block)
        if overflow:
            self.flagged += len(block)
        self.stamp = (now, self.ring.written + self.flagged)

    def finish(self) -> None:
        """The device ended the stream: unplugged, or its callback failed."""
        self.finished = True

    def close(self) -> bool:
        """Release the device; False if it hung and was abandoned."""
        return True


class DeviceCapture(Capture):
    """A capture from a PortAudio device, running from the start."""

    on_portaudio = True

    def __init__(
        self, wanted: str | int | None, channels: tuple[int, ...] | None = None, rate: float | None = None
    ) -> None:
        """wanted, channels: as in `find_input` and `select_channels`. rate: samples per second to request; default: 48
        kHz where the device supports it, else the device's own rate.

        Raises AudioError if there is no such device or it cannot be opened.
        """
        sd = portaudio()
        device = find_input(wanted)
        picked = select_channels(device.inputs, channels, device.name)
        rate = rate or _best_rate(sd, device, max(picked) + 1)
        super().__init__(device.name, device.full_name, rate, picked, perf_counter())
        try:
            self._stream = started(
                lambda: sd.InputStream(
                    device=device.index,
                    channels=max(picked) + 1,
                    samplerate=rate,
                    blocksize=round(rate / BLOCKS_A_SECOND),
                    dtype="float32",
                    latency="low",
                    callback=self._on_block,
                    finished_callback=self.finish,
                )
            )
        except (sd.PortAudioError, ValueError, OSError) as error:
            raise AudioError(
                f'microphone "{device.name}" cannot be opened ({first_line(error, 200)}); '
                'close the program that uses it, or choose another: "tpos-live devices" lists them'
            ) from error
        self.latency = float(self._stream.latency)

    def _on_block(self, block: np.ndarray, frames: int, when: Any, flags: Any) -> None:
        self.deliver(block, perf_counter(), bool(flags) and flags.input_overflow)

    def close(self) -> bool:
        return close_stream(self._stream)


def _best_rate(sd: Any, device: Device, channels: int) -> float:
    try:
        with quiet_stderr():
            sd.check_input_settings(device=device.index, channels=channels, dtype="float32", samplerate=RATE)
    except (sd.PortAudioError, ValueError):
        return device.rate
    return RATE
