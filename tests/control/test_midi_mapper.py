"""The MIDI mapper: bytes to parameters, triggers and looks, and back to the device."""

from __future__ import annotations

import random
import time
import tracemalloc
from itertools import pairwise

import pytest

from tpos_live.control.look_player import LookPlayer
from tpos_live.control.midi_clock import MidiClock
from tpos_live.control.midi_inbox import MOST_NOTES, MidiInbox
from tpos_live.control.midi_mapper import MidiMapper
from tpos_live.core.looks import Look, Show
from tpos_live.core.midi_map import MidiControl, MidiMapping
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import Features

pytest.importorskip("mido", reason="the extra midi is not installed")

BLOOM = MidiMapping(MidiControl("cc", 1, 21), "finish.bloom")
FINE = MidiMapping(MidiControl("cc14", 2, 5), "finish.light")
MUTE = MidiMapping(MidiControl("note", 1, 36), "audio.mute")
NEXT = MidiMapping(MidiControl("note", 1, 37), "look.next")
DEEP = MidiMapping(MidiControl("note", 1, 38), "look deep")
FIT = MidiMapping(MidiControl("cc", 1, 22), "out.fit")
TAP = MidiMapping(MidiControl("cc", 1, 23), "tempo.tap")


class Device:
    """A controller in a show: bytes in, frames of 1/60 s, and the bytes sent back."""

    def __init__(self, *midi: MidiMapping) -> None:
        self.store = ParameterStore()
        self.saved: list[Show] = []
        show = Show((Look("deep", {"prompt": "deep sea"}),), midi=midi)
        self.player = LookPlayer(self.store, show, self.saved.append)
        self.inbox = MidiInbox(MidiClock())
        self.back: list[bytes] = []
        self.mapper = MidiMapper(self.player, self.inbox, self.back.append)
        self.now = 0.0

    def play(self, *data: int) -> None:
        self.inbox.feed("device", bytes(data), self.now)

    def frame(self, seconds: float = 1 / 60) -> None:
        self.now += seconds
        self.mapper.step(self.now)

    def cc(self, number: int, value: int, channel: int = 1) -> None:
        self.play(0xAF + channel, number, value)
        self.frame()

    def __getitem__(self, name: str) -> object:
        return self.store.snapshot()[name]


def test_a_fader_takes_hold_where_it_meets_the_value_and_then_moves_it() -> None:
    device = Device(BLOOM)  # 0 to 2, at 0.35: 22 of 127
    device.cc(21, 100)
    device.cc(21, 60)
    assert device["finish.bloom"] == 0.35
    device.cc(21, 10)
    assert device["finish.bloom"] == pytest.approx(2 * 10 / 127), "crossed"
    device.cc(21, 127)
    assert device["finish.bloom"] == 2.0
    device.store.set("finish.bloom", 1.0)
    device.cc(21, 126)
    assert device["finish.bloom"] == 1.0, "somebody else has moved it"


def test_14_bits_reach_values_between_the_steps_of_7() -> None:
    device = Device(FINE)  # -3 to 3 stops, at 0
    for code in (8000, 8192, 8200):
        device.play(0xB1, 5, code >> 7, 0xB1, 37, code & 127)
        device.frame()
    assert device["finish.light"] == pytest.approx(-3 + 6 * 8200 / 16383, abs=1e-9)


def test_buttons_switch_fire_choose_and_recall() -> None:
    device = Device(MUTE, NEXT, DEEP, FIT, TAP)
    device.play(0x90, 36, 100, 0x80, 36, 0, 0x90, 36, 0)
    device.frame()
    assert device["audio.mute"] is True
    device.play(0x90, 37, 1, 0xF8, 0x90, 38, 1)
    device.frame()
    assert device.store.snapshot().fired("look.next") == 1 and device["look.recall"] == "deep"
    device.cc(22, 127)
    assert device["out.fit"] == "mirror"
    for value in (127, 127, 0, 127):
        device.cc(23, value)
    assert device.store.snapshot().fired("tempo.tap") == 2
    device.play(0x99, 36, 100)  # another channel
    device.frame()
    assert device["audio.mute"] is True


def test_what_changes_elsewhere_moves_the_fader_once_and_no_echo_goes_round() -> None:
    device = Device(BLOOM, FINE, MUTE)
    device.frame()
    assert sorted(device.back) == sorted(
        [bytes((0xB0, 21, 22)), bytes((0xB1, 5, 64, 0xB1, 37, 0)), bytes((0x90, 36, 0))]
    ), "the device shows how things are"
    device.back.clear()
    device.store.update({"finish.bloom": 1.0, "audio.mute": True})
    for _ in range(10):
        device.frame()
    assert device.back == [bytes((0xB0, 21, 64)), bytes((0x90, 36, 127))]
    device.play(*device.back[0])  # the motor fader tells where it went
    for _ in range(60):
        device.frame()
    assert device["finish.bloom"] == 1.0 and len(device.back) == 2
    device.cc(21, 70)
    for _ in range(60):
        device.frame()
    assert len(device.back) == 2, "its own movement does not come back"


def test_a_fader_that_is_being_moved_is_left_alone() -> None:
    device = Device(BLOOM)
    device.cc(21, 22)
    device.back.clear()
    for value in range(22, 52):
        device.cc(21, value)
        device.store.set("finish.bloom", 0.0)
    assert not device.back
    for _ in range(30):
        device.frame()
    assert device.back == [bytes((0xB0, 21, 0))]


def test_a_device_that_returns_is_shown_all_and_its_faders_take_hold_anew() -> None:
    device = Device(BLOOM, MUTE)
    for value in (22, 40):
        device.cc(21, value)
    for _ in range(60):
        device.frame()
    device.back.clear()
    device.inbox.arrive("device")
    device.frame()
    assert sorted(device.back) == sorted([bytes((0xB0, 21, 40)), bytes((0x90, 36, 0))]), "its lights were out"
    device.inbox.arrive("device")
    device.cc(21, 110)  # it was moved while it was unplugged
    assert device["finish.bloom"] == pytest.approx(2 * 40 / 127)
    device.cc(21, 30)
    assert device["finish.bloom"] == pytest.approx(2 * 30 / 127), "crossed"


@pytest.mark.parametrize("way", ["name", "touch"])
def test_learn_joins_a_parameter_and_a_fader_and_keeps_it(way: str, messages: list[str]) -> None:
    device = Device()
    device.frame()
    device.store.set("midi.learn", "+" if way == "touch" else "finish.bloom")
    device.frame()
    if way == "touch":
        device.store.set("finish.bloom", 0.4)
        device.frame()
        assert device["midi.learn"] == "finish.bloom"
    for value in range(30, 60):
        device.cc(21, value)
    assert device.player.show.midi == (BLOOM,) and device.saved[-1].midi == (BLOOM,) and device["midi.learn"] == ""
    assert any("cc 21 (channel 1) moves finish.bloom" in line for line in messages)


def test_learn_by_touch_ignores_what_a_look_changes() -> None:
    device = Device()
    look = Look("bright", {"finish.light": 2.0, "out.fit": "stretch", "prompt": "sun"})
    device.player.show = Show((look,))

    def frame() -> None:
        device.player.step(device.now, Features())
        device.frame(0.1)

    def recall(value: str, seconds: float) -> None:
        device.store.update({"look.fade": seconds, "look.recall": value})

    recall("bright", 1.0)
    frame()
    device.store.set("midi.learn", "+")
    for _ in range(15):  # a fade that had begun ends
        frame()
    device.store.update({"finish.light": 0.0, "midi.learn": ""})
    frame()
    device.store.set("midi.learn", "+")
    frame()
    for seconds in (0.5, 0.0):
        recall("bright", seconds)
        for _ in range(8):
            frame()
    assert device["finish.light"] == 2.0 and device["midi.learn"] == "+"
    recall("bright", 5.0)
    frame()
    device.store.set("finish.light", 1.5)
    frame()
    assert device["midi.learn"] == "finish.light"


def test_learn_knows_notes_and_14_bit_controllers_and_replaces_a_control() -> None:
    device = Device(BLOOM)
    for target, data in (
        ("finish.light", (0xB1, 5, 1, 0xB1, 37, 9)),
        ("look deep", (0x90, 38, 9)),
        ("seed.random", ()),
    ):
        device.store.set("midi.learn", target)
        device.frame()
        device.play(*(data or (0xB0, 21, 9)))
        for _ in range(30):
            device.frame()
    controls = {mapping.target: mapping.control for mapping in device.player.show.midi}
    assert controls == {"finish.light": FINE.control, "look deep": DEEP.control, "seed.random": BLOOM.control}
    device.store.set("midi.forget", "look deep")
    device.frame()
    device.store.set("midi.forget", "all")
    device.frame()
    assert device.player.show.midi == device.saved[-1].midi == ()


@pytest.mark.parametrize("wrong", ["prompt", "nothing", "look ", "🔥" * 99])
def test_what_cannot_be_learnt_is_one_line(wrong: str, messages: list[str]) -> None:
    device = Device()
    device.store.set("midi.learn", wrong)
    device.frame()
    device.cc(21, 5)
    assert device["midi.learn"] == "" and not device.player.show.midi and len(messages) == 1


def test_without_midi_a_line_says_how_to_start_it(messages: list[str]) -> None:
    player = LookPlayer(ParameterStore())
    mapper = MidiMapper(player)
    player.store.set("midi.learn", "+")
    mapper.step(0.0)
    assert player.store.snapshot()["midi.learn"] == "" and "--midi all" in messages[0]


def test_a_flood_costs_a_frame_little_and_its_losses_are_counted() -> None:
    device = Device(BLOOM)
    device.cc(21, 22)
    versions = [device.store.snapshot().version]
    begin = time.process_time()
    for frame in range(60):
        for n in range(50):  # 3,000 a second
            device.play(0xB0, 21, (frame * 50 + n) % 128)
        device.frame()
        versions.append(device.store.snapshot().version)
    used = time.process_time() - begin
    assert all(b - a <= 1 for a, b in pairwise(versions)), "one value a frame"
    assert device.inbox.lost == 60 * 49
    assert device["finish.bloom"] == pytest.approx(2 * (2999 % 128) / 127)
    assert used < 0.6, "of a second"
    for _ in range(10 * MOST_NOTES):
        device.play(0x90, 36, 1)
    assert device.inbox.lost == 60 * 49 + 9 * MOST_NOTES and len(device.inbox.take()[1]) == MOST_NOTES


def test_any_bytes_do_no_harm() -> None:
    device, dice = Device(BLOOM, FINE, MUTE, NEXT, DEEP, FIT, TAP), random.Random(5)
    for _ in range(300):
        device.play(*(dice.randrange(256) for _ in range(dice.randrange(40))))
        device.frame()
    device.inbox.feed("device", b"\xf0" + bytes(100_000), 0.0)
    device.inbox.feed("other", bytes((0xB0, 21, 22)), 0.0)
    device.frame()
    device.cc(21, 22)
    device.cc(21, 90)
    assert 0.0 <= float(str(device["finish.bloom"])) <= 2.0


def test_a_dump_that_never_ends_does_not_fill_the_memory() -> None:
    """A dump that begins after another message in the same bytes."""
    inbox = MidiInbox(MidiClock())
    tracemalloc.start()
    try:
        inbox.feed("port", b"\xb0\x07\x01\xf0", 0.0)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            inbox.feed("port", bytes(1000), 0.0)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()
    inbox.feed("port", b"\xb0\x07\x02", 0.0)
    assert inbox.take()[0] == {(1, 7): 2}
