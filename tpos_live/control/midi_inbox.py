"""Parses MIDI bytes and keeps the newest value of each controller, so that a flood costs a frame no more than one
move."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from tpos_live.control.midi_clock import MidiClock
from tpos_live.core.optional_library import optional_library

MOST_NOTES = 256
"""Most notes that are kept for one frame."""
LONGEST = 4096
"""Most bytes of an incomplete message per port: a dump that never ends would fill the memory."""

Controller = tuple[int, int]
"""Channel, 1 to 16, and number of a controller or note, 0 to 127."""


class MidiInbox:
    """Thread contract: `feed` on the threads of the ports, `take` on the display's thread; a short lock.

    lost: values that a newer one of the same controller replaced before `take`, and notes beyond MOST_NOTES.
    arrivals: how often a device came.
    """

    def __init__(self, clock: MidiClock) -> None:
        """Raises MissingLibraryError without the extra `midi`."""
        self._parser: Any = optional_library("mido.parser", "midi").Parser
        self._parsers: dict[str, Any] = {}
        self._incomplete: dict[str, int] = {}
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[Controller, int] = {}
        self._notes: deque[tuple[Controller, int]] = deque()
        self.lost = 0
        self.arrivals = 0

    def arrive(self, port: str) -> None:
        """A device has come, perhaps again: half a message of it is forgotten. On the connection's thread."""
        with self._lock:
            self._parsers.pop(port, None)
            self._incomplete.pop(port, None)
            self.arrivals += 1

    def feed(self, port: str, data: bytes, at: float) -> None:
        """Take any number of bytes from a port; an incomplete message waits for the rest. at: perf_counter of arrival.

        Each message must have its status byte (the ports of all systems expand running status).
        """
        if data[:1] == b"\xf0":  # a system exclusive dump, which may be long and is not used
            return
        with self._lock:
            parser = self._parsers.setdefault(port, self._parser())
            parser.feed(data)
            incomplete = self._incomplete.get(port, 0) + len(data)
            for message in parser:
                self._handle(message, at)
                incomplete = 0
            if incomplete > LONGEST:
                incomplete = 0
                del self._parsers[port]
            self._incomplete[port] = incomplete

    def take(self) -> tuple[dict[Controller, int], list[tuple[Controller, int]]]:
        """The newest value of each controller that moved, and the notes, with velocity, since the last call."""
        with self._lock:
            values, self._values = self._values, {}
            notes, self._notes = list(self._notes), deque()
        return values, notes

    def _handle(self, message: Any, at: float) -> None:
        if message.type == "control_change":
            controller = (message.channel + 1, message.control)
            self.lost += controller in self._values
            self._values.pop(controller, None)  # so that the dict is ordered by the newest values
            self._values[controller] = message.value
        elif message.type == "note_on" and message.velocity:
            if len(self._notes) < MOST_NOTES:
                self._notes.append(((message.channel + 1, message.note), message.velocity))
            else:
                self.lost += 1
        elif message.type == "clock":
            self._clock.tick(at)
        elif message.type == "start":
            self._clock.start()
        elif message.type == "stop":
            self._clock.stop()
        elif message.type == "continue":
            self._clock.resume()
        elif message.type == "songpos":
            self._clock.locate(message.pos)
