"""A live input as a source: stereo and mono at 48 kHz, and silence while the device delivers nothing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Self

import numpy as np

from tpos_live.audio.capture import Capture, DeviceCapture
from tpos_live.audio.conversion import Downmix, Resampler, StereoMix
from tpos_live.audio.devices import find_input
from tpos_live.audio.dropouts import DropoutMeter, SilenceMeter
from tpos_live.audio.file_capture import FileCapture, names_a_file
from tpos_live.audio.portaudio import rescan
from tpos_live.audio.source import ABSURD, RATE, AudioError, Chunk, Losses, SourceState, SourceStatus
from tpos_live.audio.supervisor import STALL, Supervisor
from tpos_live.core.heap import give_back_later

log = logging.getLogger(__name__)

QUIET_PATIENCE = 3.0
"""Seconds without sound before the status tells the user to check the input."""
_BACKLOG = 0.1
"""Seconds of buffered audio that are kept when a capture becomes active; older audio is dropped."""
_LONGEST = 2.0
"""Longest silence in seconds that one `pull` returns after a late call."""
_PERMISSION = {
    "darwin": "allow the microphone for this terminal in System Settings > Privacy & Security",
    "win32": "allow desktop apps the microphone in Settings > Privacy",
}


class Microphone:
    """A live input with its supervisor; implements `AudioSource`.

    Thread contract: as for `AudioSource`. The device's callback writes the ring buffer; the thread that calls `pull`
    reads it and does all processing; the supervisor replaces the `Capture` when it reopens the device.
    """

    def __init__(
        self,
        device: str | int | None = None,
        channels: tuple[int, ...] | None = None,
        rate: float | None = None,
        fallback: str = "",
        required: bool = True,
    ) -> None:
        """device, channels, rate: as in `DeviceCapture`; nothing is opened before the source is entered. fallback: used
        while the device is lost: the path of a file, which loops and is not played aloud, or words of another input's
        name, of which the first two channels are used; "" for none. required: as in `Supervisor`."""
        self._fallback, self._required = fallback, required
        self._supervisor = Supervisor(
            device,
            lambda wanted: DeviceCapture(wanted, channels, rate),
            rescan,
            _fallback_opener(fallback),
            required=required,
        )
        self._capture: Capture | None = None
        self._mix = StereoMix((0, 1))
        self._downmix = Downmix(2)
        self._resampler = Resampler(RATE)
        self._meter = DropoutMeter(RATE)
        self._earlier = Losses()
        self._counts_at_switch = 0, 0
        self._outage = 0
        self._invalid = 0
        self._received_at: float | None = None
        self._filled_to: float | None = None
        self._silence_meter = SilenceMeter()
        self._real = False
        self._real_since = 0.0

    def __enter__(self) -> Self:
        """Raises AudioError for an input that is required and cannot be opened, unless there is a fallback, and for a
        fallback that is no audio file."""
        if names_a_file(self._fallback) and self._required:
            FileCapture(self._fallback).close()
        elif self._fallback:
            self._warn_if_missing(self._fallback)
        self._supervisor.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self._supervisor.close()

    def pull(self, now: float) -> Chunk | None:
        capture = self._supervisor.capture
        if capture is not None and capture is not self._capture:
            self._switch_to(capture)
        if self._filled_to is None:
            self._filled_to = now
            self._silence_meter.begin(now)
        block = capture.ring.read() if capture is not None else None
        if capture is None or block is None or not len(block):
            return self._silence(now)
        return self._sound(capture, block, now)

    def status(self, now: float) -> SourceStatus:
        silent_for = self._silence_meter.silent_for(now)
        message = self._supervisor.message
        quiet = self._real and min(silent_for, now - self._real_since) >= QUIET_PATIENCE
        if not message and quiet and self._supervisor.state is SourceState.RUNNING:
            remedy = _PERMISSION.get(sys.platform, 'choose another: "tpos-live devices" lists them')
            message = f'no sound from "{self._supervisor.name}": check plug, level and mute switch, or {remedy}'
        return SourceStatus(
            state=self._supervisor.state,
            name=self._supervisor.name,
            losses=self._losses(),
            message=message,
        )

    @property
    def passed(self) -> float:
        capture = self._supervisor.capture or self._capture
        return capture.latency if capture else 0.0

    def reopen(self, device: str | int) -> None:
        self._supervisor.change(device)

    def _warn_if_missing(self, fallback: str) -> None:
        """Log at the start, and not first when it is needed, that a fallback is missing."""
        try:
            find_input(fallback)
        except AudioError as error:
            log.warning(f"the fallback is not there yet: {error}")

    def _switch_to(self, capture: Capture) -> None:
        self._earlier = self._losses()
        self._outage = self._invalid = 0
        replaces = self._capture is not None
        self._capture = capture
        if replaces:
            give_back_later()  # the memory of the previous capture
        self._mix = StereoMix(capture.picked, capture.rate, capture.name)
        self._downmix = Downmix(2, name=capture.name)
        stale = capture.ring.available - round(_BACKLOG * capture.rate)
        if stale > 0:
            capture.ring.read(stale)
        self._counts_at_switch = capture.flagged, capture.ring.overwritten
        self._resampler = Resampler(capture.rate)
        self._meter = DropoutMeter(capture.rate)

    def _sound(self, capture: Capture, block: np.ndarray, now: float) -> Chunk | None:
        if not self._real:
            self._real, self._real_since = True, now
            self._meter.restart()
            if self._received_at is None:
                self._silence_meter.restart(now)
        captured_at, frames = capture.stamp or (now, len(block))
        self._meter.see(captured_at, frames)
        self._received_at = self._filled_to = now
        peak = np.abs(block).max()
        if not peak <= ABSURD:  # NaN too
            sane = np.abs(block) <= ABSURD
            self._invalid += int((~sane).any(axis=1).sum())
            block = np.where(sane, block, np.float32(0))
        stereo = self._mix.push(block)
        self._silence_meter.add(stereo, now)
        stereo = self._resampler.push(stereo)
        return Chunk(self._downmix.push(stereo), stereo, captured_at) if len(stereo) else None

    def _silence(self, now: float) -> Chunk | None:
        """Zeros up to `now`, once the device has delivered nothing for longer than STALL."""
        assert self._filled_to is not None
        if self._real and now - self._filled_to <= STALL:
            return None
        self._real = False
        self._filled_to = max(self._filled_to, now - _LONGEST)
        count = int((now - self._filled_to) * RATE)
        if count <= 0:
            return None
        self._filled_to += count / RATE
        if self._received_at is not None:
            self._outage += count
        return Chunk(np.zeros(count, np.float32), np.zeros((count, 2), np.float32), now, real=False)

    def _losses(self) -> Losses:
        capture, earlier = self._capture, self._earlier
        if capture is None:
            return earlier
        return Losses(
            flagged=earlier.flagged + capture.flagged - self._counts_at_switch[0],
            overwritten=earlier.overwritten + capture.ring.overwritten - self._counts_at_switch[1],
            dropouts=earlier.dropouts + self._meter.samples + round(self._outage * capture.rate / RATE),
            invalid=earlier.invalid + self._invalid,
        )


def _fallback_opener(fallback: str) -> Callable[[], Capture] | None:
    if not fallback:
        return None
    return (lambda: FileCapture(fallback)) if names_a_file(fallback) else (lambda: DeviceCapture(fallback))
