"""MIDI ports: a small interface, and its implementation by rtmidi2.

All other MIDI code works on bytes, so tests need no device.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tpos_live.audio.stderr_filter import quiet_stderr
from tpos_live.core.optional_library import optional_library

_CARDS = 16, 128
"""Numbers of ALSA's clients that belong to cards: from the first to below the second."""


class MidiPortError(Exception):
    """Ports cannot be used: the reason, in one line."""


class Port(Protocol):
    """An open port."""

    def close(self) -> None: ...


class OutputPort(Port, Protocol):
    """An open output."""

    def send(self, data: bytes) -> None: ...


class MidiPorts(Protocol):
    """The ports of a computer. One thread calls all methods. Each raises MidiPortError."""

    def inputs(self) -> list[str]: ...

    def outputs(self) -> list[str]: ...

    def identity(self, name: str) -> object:
        """Differs for a device that was unplugged and is back under the same name; None where it is not known."""
        ...

    def open_input(self, name: str, receive: Callable[[bytes], None]) -> Port:
        """receive: called with each message, on a thread of the port."""
        ...

    def open_output(self, name: str) -> OutputPort: ...


class RtMidiPorts:
    """Ports by rtmidi2 (ALSA, Core MIDI, Windows)."""

    def __init__(self) -> None:
        """Raises MissingLibraryError without the extra `midi`, MidiPortError where the system has no MIDI."""
        self._library: Any = optional_library("rtmidi2", "midi")
        self._input = self._create(self._library.MidiIn)
        self._output = self._create(self._library.MidiOut)

    def inputs(self) -> list[str]:
        return list(self._input.ports)

    def outputs(self) -> list[str]:
        return list(self._output.ports)

    def identity(self, name: str) -> object:
        return node_of(name)

    def open_input(self, name: str, receive: Callable[[bytes], None]) -> Port:
        port = self._create(self._library.MidiIn)
        port.ignore_types(midi_sysex=True, midi_time=False, midi_sense=True)
        port.callback = lambda message, _time: receive(bytes(message))
        return self._open(port, name)

    def open_output(self, name: str) -> OutputPort:
        return self._open(self._create(self._library.MidiOut), name)

    def _create(self, kind: Callable[[], Any]) -> Any:
        try:
            with quiet_stderr():  # ALSA and RtMidi print several lines on errors
                return kind()
        except Exception as error:  # the library raises many classes
            raise MidiPortError(f"this computer gives no MIDI ports ({str(error).strip()})") from error

    def _open(self, port: Any, name: str) -> _OpenPort:
        try:
            port.open_port(port.ports.index(name))
        except Exception as error:
            raise MidiPortError(f'MIDI port "{name}" cannot be opened ({str(error).strip()})') from error
        return _OpenPort(port)


class _OpenPort:
    def __init__(self, port: Any) -> None:
        self._port = port

    def send(self, data: bytes) -> None:
        self._port.send_raw(*data)

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a device that is gone
            self._port.close_port()


def node_of(name: str, folder: Path = Path("/dev/snd")) -> tuple[int, int] | None:
    """Identity of the device node of an ALSA port's card, which is made anew each time a card is plugged in; None for
    other ports. ALSA gives each card four clients from 16 on, and a port is named "DEVICE:PORT CLIENT:NUMBER"."""
    found = re.search(r" (\d{1,3}):\d{1,3}$", name)
    if found is None or not _CARDS[0] <= int(found[1]) < _CARDS[1]:
        return None
    try:
        facts = (folder / f"controlC{(int(found[1]) - _CARDS[0]) // 4}").stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_ctime_ns
