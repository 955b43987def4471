"""Hot-plugged MIDI ports. Real ports need ALSA's sequencer, which test machines lack, so these are fakes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.waiting import wait_until

from tpos_live.control.midi_connection import MidiConnection
from tpos_live.control.midi_ports import MidiPortError, RtMidiPorts, node_of
from tpos_live.core.optional_library import MissingLibraryError

pytest.importorskip("mido", reason="the extra midi is not installed")


class Plug:
    """An open fake port: the sent bytes, and whether it is closed."""

    def __init__(self, receive: Callable[[bytes], None] | None = None) -> None:
        self.receive, self.sent, self.closed = receive, list[bytes](), False

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True


class Sockets:
    """Fake ports of a computer; a test plugs devices in."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.broken: set[str] = set()
        self.opened: dict[str, Plug] = {}
        self.outs: dict[str, Plug] = {}
        self.plugged: dict[str, int] = {}

    def identity(self, name: str) -> object:
        return self.plugged.get(name)

    def inputs(self) -> list[str]:
        return ["Midi Through 14:0", *self.names]

    def outputs(self) -> list[str]:
        return list(self.names)

    def open_input(self, name: str, receive: Callable[[bytes], None]) -> Plug:
        if name in self.broken:
            raise MidiPortError(f'MIDI port "{name}" cannot be opened (busy)')
        self.opened[name] = Plug(receive)
        return self.opened[name]

    def open_output(self, name: str) -> Plug:
        self.outs[name] = Plug()
        return self.outs[name]


def test_a_device_is_opened_when_it_comes_and_again_when_it_returns(messages: list[str]) -> None:
    sockets = Sockets()
    midi = MidiConnection("all", lambda: sockets)
    midi.scan()
    assert midi.names == () and midi.described == "no device"
    sockets.names = ["nanoKONTROL2"]
    midi.scan()
    midi.scan()
    assert midi.names == ("nanoKONTROL2",) and len(messages) == 1
    first = sockets.opened["nanoKONTROL2"]
    assert first.receive is not None and midi.inbox is not None
    first.receive(bytes((0xB0, 1, 2)))
    assert midi.inbox.take()[0] == {(1, 1): 2}
    sockets.names = []
    midi.scan()
    assert midi.names == () and first.closed and "is gone" in messages[-1]
    sockets.names = ["nanoKONTROL2"]
    midi.scan()
    second = sockets.opened["nanoKONTROL2"]
    assert second is not first and midi.inbox.arrivals == 2
    second.receive(bytes((0xB0, 1)))  # half of a message
    sockets.plugged["nanoKONTROL2"] = 1  # left and back between two scans
    midi.scan()
    third = sockets.opened["nanoKONTROL2"]
    assert third is not second and second.closed and midi.inbox.arrivals == 3 and "is gone" in messages[-2]
    third.receive(bytes((5, 6)))
    assert midi.inbox.take()[0] == {}
    midi.scan()
    assert sockets.opened["nanoKONTROL2"] is third


def test_the_node_of_a_card_tells_that_it_was_plugged_in_again(tmp_path: Path) -> None:
    node = tmp_path / "controlC1"
    node.touch()
    first = node_of("nano:nano MIDI 1 20:0", tmp_path)
    assert first is not None and node_of("nano:nano MIDI 1 20:0", tmp_path) == first
    (tmp_path / "new").touch()
    (tmp_path / "new").replace(node)
    assert node_of("nano:nano MIDI 1 20:0", tmp_path) != first
    for other in ("nano 24:0", "Pure Data 128:0", "Midi Through 14:0", "nano", "IAC Bus 1"):
        assert node_of(other, tmp_path) is None


def test_part_of_a_name_chooses_and_a_busy_port_is_one_line(messages: list[str]) -> None:
    sockets = Sockets()
    sockets.names, sockets.broken = ["Launch Control XL", "Launchpad", "nano"], {"Launchpad"}
    midi = MidiConnection("launch", lambda: sockets)
    for _ in range(3):
        midi.scan()
    assert midi.names == ("Launch Control XL",) and sum("busy" in line for line in messages) == 1
    sockets.broken = set()
    midi.scan()
    assert midi.names == ("Launch Control XL", "Launchpad")


def test_the_thread_opens_sends_and_closes() -> None:
    sockets = Sockets()
    sockets.names = ["nano"]
    with MidiConnection("nano", lambda: sockets) as midi:
        midi.send(bytes((0xB0, 1, 2)))
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline and not (sockets.outs and sockets.outs["nano"].sent):
            time.sleep(0.01)
    assert sockets.outs["nano"].sent == [bytes((0xB0, 1, 2))]
    assert sockets.opened["nano"].closed and sockets.outs["nano"].closed


def test_leaving_closes_the_ports_also_where_a_device_has_taken_nothing_for_long() -> None:
    """More messages than the queue holds."""
    sockets, takes = Sockets(), threading.Event()
    sockets.names = ["nano"]

    class Busy(Plug):
        def send(self, data: bytes) -> None:
            takes.wait(20)
            super().send(data)

    def open_output(name: str) -> Plug:
        return sockets.outs.setdefault(name, Busy())

    sockets.open_output = open_output  # type: ignore[method-assign]
    with MidiConnection("nano", lambda: sockets) as midi:
        assert wait_until(lambda: "nano" in sockets.outs)
        for _ in range(1200):
            midi.send(bytes((0xB0, 1, 2)))
    takes.set()
    assert wait_until(lambda: sockets.outs["nano"].closed and sockets.opened["nano"].closed)


@pytest.mark.parametrize("error", [MissingLibraryError("this needs rtmidi2"), MidiPortError("no ports here")])
def test_without_midi_a_show_starts_with_one_line(error: Exception, messages: list[str]) -> None:
    def missing() -> Sockets:
        raise error

    with MidiConnection("all", missing) as midi:
        midi.send(b"")
    assert midi.inbox is None and midi.described == "" and len(messages) == 1 and str(error) in messages[0]
    with MidiConnection("") as midi:
        assert midi.inbox is None and len(messages) == 1


def test_the_real_ports_answer_or_say_why_not() -> None:
    pytest.importorskip("rtmidi2", reason="the extra midi is not installed")
    try:
        ports = RtMidiPorts()
    except MidiPortError as error:
        assert "no MIDI ports" in str(error) and "\n" not in str(error)
        return
    assert isinstance(ports.inputs(), list)
    with pytest.raises(MidiPortError, match="cannot be opened"):
        ports.open_output("no such device")
