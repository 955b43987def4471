"""The connection to MIDI devices, with hot-plugging: its thread opens ports that appear, and sends."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self, TypeVar

from tpos_live.control.midi_clock import MidiClock
from tpos_live.control.midi_inbox import MidiInbox
from tpos_live.control.midi_ports import MidiPortError, MidiPorts, OutputPort, Port, RtMidiPorts
from tpos_live.core.messages import NOTICE
from tpos_live.core.optional_library import MissingLibraryError
from tpos_live.core.own_thread import OwnThread

log = logging.getLogger(__name__)

SCAN_SECONDS = 1.0
"""Seconds between two scans of the ports."""
ALL = "all"
_WAITING = 1000
"""Most messages in the send queue."""
_P = TypeVar("_P", bound=Port)
_OURS = ("rtmidi", "midi through")
"""Prefixes of the names of ports that are no devices: our own, and a loopback port."""


class MidiConnection(OwnThread):
    """A context manager: entering starts a thread that opens the wanted ports, and reopens them when they return.

    Without MIDI (no `--midi`, no extra, or a system without ports) `inbox` is None, and a warning says why.

    Thread contract: one thread enters and leaves; `send` may be called from anywhere and never waits; `names` may be
    read from anywhere.
    """

    def __init__(self, wanted: str, ports: Callable[[], MidiPorts] = RtMidiPorts) -> None:
        """wanted: part of a port's name, in any case; "all" for every port, "" for no MIDI."""
        super().__init__("midi", patience=0.5)
        self._wanted = wanted.strip().lower()
        self.clock = MidiClock()
        self.inbox: MidiInbox | None = None
        self.names: tuple[str, ...] = ()
        self._open: dict[str, Port] = {}
        self._outputs: dict[str, OutputPort] = {}
        self._present: dict[str, object] = {}
        self._warned: set[str] = set()
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
        with suppress(queue.Full):  # a full queue wakes the thread, too
            self._to_send.put_nowait(None)

    @property
    def described(self) -> str:
        """Open ports and lost messages, for the status; "" without MIDI."""
        if self.inbox is None:
            return ""
        lost = [f"{self.inbox.lost} lost"] if self.inbox.lost else []
        return " · ".join([*(self.names or ("no device",)), *lost])

    def send(self, data: bytes) -> None:
        """Queue bytes for all open outputs. They are dropped while the queue is full."""
        with suppress(queue.Full):
            self._to_send.put_nowait(data)

    def scan(self) -> None:
        """Scan the ports: open wanted ones that appeared, close those that disappeared. On the connection's thread."""
        assert self.inbox is not None
        try:
            inputs, outputs = self._matching(self._ports.inputs()), self._matching(self._ports.outputs())
        except MidiPortError as error:
            self._warn_once(str(error))
            return
        present = {name: self._ports.identity(name) for name in (*inputs, *outputs)}
        self._close_gone(self._open, inputs, present)
        self._close_gone(self._outputs, outputs, present)
        self._present, arrived = present, set()
        for name in inputs:
            if name not in self._open and (port := self._try(name, self._open_input)):
                self._open[name] = port
                arrived.add(name)
                log.log(NOTICE, f"MIDI: {name}")
        for name in outputs:
            if name not in self._outputs and (output := self._try(name, self._ports.open_output)):
                self._outputs[name] = output
                arrived.add(name)
        self.names = tuple(self._open)
        for name in arrived:  # after its output is open: the mapper sends the device what it shows
            self.inbox.arrive(name)

    def _matching(self, names: list[str]) -> list[str]:
        chosen = (name for name in dict.fromkeys(names) if not name.lower().startswith(_OURS))
        return [name for name in chosen if self._wanted == ALL or self._wanted in name.lower()]

    def _close_gone(
        self, opened: dict[str, Port] | dict[str, OutputPort], names: list[str], present: Mapping[str, object]
    ) -> None:
        """Close ports that are gone, and those of a device that left and returned between two scans."""
        for name in [name for name in opened if name not in names or present[name] != self._present.get(name)]:
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
            self._warn_once(str(error))
            return None
        return port

    def _warn_once(self, line: str) -> None:
        if line not in self._warned:
            self._warned.add(line)
            log.warning(line)

    def _run(self) -> None:
        scanned_at = -SCAN_SECONDS
        while not self._stop.is_set():
            now = time.monotonic()
            if now - scanned_at >= SCAN_SECONDS:
                scanned_at = now
                try:
                    self.scan()
                except Exception as error:  # no error of a driver may end MIDI
                    self._warn_once(f"MIDI: {error}")
            try:
                data = self._to_send.get(timeout=SCAN_SECONDS)
            except queue.Empty:
                continue
            if data is None:
                break
            for output in self._outputs.values():
                with suppress(Exception):  # the next scan closes a device that is gone
                    output.send(data)
        for port in (*self._open.values(), *self._outputs.values()):
            port.close()
