from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from fakes.waiting import wait_until

from tpos_live.audio.capture import Capture
from tpos_live.audio.delivery import START
from tpos_live.audio.devices import Device, find_input, other_inputs
from tpos_live.audio.source import AudioError, SourceState
from tpos_live.audio.supervisor import HANGS, Supervisor

BLOCK = np.zeros((480, 1), np.float32)


class Room:
    """A fake sound system: its devices, whether they deliver blocks, and a record of the calls.
    The test is the supervisor's thread and its clock."""

    def __init__(self, *names: str, fallback: str = "", missing: bool = False) -> None:
        """missing: the input is absent at the start, and not required."""
        self.names = [] if missing else list(names)
        self.visible = list(self.names)
        self.silent: set[str] = set()
        self.opened: list[Capture] = []
        self.closed: list[Capture] = []
        self.rescans = 0
        self.hanging = False
        self.now = 100.0
        self.refused: set[str] = set()
        open_fallback = (lambda: self.open_capture(fallback)) if fallback else None
        self.opening = self.open_capture
        self.supervisor = Supervisor(
            names[0], lambda wanted: self.opening(wanted), self.rescan, open_fallback, self.probe, self.others,
            required=not missing,
        )  # fmt: skip
        self.supervisor.begin(self.now)

    def open_capture(self, wanted: str | int | None) -> Capture:
        try:
            name = find_input(wanted, self.devices()).name
        except AudioError:
            raise AudioError(f'no input matches "{wanted}"') from None
        if name not in self.names or name in self.refused:
            raise AudioError(f'"{name}" cannot be opened')
        capture = Capture(name, f"{name}, fake", 48_000, (0,), self.now)
        capture.on_portaudio = True
        capture.close = lambda: self.closed.append(capture) or not self.hanging  # type: ignore[method-assign]
        self.opened.append(capture)
        return capture

    def devices(self) -> list[Device]:
        return [Device(index, name, "fake", 1, 0, 48_000) for index, name in enumerate(self.visible)]

    def others(self, wanted: str | int | None) -> tuple[str, ...]:
        return other_inputs(wanted, self.devices())

    def rescan(self) -> None:
        assert all(capture in self.closed for capture in self.opened), "a rescan would kill an open stream"
        self.rescans += 1
        self.visible = list(self.names)

    def probe(self, wanted: object) -> bool:
        return wanted in self.names and wanted not in self.refused

    def open_now(self) -> list[Capture]:
        return [capture for capture in self.opened if capture not in self.closed]

    def run(self, seconds: float) -> list[SourceState]:
        """Let time pass; returns the supervisor's states in order, without repeats."""
        states = [self.supervisor.state]
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            for capture in self.open_now():
                if capture.name in self.names and capture.name not in self.silent:
                    capture.deliver(BLOCK, self.now, overflow=False)
            self.supervisor.step(self.now)
            if self.supervisor.state is not states[-1]:
                states.append(self.supervisor.state)
        return states


def test_a_good_device_runs_and_is_left_alone() -> None:
    room = Room("desk")
    assert room.run(60) == [SourceState.STARTING, SourceState.RUNNING]
    assert len(room.opened) == 1 and not room.closed and not room.supervisor.message


def test_the_first_block_may_take_longer() -> None:
    room = Room("desk")
    room.silent.add("desk")
    assert room.run(START - 0.1) == [SourceState.STARTING]
    room.silent.clear()
    assert room.run(0.1)[-1] is SourceState.RUNNING


def test_a_hiccup_keeps_the_stream(messages: list[str]) -> None:
    """0.8 s without a block: the same stream continues, and no stream is opened or closed."""
    room = Room("desk")
    room.run(5)
    room.silent.add("desk")
    assert room.run(0.8) == [SourceState.RUNNING, SourceState.STALLED]
    assert room.supervisor.message == 'microphone "desk" gives no sound; waiting for it'
    room.silent.clear()
    assert room.run(0.1)[-1] is SourceState.RUNNING
    assert len(room.opened) == 1 and not room.closed and room.supervisor.message == ""
    assert messages == ['microphone "desk" gives no sound; waiting for it', 'microphone "desk" is back']


def test_of_a_stalled_stream_and_a_new_one_the_first_to_give_sound_is_kept() -> None:
    for which in (0, 1):
        room = Room("desk")
        room.run(5)
        room.silent.add("desk")
        room.run(2.0)
        assert len(room.open_now()) == 2, "opened beside the old one"
        room.opened[which].deliver(BLOCK, room.now, overflow=False)
        room.supervisor.step(room.now)
        room.supervisor.step(room.now)
        room.silent.clear()
        assert room.run(0.1)[-1] is SourceState.RUNNING
        assert room.supervisor.capture is room.opened[which] and room.open_now() == [room.opened[which]]


def test_a_device_that_cannot_be_opened_twice_is_waited_for() -> None:
    room = Room("desk")
    room.run(5)
    room.silent.add("desk")
    room.refused.add("desk")
    room.run(2.5)
    assert room.open_now() == [room.opened[0]]
    room.silent.clear()
    assert room.run(0.1)[-1] is SourceState.RUNNING and len(room.opened) == 1


def test_a_long_stall_is_reported_and_the_input_opened_again() -> None:
    room = Room("desk")
    room.run(5)
    room.silent.add("desk")
    assert room.run(0.4) == [SourceState.RUNNING]
    assert room.run(3.0)[1:] == [SourceState.STALLED, SourceState.REOPENING]
    assert room.supervisor.message == 'microphone "desk" gives no sound; waiting for it'
    room.run(30)
    room.silent.clear()
    assert room.run(5.1)[-1] is SourceState.RUNNING  # the longest wait between two attempts
    assert room.supervisor.message == ""
    assert room.open_now() == [room.supervisor.capture]


def test_a_lost_input_is_replaced_within_three_seconds_and_given_back(messages: list[str]) -> None:
    room = Room("desk", "webcam", fallback="webcam")
    room.run(5)
    room.names.remove("desk")
    room.opened[0].finish()
    room.run(3.0)
    supervisor = room.supervisor
    assert supervisor.name == "webcam" and supervisor.state is SourceState.RUNNING
    assert supervisor.message == 'microphone "desk" is gone; "webcam" is heard until it returns'
    assert messages[-1] == supervisor.message
    messages.clear()
    webcam = supervisor.capture
    room.run(20)
    assert supervisor.capture is webcam and webcam not in room.closed, "undisturbed by the attempts to open the first"
    room.names.append("desk")
    room.run(6.5)
    assert supervisor.name == "desk" and supervisor.message == ""
    assert webcam in room.closed and room.open_now() == [supervisor.capture]
    assert messages == ['microphone "desk" is back']


def test_a_device_that_a_rescan_must_find_is_looked_for_without_disturbing_the_fallback() -> None:
    room = Room("desk", "webcam", fallback="webcam")
    room.run(5)
    room.names.remove("desk")
    room.visible.remove("desk")
    room.opened[0].finish()
    room.run(30)
    assert room.supervisor.name == "webcam" and room.rescans <= 1 and len(room.opened) == 2
    room.names.append("desk")  # another process sees it; we do before a rescan not
    room.run(6.5)
    assert room.supervisor.name == "desk" and room.rescans <= 2 and "desk" in room.visible


def test_a_stalled_input_is_replaced_and_given_back_without_being_closed_for_it() -> None:
    room = Room("desk", "webcam", fallback="webcam")
    room.run(5)
    room.silent.add("desk")
    room.run(2.8)
    assert room.supervisor.name == "webcam"
    room.silent.clear()
    room.run(0.4)
    assert room.supervisor.name == "webcam", "a single block is no return"
    room.run(0.3)
    assert room.supervisor.name == "desk" and len(room.open_now()) == 1


def test_a_hiccup_does_not_change_to_the_fallback() -> None:
    room = Room("desk", "webcam", fallback="webcam")
    room.run(5)
    room.silent.add("desk")
    room.run(1.5)
    room.silent.clear()
    room.run(2)
    assert room.supervisor.name == "desk" and room.open_now() == [room.opened[0]]


def test_a_show_starts_with_the_fallback_where_the_input_is_missing(messages: list[str]) -> None:
    room = Room("webcam", fallback="webcam")
    supervisor = Supervisor("desk", room.open_capture, room.rescan, lambda: room.open_capture("webcam"), room.probe)
    room.opened[0].close()
    room.supervisor = supervisor
    supervisor.begin(room.now)
    room.run(1)
    assert supervisor.name == "webcam" and supervisor.state is SourceState.RUNNING
    assert any('no input matches "desk"' in line for line in messages)
    room.run(10)
    assert supervisor.message == 'microphone "desk" cannot be opened; "webcam" is heard until it returns'
    room.names.append("desk")
    room.run(8)
    assert supervisor.name == "desk"


def test_a_fallback_that_fails_as_well_is_told_and_tried_again(messages: list[str]) -> None:
    room = Room("desk", fallback="webcam")
    room.run(5)
    room.names.remove("desk")
    room.opened[0].finish()
    room.run(4)
    assert room.supervisor.state is SourceState.REOPENING
    assert any(line.startswith("the fallback cannot be used: no input matches") for line in messages)
    room.names.append("webcam")
    room.visible.append("webcam")
    room.run(6)
    assert room.supervisor.name == "webcam"


def test_changing_the_input_while_the_fallback_is_heard() -> None:
    room = Room("desk", "webcam", "line", fallback="webcam")
    room.run(5)
    room.names.remove("desk")
    room.opened[0].finish()
    room.run(4)
    room.supervisor.change("line")
    room.run(1)
    assert room.supervisor.name == "line" and room.open_now() == [room.supervisor.capture]


def test_a_driver_that_hangs_while_reopening_does_not_keep_the_fallback_away() -> None:
    room = Room("desk", "webcam", fallback="webcam")
    room.run(5)
    release = threading.Event()
    opens = room.open_capture

    def hang(wanted: str | int | None) -> Capture:
        release.wait(10)
        return opens(wanted)

    room.opening = hang
    room.opened[0].finish()
    room.run(3)
    assert room.supervisor.name == "webcam"
    release.set()


def test_an_unplugged_device_is_back_within_half_a_second_and_later_waited_for_with_more_patience() -> None:
    room = Room("desk")
    room.run(5)
    room.names.remove("desk")
    assert room.supervisor.capture is not None
    room.supervisor.capture.finish()
    assert room.run(0.05)[-1] is SourceState.REOPENING
    assert room.supervisor.message == 'microphone "desk" is gone; waiting for it'
    room.run(10)
    room.names.append("desk")
    assert room.run(0.6)[-1] is SourceState.RUNNING
    room.names.remove("desk")
    room.supervisor.capture.finish()
    room.rescans = 0
    room.run(60)
    assert room.supervisor.state is SourceState.REOPENING
    assert 45 <= room.rescans <= 60  # every 0.5 s for 15 s, then every 2 s
    room.names.append("desk")
    assert room.run(2.2)[-1] is SourceState.RUNNING
    assert room.supervisor.message == ""


def test_a_device_that_opens_but_gives_no_sound_is_opened_at_most_12_times_a_minute() -> None:
    room = Room("desk")
    room.run(1)
    room.silent.add("desk")
    room.run(60)
    assert 5 <= len(room.opened) <= 12


def test_after_a_recovery_patience_is_short_again() -> None:
    room = Room("desk")
    room.run(1)
    for _ in range(3):
        room.silent.add("desk")
        room.run(40)
        room.silent.clear()
        room.run(10)
    room.names.remove("desk")
    assert room.supervisor.capture is not None
    room.supervisor.capture.finish()
    room.run(0.1)
    room.names.append("desk")
    assert room.run(0.6)[-1] is SourceState.RUNNING


def test_a_number_is_remembered_as_a_name() -> None:
    """Device numbers change when devices come and go."""
    room = Room("desk", "webcam")
    room.supervisor.change(1)
    room.run(1)
    assert room.supervisor.name == "webcam"
    room.visible.reverse()
    room.names.reverse()
    assert room.supervisor.capture is not None
    room.supervisor.capture.finish()
    room.run(1)
    assert room.supervisor.name == "webcam" and room.supervisor.state is SourceState.RUNNING


TAKE = "; /tpos/audio/device NAME, Ctrl+A or the control page takes one"


def unplug(room: Room, *others: str) -> None:
    """The input in use goes, and there are these."""
    room.names = list(others)
    assert room.supervisor.capture is not None
    room.supervisor.capture.finish()


def test_while_an_input_is_waited_for_the_others_are_named_at_each_change(messages: list[str]) -> None:
    room = Room("desk", "webcam")
    room.run(1)
    unplug(room, "webcam")
    room.run(5)
    gone = 'microphone "desk" is gone; waiting for it'
    first = f'{gone}. Other inputs: "webcam"{TAKE}'
    assert room.supervisor.message == first and messages == [gone, first]
    room.names = ["webcam", "line", "dj", "hall", "loop"]
    room.run(5)
    second = f'{gone}. Other inputs: "webcam", "line", "dj" and 2 more{TAKE}'
    assert room.supervisor.message == second and messages == [gone, first, second]
    room.names = []
    room.run(5)
    assert room.supervisor.message == gone and len(messages) == 3
    room.names = ["line"]
    room.run(5)
    room.supervisor.change("line")
    room.run(1)
    assert messages[3:] == [f'{gone}. Other inputs: "line"{TAKE}', 'listening to "line"']
    assert room.supervisor.state is SourceState.RUNNING and room.supervisor.message == ""


def test_no_other_input_is_offered_where_the_wanted_one_is_there_or_the_default_is_wanted(messages: list[str]) -> None:
    room = Room("desk", "webcam")
    room.run(1)
    room.refused.add("desk")
    unplug(room, "desk", "webcam")
    room.run(5)
    assert messages == ['microphone "desk" is gone; waiting for it'], "another program has it"
    assert other_inputs("mic", room.devices()) == () and other_inputs("desk", []) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Microphone (Scarlett 2i2 USB)", "Microphone (2- Scarlett 2i2 USB)"),
        ("Microphone (2- Scarlett 2i2 USB)", "Microphone (13- Scarlett 2i2 USB)"),
        ("USB Audio CODEC: Audio (hw:1,0)", "USB Audio CODEC: Audio (hw:2,0)"),
        ("USB Audio CODEC:hw 1,0", "USB Audio CODEC:hw 3,0"),
        ("UMC204HD", "UMC204HD #2"),
        ("umc204hd #3", "UMC204HD"),
    ],
)
@pytest.mark.parametrize("number", [False, True])
def test_an_input_that_comes_back_under_another_name_is_the_same(
    messages: list[str], before: str, after: str, number: bool
) -> None:
    """Selected by name, or by number, which is replaced by the name with the host API."""
    room = Room(before, "webcam")
    if number:
        room.supervisor.change(0)
    room.run(1)
    unplug(room, "webcam")
    room.run(3)
    room.names = ["webcam", after]
    assert room.run(1)[-1] is SourceState.RUNNING
    assert room.supervisor.name == after and messages[-1] == f'microphone "{before}" is back as "{after}"'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("USB Audio CODEC: Audio (hw:1,0)", "USB Audio CODEC: Audio (hw:1,1)"),
        ("Input 1", "Input 2"),
        ("Scarlett 2i2", "Scarlett 4i4"),
        ("UMC204HD", "UMC404HD #2"),
    ],
)
def test_another_input_is_not_taken_for_it(before: str, after: str) -> None:
    room = Room(before)
    room.run(1)
    unplug(room, after)
    room.run(5)
    assert room.supervisor.state is SourceState.REOPENING and f'"{after}"' in room.supervisor.message


def test_of_two_alike_the_one_with_the_very_name_is_taken() -> None:
    room = Room("UMC204HD #2")
    room.run(1)
    unplug(room, "UMC204HD", "UMC204HD #2", "UMC204HD #3")
    room.run(1)
    assert room.supervisor.name == "UMC204HD #2"
    unplug(room, "UMC204HD", "UMC204HD #3")
    room.run(5)
    assert room.supervisor.state is SourceState.REOPENING, "of two others neither is"


def test_changing_to_a_device_plugged_in_later() -> None:
    room = Room("desk")
    room.run(1)
    room.names.append("webcam")
    room.supervisor.change("webcam")
    assert room.run(1)[-1] is SourceState.RUNNING
    assert room.supervisor.name == "webcam" and len(room.closed) == 1


def test_changing_to_nonsense_comes_back_and_says_so_for_a_while() -> None:
    room = Room("desk")
    room.run(1)
    room.supervisor.change("theremin")
    assert room.run(0.5)[-1] is SourceState.RUNNING
    assert room.supervisor.name == "desk"
    assert room.supervisor.message == 'back to "desk": no input matches "theremin"'
    room.run(11)
    assert room.supervisor.message == ""


def test_an_attempt_that_never_ends_does_not_keep_the_input_away() -> None:
    """PortAudio can hang forever in the start of a stream while the device is coming back."""
    room, released = Room("desk"), threading.Event()
    room.run(5)
    room.names.clear()
    room.opened[0].finish()
    real, calls = room.open_capture, 0

    def hang_once(wanted: str | int | None) -> Capture:
        nonlocal calls
        calls += 1
        if calls == 1:
            released.wait(20)
        return real(wanted)

    room.opening = hang_once
    room.run(1)
    room.names.append("desk")
    room.run(HANGS + 3)
    assert calls >= 2 and room.supervisor.state is SourceState.RUNNING and len(room.open_now()) == 1
    kept, before = room.open_now(), len(room.opened)
    released.set()
    until = time.monotonic() + 10
    while (len(room.opened) == before or len(room.open_now()) > 1) and time.monotonic() < until:
        time.sleep(0.01)
    room.run(1)
    assert room.open_now() == kept, "what the late attempt opens is closed again"


def test_no_rescan_while_a_hanging_driver_holds_a_stream() -> None:
    room = Room("desk")
    room.run(1)
    room.hanging = True
    room.silent.add("desk")
    room.run(30)
    assert room.rescans == 0
    assert len(room.opened) > 1


def test_a_refused_first_opening_is_an_error() -> None:
    def refuse(wanted: object) -> Capture:
        raise AudioError("no sound input on this machine")

    with pytest.raises(AudioError, match="no sound input"):
        Supervisor("mic", refuse, lambda: None).open()


def test_an_input_that_is_not_required_at_the_start_is_waited_for(messages: list[str]) -> None:
    room = Room("desk", missing=True)
    assert room.run(10) == [SourceState.STARTING, SourceState.REOPENING]
    assert room.supervisor.message == 'microphone "desk" cannot be opened; waiting for it' and len(messages) == 1
    room.names.append("desk")
    assert room.run(10)[-1] is SourceState.RUNNING and room.supervisor.message == ""


def test_a_missing_input_that_is_not_required_is_no_error() -> None:
    def refuse(wanted: object) -> Capture:
        raise AudioError("no sound input on this machine")

    supervisor = Supervisor("mic", refuse, lambda: None, required=False)
    supervisor.open()
    try:
        assert wait_until(lambda: supervisor.state is SourceState.REOPENING)
    finally:
        supervisor.close()


def test_a_device_that_hangs_while_opening_holds_up_nobody() -> None:
    release = threading.Event()
    late = Capture("desk", "desk, fake", 48_000, (0,), 0.0)
    closed, returned = threading.Event(), threading.Event()
    late.close = lambda: closed.set() or True  # type: ignore[func-returns-value,method-assign]

    def hang(wanted: object) -> Capture:
        release.wait(10)
        returned.set()
        return late

    supervisor = Supervisor("desk", hang, lambda: None)
    supervisor.open(patience=0.1)
    assert supervisor.state is SourceState.STARTING and "desk" in supervisor.message
    supervisor.close()
    assert not returned.is_set(), "both came back while the device hangs"
    release.set()
    assert closed.wait(2), "what opened too late must be closed again"


def test_an_unexpected_error_does_not_end_the_supervisor(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Supervisor):
        rounds = 0

        def step(self, now: float) -> None:
            self.rounds += 1
            raise KeyError("PaErrorCode -9999")

    supervisor = Odd("mic", lambda wanted: Capture("mic", "mic", 48000.0, (0,), 0.0), lambda: None)
    supervisor.open()
    assert wait_until(lambda: supervisor.rounds > 3)
    supervisor.close()
    assert [record.message.split(":")[0] for record in caplog.records if record.levelname == "ERROR"] == [
        "looking after the input goes on after an error"
    ]
