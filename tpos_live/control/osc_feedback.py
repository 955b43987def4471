"""OSC feedback to controllers: a heartbeat, status values, and every parameter that changes."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from pythonosc.osc_message_builder import OscMessageBuilder

from tpos_live.control.osc_addresses import osc_value
from tpos_live.control.osc_targets import LEASE, Target, Targets
from tpos_live.core.direction import SECTIONS
from tpos_live.core.guard import Guard
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter import Value
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.status import Status

if TYPE_CHECKING:
    from tpos_live.features.features import Features

log = logging.getLogger(__name__)

NUMBERS_HZ = 10
AUDIO_HZ = 30
_QUIET_AFTER_SET = 0.3
"""Seconds after a controller has set a parameter in which it is not echoed: the echo would move a held fader."""
_LARGEST = 3.4e38

NUMBERS: Mapping[str, tuple[Callable[[Status], float], str]] = {
    "uptime": (lambda s: s.uptime, "seconds since the start"),
    "fps": (lambda s: s.engine_fps, "engine frames per second"),
    "busy": (lambda s: s.engine_busy, "share of the time in which the engine uses the card or processor, 0 to 1"),
    "shown_fps": (lambda s: s.shown_fps, "shown frames per second"),
    "latency_ms": (lambda s: s.latency_ms, "from the newest sound to the image, median of a second"),
    "audio_age_ms": (lambda s: s.audio_age_ms, "age of the newest sound"),
    "level": (lambda s: s.level, "level of the sound, 0 to 1"),
    "bass": (lambda s: s.bands[0], "level of the bass, 0 to 1"),
    "mid": (lambda s: s.bands[1], "level of the middle, 0 to 1"),
    "midhigh": (lambda s: s.bands[2], "level of the upper middle, 0 to 1"),
    "high": (lambda s: s.bands[3], "level of the highs, 0 to 1"),
    "gate": (lambda s: s.gate, "1 while there is sound, 0 in silence"),
    "tempo": (lambda s: s.tempo, "BPM, 0 while unknown"),
    "confidence": (lambda s: s.confidence, "confidence of the beat: expected share of right beats, 0 to 1"),
    "beat": (lambda s: s.beat_phase, "phase of the beat, 0 to 1"),
    "energy": (lambda s: s.energy, "energy relative to the usual level of this music, 0 to 1"),
    "tension": (lambda s: s.tension, "expectation of a drop, 0 to 1"),
    "magnitude": (lambda s: s.density, "density of the sound, independent of its level, 0 to 1"),
    "cue": (lambda s: s.cue, "number of the cue that is shown, or waits for its place; 0 for none"),
    "next_cue": (lambda s: s.next_cue, "number of the cue that look.next recalls, and the autopilot; 0 without cues"),
    "dropped": (lambda s: s.samples_lost, "samples of sound lost"),
    "record_dropped": (lambda s: s.record_dropped, "shown frames that are not in the recording"),
    "record_seconds": (lambda s: s.record_seconds, "length of the recording so far"),
    "record_fps": (lambda s: s.record_fps, "recorded frames per second"),
    "record_lag_ms": (lambda s: s.record_lag_ms, "delay of the video encoder"),
    "record_minutes_left": (lambda s: s.record_minutes_left, "minutes until the disk is full, 0 while unknown"),
    "memory_mb": (lambda s: s.memory_mb, "memory in use, MB"),
    "osc_bad": (lambda s: s.osc_bad, "OSC messages that could not be used"),
}
"""Sent as one float each, NUMBERS_HZ times a second, as /tpos/status/<name>."""

WORDS: Mapping[str, tuple[Callable[[Status], str], str]] = {
    "state": (lambda s: s.state, "starting, loading, running or stopping"),
    "prompt": (lambda s: s.prompt, "what is shown"),
    "showing": (lambda s: s.showing, "where it comes from: prompt, a slot of the bank, or slots with their weights"),
    "understood": (lambda s: s.understood, "what the engine understands of the prompt, and what not"),
    "heard": (lambda s: s.heard, "name of the sound; empty in silence"),
    "look": (lambda s: s.look, "name of the look recalled last; empty for none"),
    "tempo_source": (lambda s: s.tempo_source, "where the beat comes from: Link, MIDI clock, tap, OSC, audio"),
    "midi": (lambda s: s.midi, "open MIDI ports, and how many messages were lost; empty without MIDI"),
    "waiting": (lambda s: s.waiting, "what waits for a beat or bar (quantise, look/start); empty for nothing"),
    "section": (
        lambda s: s.section,
        "section of the music: " + ", ".join(SECTIONS) + "; empty while the director is off",
    ),
    "decision": (lambda s: s.decision, "the director's last decision, and why"),
    "keyframes": (
        lambda s: s.keyframes,
        "keyframes per second, and seconds from the prompt to the first; empty while every frame is drawn",
    ),
    "error": (lambda s: s.message, "what is wrong and what to do, or news (saved, stored) for 12 s; empty for neither"),
    "engine": (lambda s: s.engine, "name of the engine"),
    "accelerator": (lambda s: s.backend, "backend that really runs"),
    "sound": (lambda s: f"{s.sound_state} {s.sound_name}".strip(), "state and name of the input"),
    "recording": (lambda s: s.recording, "file that is being written; empty when none"),
    "record_error": (lambda s: s.record_error, "why a recording was lost; empty when the next one begins"),
}
"""Sent as text when they change and once a second, as /tpos/status/<name>."""


def encode(address: str, value: float | int | str) -> bytes:
    """One OSC message with one argument. A number outside the range of a 32-bit float (also NaN) becomes 0. A character
    of a file's name that is not valid in UTF-8 becomes a question mark."""
    builder = OscMessageBuilder(address)
    if isinstance(value, str):
        builder.add_arg(value.replace("\0", " ").encode(errors="replace").decode(), "s")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31:
        builder.add_arg(value, "i")
    else:
        builder.add_arg(float(value) if abs(value) < _LARGEST else 0.0, "f")
    return bytes(builder.build().dgram)


class Feedback(OwnThread):
    """Sends from `__enter__` to `__exit__` on its own thread, so also while the engine loads.

    Thread contract: any thread may call `answer`, `subscribe` and `unsubscribe`; one thread calls `tick`.
    """

    def __init__(
        self,
        store: ParameterStore,
        status: Callable[[], Status],
        targets: Targets,
        *,
        features: Callable[[], Features | None] | None = None,
        applied: Mapping[str, float] | None = None,
        last: Callable[[], str] = str,
    ) -> None:
        """targets: closed on exit. features: returns the newest record, for /audio/*; None = do not send them. applied:
        time at which controllers last set each parameter, on the clock of `tick`. last: returns the last applied
        message as text.
        """
        super().__init__("osc-feedback", patience=0.2)
        self._store = store
        self._status = status
        self._features = features
        self._applied = {} if applied is None else applied
        self._last = last
        self._targets = targets
        self._sent_texts: dict[str, str] = {}
        self._echoed: dict[str, Value] = dict(store.snapshot().values)
        self._echo_version = store.snapshot().version
        self._next_numbers = self._next_alive = -math.inf
        self._alive = 0
        self._beats = -1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._targets.close()

    def answer(self, host: str, address: str, value: float | int | str) -> None:
        """Send a value to one host."""
        self._send(self._targets.of(host), address, value)

    def subscribe(self, host: str, port: int, now: float) -> None:
        """Add host:port to the targets, and send it the seconds of its lease. Raises ParameterError."""
        self._targets.subscribe(host, port, now)
        self._send([(host, port)], "/tpos/subscribed", LEASE)

    def unsubscribe(self, host: str, port: int) -> None:
        """Remove host:port from the targets, and confirm it."""
        self._targets.unsubscribe(host, port)
        self._send([(host, port)], "/tpos/subscribed", 0.0)

    def tick(self, now: float) -> None:
        """Send the messages due at `now`, seconds of any monotonic clock."""
        status = self._status()
        self._targets.expire(now)
        if now >= self._next_alive:
            self._alive += 1
            self._next_alive = _next(self._next_alive, now, 1.0)
            self._sent_texts = (
                {} if self._sent_texts.get("error") else {"error": ""}
            )  # so that all texts but an empty error are repeated
            self._send_status("alive", float(self._alive))
        if now >= self._next_numbers:
            self._next_numbers = _next(self._next_numbers, now, 1.0 / NUMBERS_HZ)
            for name, (number, _) in NUMBERS.items():
                self._send_status(name, float(number(status)))
            for name, (word, _) in WORDS.items():
                self._send_text(name, word(status))
            self._send_text("applied", self._last())
            self._echo(now)
        if self._features and (features := self._features()):
            for address, value in self._audio(features):
                self._send(self._targets.all(), address, value)

    def _send_text(self, name: str, text: str) -> None:
        if self._sent_texts.get(name) != text:
            self._sent_texts[name] = text
            self._send_status(name, text)

    def _echo(self, now: float) -> None:
        snapshot = self._store.snapshot()
        if snapshot.version == self._echo_version:
            return
        late = False
        for name, value in snapshot.values.items():
            if value == self._echoed[name]:
                continue
            if now - self._applied.get(name, -math.inf) < _QUIET_AFTER_SET:
                late = True
                continue
            self._echoed[name] = value
            self._send(self._targets.all(), TABLE[name].address, osc_value(TABLE[name], value))
        if not late:
            self._echo_version = snapshot.version

    def _audio(self, f: Features) -> Iterator[tuple[str, float]]:
        """The features under the names that Synesthesia uses."""
        for name in ("all", "bass", "mid", "midhigh", "high"):
            band = "level" if name == "all" else name
            yield f"/audio/level/{name}", getattr(f, band)
            yield f"/audio/hits/{name}", getattr(f, f"{band}_hit")
            yield f"/audio/presence/{name}", f.presence if name == "all" else getattr(f, f"{band}_presence")
        yield "/audio/beat/onbeat", float(f.beats != self._beats)
        yield "/audio/beat/beattime", f.beats + f.beat_phase
        yield "/audio/bpm", f.tempo
        yield "/audio/bpm/bpmconfidence", f.confidence
        self._beats = f.beats

    def _send_status(self, name: str, value: float | int | str) -> None:
        self._send(self._targets.all(), f"/tpos/status/{name}", value)

    def _send(self, targets: list[Target], address: str, value: float | int | str) -> None:
        self._targets.send(encode(address, value), targets)

    def _run(self) -> None:
        period = 1.0 / (AUDIO_HZ if self._features else NUMBERS_HZ)
        guard = Guard(log, "OSC feedback", logging.INFO)
        while not self._stop.wait(period):
            with guard:
                self.tick(time.monotonic())


def _next(due: float, now: float, period: float) -> float:
    """The next due time: on the grid of `period`, or one period from now after a missed one."""
    return due + period if due + period > now else now + period
