"""The connection to MIDI devices: ports that come and go, on a thread of its own."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeVar

from tpos_live.control.midi_clock import MidiClock
from tpos_live.control.midi_inbox import MidiInbox
from tpos_live.control.midi_ports import MidiPortError, MidiPorts, OutputPort, Port, RtMidiPorts
from tpos_live.core.messages import NOTICE
from tpos_live.core.optional_library import MissingLibraryError
from tpos_live.core.own_thread import OwnThread

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks for ports that have come or gone."""
ALL = "all"
_WAITING = 1000
_P = TypeVar("_P", bound=Port)
_OURS = ("rtmidi", "midi through")
"""Beginnings of names of ports that are no devices: our own, and one that returns what is sent."""


class MidiConnection(OwnThread):
    """A context manager: entering starts a thread that opens the wanted ports, again when they return.

    Without MIDI (no `--midi`, no extra, no ports in this system) `inbox` is None, after one line that says why.

    Thread contract: one thread enters and leaves; `send` may be called from anywhere and never waits; `names` may be
    read from anywhere.
    """

    def __init__(self, wanted: str, ports: Callable[[], MidiPorts] = RtMidiPorts) -> None:
        """wanted: part of a port's name, whatever its case; "all" for every port, "" for no MIDI."""
        super().__init__("midi", patience=0.5)
        self._wanted = wanted.strip().lower()
        self.clock = MidiClock()
        self.inbox: MidiInbox | None = None
        self.names: tuple[str, ...] = ()
        self._open: dict[str, Port] = {}
        self._outputs: dict[str, OutputPort] = {}
        self._failing: set[str] = set()
        self._to_send: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        if not self._wanted:
            return
        try:
            self._ports = ports()
            self.inbox = MidiInbox(self.clock)
        except (MissingLibraryError, MidiPortError) as error:
            log.warning(f"no MIDI: {error}")

    def __enter__(self) -> Self:
        return self if self.inbox is None else super().__enter__()

    def _wake(self) -> None:
        with suppress(queue.Full):  # then it does not wait
            self._to_send.put_nowait(None)

    @property
    def described(self) -> str:
        """Open ports and lost messages, for the status; "" without MIDI."""
        if self.inbox is None:
            return ""
        lost = [f"{self.inbox.lost} lost"] if self.inbox.lost else []
        return " · ".join([*(self.names or ("no device",)), *lost])

    def send(self, data: bytes) -> None:
        """Send to all open outputs soon; dropped while a device takes nothing."""
        with suppress(queue.Full):
            self._to_send.put_nowait(data)

    def look(self) -> None:
        """Open the wanted ports that have come, close those that have gone. On the connection's thread."""
        try:
            inputs, outputs = self._matching(self._ports.inputs()), self._matching(self._ports.outputs())
        except MidiPortError as error:
            self._tell_once(str(error))
            return
        self._close_gone(self._open, inputs)
        self._close_gone(self._outputs, outputs)
        for name in inputs:
            if name not in self._open and (port := self._try(name, self._open_input)):
                self._open[name] = port
                log.log(NOTICE, f"MIDI: {name}")
        for name in outputs:
            if name not in self._outputs and (output := self._try(name, self._ports.open_output)):
                self._outputs[name] = output
        self.names = tuple(self._open)

    def _matching(self, names: list[str]) -> list[str]:
        chosen = (name for name in dict.fromkeys(names) if not name.lower().startswith(_OURS))
        return [name for name in chosen if self._wanted == ALL or self._wanted in name.lower()]

    def _close_gone(self, opened: dict[str, Port] | dict[str, OutputPort], names: list[str]) -> None:
        for name in [name for name in opened if name not in names]:
            opened.pop(name).close()
            if opened is self._open:
                log.warning(f"MIDI: {name} is gone; it is opened again when it returns")

    def _open_input(self, name: str) -> Port:
        inbox = self.inbox
        assert inbox is not None
        return self._ports.open_input(name, lambda data: inbox.feed(name, data, time.perf_counter()))

    def _try(self, name: str, open_port: Callable[[str], _P]) -> _P | None:
        try:
            port = open_port(name)
        except MidiPortError as error:
            self._tell_once(str(error))
            return None
        return port

    def _tell_once(self, line: str) -> None:
        if line not in self._failing:
            self._failing.add(line)
            log.warning(line)

    def _run(self) -> None:
        looked = -LOOK_SECONDS
        while not self._stop.is_set():
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                try:
                    self.look()
                except Exception as error:  # MIDI must outlive any fault of a driver
                    self._tell_once(f"MIDI: {error}")
            try:
                data = self._to_send.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if data is None:
                break
            for output in self._outputs.values():
                with suppress(Exception):  # a device that is gone is closed by the next look
                    output.send(data)
        for port in (*self._open.values(), *self._outputs.values()):
            port.close()
