"""The OSC router, with a fake clock."""

import json
import random
import struct

import pytest
from osc_client import bundle, message, raw

from tpos_live.control.osc_addresses import ADDRESSES, INSTEAD, find
from tpos_live.control.osc_router import HELD, SILENCE, Datagram, Router
from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.status import Status


class SessionControls:
    """A router with a store, and lists of its answers and log lines."""

    def __init__(self, lines):
        self.store = ParameterStore()
        self.answers: list[tuple[str, object]] = []
        self.lines = lines
        self.router = Router(self.store, lambda host, address, value: self.answers.append((address, value)))
        self.now = 100.0

    def send(self, *datagrams):
        self.router.apply([Datagram(data, "10.0.0.2", self.now) for data in datagrams])

    def tell(self, address, *args):
        self.send(message(address, *args))

    def __getitem__(self, name):
        return self.store.snapshot()[name]

    def fired(self, name):
        return self.store.snapshot().fired(name)


@pytest.fixture
def desk(messages):
    return SessionControls(messages)


def test_every_parameter_takes_a_float(desk):
    for parameter in (p for p in TABLE.values() if p.kind not in ("trigger", "text")):
        for number in (0.75, 3.0, -1e9, 1e9):
            desk.now += 1
            if parameter.off_below and number > parameter.high:
                continue
            desk.tell(parameter.address, number)
            expected, found = parameter.parse(number), desk[parameter.name]
            assert found == expected and type(found) is type(parameter.default), parameter.name
        assert desk.router.bad == 0 and not desk.lines, parameter.name


@pytest.mark.parametrize(
    ("address", "tags", "data", "name", "expected"),
    [
        ("/tpos/seed", "h", struct.pack(">q", 7), "seed", 7),
        ("/tpos/seed", "h", struct.pack(">q", 2**40), "seed", 2**31 - 1),
        ("/tpos/audio/weight", "d", struct.pack(">d", 0.625), "audio.weight", 0.625),
        ("/tpos/tempo", "i", struct.pack(">i", 128), "tempo", 128.0),
        ("/tpos/out/hud", "T", b"", "out.hud", True),
        ("/tpos/out/hud", "I", b"", "out.hud", True),
        ("/tpos/out/flash_limit", "F", b"", "out.flash_limit", False),
        ("/tpos/audio/weight", "S", b"0.5\0", "audio.weight", 0.5),
        ("/tpos/prompt/select", "c", struct.pack(">I", ord("3")), "prompt.select", 8),  # 51, the character's number
    ],
)
def test_every_type_of_a_number(desk, address, tags, data, name, expected):
    desk.send(raw(address, tags, data))
    assert desk[name] == expected and not desk.lines


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("audio.weight", "0.5", 0.5),
        ("audio.weight", " 1 ", 1.0),
        ("audio.weight", "+.25", 0.25),
        ("audio.weight", "5e-1", 0.5),
        ("motion.zoom", "-9", -0.5),
        ("prompt.select", "2.0", 2),
        ("out.hud", "true", True),
        ("out.hud", "On", True),
        ("out.hud", "YES", True),
        ("out.hud", "1", True),
        ("out.flash_limit", "false", False),
        ("out.flash_limit", "off", False),
        ("out.flash_limit", "0.0", False),
        ("tempo.source", "off", "off"),  # a word of the choice before a switch
        ("tempo.source", "1", "tap"),
        ("out.fit", " Mirror\n", "mirror"),
        ("tempo", "128", 128.0),
        ("tempo", "off", 0.0),
    ],
)
def test_numbers_and_switches_as_text(desk, name, text, expected):
    desk.tell(TABLE[name].address, text)
    assert desk[name] == expected and type(desk[name]) is type(TABLE[name].default) and not desk.lines


def test_triggers_as_text(desk):
    for value in ("1", "0", "true", "false", "on", "off", "0.2", "0"):
        desk.tell("/tpos/tempo/tap", value)
        desk.now += 1 / 60
    assert desk.fired("tempo.tap") == 4 and not desk.lines


@pytest.mark.parametrize("address", ["/tpos/motion/pan", "/tpos/motion/pan_x", "/tpos/motion/pan_y"])
def test_an_xy_pad_moves_both(desk, address):
    desk.tell(address, 0.25, "-0.5")
    assert (desk["motion.pan_x"], desk["motion.pan_y"]) == (0.25, -0.5) and not desk.lines
    assert set(desk.router.applied) == {"motion.pan_x", "motion.pan_y"}
    assert desk.router.understood == f"{address} 0.25 -0.5"
    desk.store.update({"motion.pan_x": 0.0})
    for _ in range(2 * HELD):  # held still in every frame, it is a value that is repeated
        desk.now += 1 / 60
        desk.tell(address, 0.25, "-0.5")
    desk.store.update({"motion.pan_x": 0.1})
    desk.tell(address, 0.25, "-0.5")
    assert desk["motion.pan_x"] == 0.1


def test_two_values_where_one_is_wanted(desk):
    for _ in range(3):
        desk.tell("/tpos/audio/weight", 0.75, 0.25)
        desk.tell("/tpos/out/hud", 36, 127)
        desk.tell("/tpos/out/fit", 1, 0)
    assert (desk["audio.weight"], desk["out.hud"], desk["out.fit"]) == (0.75, True, "contain")
    desk.tell("/tpos/out/hud", 36, 0)
    assert desk["out.hud"] is False
    assert len(desk.lines) == 3 and desk.router.bad == 0
    assert "takes one value, not 2: the first is used" in desk.lines[0] and "the last is used" in desk.lines[1]


def test_a_pads_number_and_velocity_fire_a_trigger(desk):
    for velocity in (100, 0, 90, 90, 0):
        desk.tell("/tpos/tempo/tap", 36, velocity)
        desk.now += 1 / 60
    assert desk.fired("tempo.tap") == 2 and not desk.lines


@pytest.mark.parametrize("number", [0.0, 0.216, 1.0, 19.99, -5.0, "0.5", True])
def test_a_fader_on_the_tempo_follows_the_sound(desk, number):
    desk.store.set("tempo", 120)
    desk.tell("/tpos/tempo", number)
    assert desk["tempo"] == 0.0 and not desk.lines


@pytest.mark.parametrize("number", [20.0, 127.5, 240.0])
def test_a_tempo_is_fixed(desk, number):
    desk.tell("/tpos/tempo", number)
    assert desk["tempo"] == number


def test_too_fast_a_tempo_is_refused_and_said(desk):
    desk.store.set("tempo", 120)
    desk.tell("/tpos/tempo", 1e9)
    assert desk["tempo"] == 120.0 and "20 to 240 BPM, or 0" in desk.lines[0]


def test_a_device_by_its_number_however_it_is_sent(desk):
    for number in (3, 3.0, "3"):
        desk.tell("/tpos/audio/device", number)
        assert desk["audio.device"] == "3"
        desk.store.set("audio.device", "")


@pytest.mark.parametrize(
    ("args", "target"),
    [
        ((9011,), ("10.0.0.2", 9011)),
        ((9011.0,), ("10.0.0.2", 9011)),
        (("9011",), ("10.0.0.2", 9011)),
        (("10.0.0.2", 9011), ("10.0.0.2", 9011)),
        (("10.0.0.2:9011",), ("10.0.0.2", 9011)),
        ((), ("10.0.0.2", 57120)),
        (("bang",), ("10.0.0.2", 57120)),
        ((0,), None),
        ((65536,), None),
        ((9011.5,), None),
        (("10.0.0.3", 9011), None),  # somebody else
        (("localhost", 9011), None),  # that would be us
        (("10.0.0.2", "x"), None),
        ((1, 2, 3), None),
    ],
)
def test_subscribing(args, target, messages):
    asked = []
    router = Router(ParameterStore(), lambda *_: None, lambda *what: asked.append(what))
    router.apply([Datagram(message("/tpos/subscribe", *args), "10.0.0.2", 5.0, 57120)])
    router.apply([Datagram(message("/tpos/unsubscribe", *args), "10.0.0.2", 6.0, 57120)])
    assert asked == ([(*target, 5.0, True), (*target, 6.0, False)] if target else [])
    assert len(messages) == (0 if target else 2)


def test_ints_switches_and_words(desk):
    desk.send(message("/tpos/motion/zoom", 1), message("/tpos/out/hud", True), message("/tpos/audio/mode", "Blend"))
    assert (desk["motion.zoom"], desk["out.hud"], desk["audio.mode"]) == (0.5, True, "blend")
    desk.tell("/tpos/audio/mode", 0.2)
    assert desk["audio.mode"] == "append"


def test_a_batch_is_one_change_and_the_last_value_wins(desk):
    before = desk.store.snapshot().version
    desk.send(*(message("/tpos/seed", number) for number in range(500)), message("/tpos/steps", 2.0))
    assert (desk["seed"], desk["steps"], desk.store.snapshot().version) == (499, 2, before + 1)
    assert desk.router.received == 501


def test_two_looks_stored_in_one_batch_are_both_stored_as_they_were(desk):
    sent = [
        ("prompt", "reef"),
        ("look/store", "one"),
        ("prompt", "dunes"),
        ("look/store", "two"),
        ("look/delete", "one"),
    ]
    desk.send(*(message(f"/tpos/{address}", text) for address, text in sent))
    orders = desk.store.take_orders()
    given = [(order.snapshot["prompt"], order.text) for order in orders]
    assert given == [("reef", "one"), ("dunes", "two"), ("dunes", "one")]
    assert not desk["look.store"] and not desk.store.take_orders()


def test_order_holds_around_triggers(desk):
    desk.send(message("/tpos/motion/zoom", 0.1), message("/tpos/reset"), message("/tpos/motion/zoom", 0.2))
    assert desk["motion.zoom"] == pytest.approx(0.2)
    desk.send(message("/tpos/motion/zoom", 0.3), message("/tpos/reset"))
    assert desk["motion.zoom"] == 0.0
    desk.send(message("/tpos/reset"), message("/tpos/motion/zoom", 0.3))
    assert desk["motion.zoom"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("red rose",), "red rose"),
        (("neon", "jellyfish", "at", 3, 2.5, "fathoms"), "neon jellyfish at 3 2.5 fathoms"),
        (("  two\n", " lines\t"), "two lines"),
        (("größe 猫",), "größe 猫"),
        (("x" * 60_000,), "x" * 60_000),
        (("",), ""),
    ],
)
def test_texts_are_joined(desk, args, text):
    desk.tell("/tpos/prompt", *args)
    assert desk["prompt"] == text and not desk.lines


def test_trigger_fires_on_the_rising_edge_only(desk):
    for value in (0.0, 1.0, 1.0, 0.3, 0.0, 0.0, 0.2, 0.0):
        desk.tell("/tpos/seed/random", value)
        desk.now += 1 / 60
    assert desk.fired("seed.random") == 2


def test_trigger_held_for_minutes_fires_once_and_again_after_silence(desk):
    for _ in range(3600):
        desk.tell("/tpos/tempo/tap", 1.0)
        desk.now += 1 / 60
    assert desk.fired("tempo.tap") == 1
    desk.now += SILENCE
    desk.tell("/tpos/tempo/tap", 1.0)
    assert desk.fired("tempo.tap") == 2
    desk.now += 10
    desk.tell("/tpos/tempo/tap", 0.0)
    assert desk.fired("tempo.tap") == 2


def test_trigger_without_argument_or_with_bang_always_fires(desk):
    for packet in (message("/tpos/tempo/tap"), message("/tpos/tempo/tap", "bang"), raw("/tpos/tempo/tap", "N")):
        desk.send(packet, packet)
    assert desk.fired("tempo.tap") == 6
    desk.send(raw("/tpos/out/snapshot", "I"), raw("/tpos/out/panic", "T"), raw("/tpos/reset", "F"))
    assert [desk.fired(name) for name in ("out.snapshot", "out.panic", "reset")] == [1, 1, 0]


def test_panic_wins_against_a_program_that_repeats_itself(desk):
    def frame():
        desk.now += 1 / 60
        desk.tell("/tpos/out/blackout", 1.0)

    for _ in range(60):
        frame()
    assert desk["out.blackout"] is True
    fire(desk.store, "out.panic")
    for _ in range(600):
        frame()
        assert desk["out.blackout"] is False
    desk.tell("/tpos/out/blackout", 0.0)
    frame()
    assert desk["out.blackout"] is True, "a new press must count"
    desk.store.set("out.blackout", False)
    desk.now += SILENCE
    frame()
    assert desk["out.blackout"] is True, "after a pause the same value is a new message"


def test_a_value_sent_now_and_then_always_counts(desk):
    for _ in range(3 * HELD):
        desk.now += 1.0
        desk.store.set("out.blackout", False)
        desk.tell("/tpos/out/blackout", 1.0)
        assert desk["out.blackout"] is True


def test_identical_repeats_change_nothing_and_say_nothing(desk):
    desk.tell("/tpos/motion/zoom", 0.1)
    version = desk.store.snapshot().version
    for _ in range(1000):
        desk.now += 1 / 60
        desk.tell("/tpos/motion/zoom", 0.1)
    assert desk.store.snapshot().version == version and not desk.lines and not desk.answers


@pytest.mark.parametrize(
    ("address", "args"),
    [
        ("/tpos/motion/zoom", ("fast",)),
        ("/tpos/motion/zoom", (float("nan"),)),
        ("/tpos/motion/zoom", (float("inf"),)),
        ("/tpos/motion/zoom", ()),
        ("/tpos/motion/pan", (0.1,)),
        ("/tpos/motion/pan", (0.1, "up")),
        ("/tpos/motion/pan_x", (float("nan"), 0.1)),
        ("/tpos/motion/zoom", (None,)),
        ("/tpos/audio/mode", ("loud",)),
        ("/tpos/seed/random", ("now",)),
        ("/tpos/seed/random", (float("nan"),)),
        ("/tpos/seed/random", (1, "now")),
        ("/tpos/prompt", (0.216,)),
        ("/tpos/prompt/1", (1.0,)),
        ("/tpos/prompt/1", (0.2, 0.3)),
        ("/tpos/prompt", (True,)),
        ("/tpos/audio/device", (0.216,)),
        ("/tpos/tempo", (240.5,)),
        ("/tpos/tempo", (1e9,)),
        ("/tpos/tempo", ("fast",)),
        ("/tpos/out/hud", ("maybe",)),
        ("/tpos/out/hud", ("",)),
        ("/tpos/motion/zoom", ("1e999",)),
        ("/tpos/motion/zoom", ("nan",)),
        ("/tpos/motion/zoom", ("0,5",)),
        ("/tpos/subscribe", (9011,)),
        ("/tpos/prompt", ()),
        ("/tpos/prompt/blend", ("a", "b")),
        ("/tpos/prompt/blend", ("a", "b", "c")),
        ("/tpos/prompt/blend", ("neon", "fish", "red", "rose", 0.5)),
        ("/tpos/get", (1,)),
        ("/tpos/get", ("nothing",)),
        ("/tpos/nothing/?", ()),
        ("/tpos/motion/zoomm", (0.1,)),
        ("/live/song/tempo", (120.0,)),
        ("/tpos/*/nothing", (0.1,)),
    ],
)
def test_what_makes_no_sense_is_counted_told_once_and_changes_nothing(desk, address, args):
    before = desk.store.snapshot()
    for _ in range(50):
        desk.now += 1 / 60
        desk.send(message(address, *args), message("/tpos/motion/pan_x", 0.5))
    assert desk.router.bad == 50 and len(desk.lines) == 1 and address in desk.lines[0]
    assert [a for a, _ in desk.answers] == ["/tpos/status/error"]
    after = desk.store.snapshot()
    assert dict(after.values) == {**before.values, "motion.pan_x": 0.5} and after.triggers == before.triggers


def test_a_slip_is_answered_with_the_right_address(desk):
    desk.tell("/tpos/motion/zom", 0.1)
    assert "did you mean /tpos/motion/zoom?" in desk.lines[0]


@pytest.mark.parametrize("tag", "rmbt")
def test_colours_midi_blobs_and_times_are_refused(desk, tag):
    desk.send(raw("/tpos/motion/zoom", tag, bytes(12)))
    assert desk.router.bad == 1 and "/tpos/motion/zoom" in desk.lines[0] and desk["motion.zoom"] == 0.0


def test_complaints_do_not_grow_without_end(desk):
    for number in range(2000):
        desk.tell(f"/strange/{number}", 1.0)
    assert desk.router.bad == 2000 and len(desk.lines) <= 256
    assert "only counted" in desk.lines[-1]


def test_lines_from_outside_fit_a_screen(desk):
    desk.tell("/\x1b[31m" + "x" * 5000, 1.0)
    assert len(desk.lines[0]) < 250 and "\x1b" not in desk.lines[0]


def test_blend_fills_its_two_slots(desk):
    desk.store.update({"prompt.1": "kept", "prompt.3.weight": 1.0, "prompt.select": 3})
    desk.tell("/tpos/prompt/blend", "red rose", "blue sea", 0.25)
    assert (desk["prompt.7"], desk["prompt.8"], desk["prompt.1"]) == ("red rose", "blue sea", "kept")
    weights = [desk[f"prompt.{n}.weight"] for n in range(1, 9)]
    assert weights == [0, 0, 0, 0, 0, 0, 0.75, 0.25] and desk["prompt.select"] == 0


def test_questions_are_answered_with_numbers_where_possible(desk):
    desk.store.update({"motion.zoom": 0.25, "out.hud": True, "audio.mode": "blend", "seed": 2**31 - 1})
    desk.send(message("/tpos/motion/zoom", "?"), message("/tpos/out/hud/?"), message("/tpos/get", "audio.mode"))
    desk.send(message("/seed/?"), message("/tpos/prompt", "?"), message("/tpos/seed/random/?"))
    assert desk.answers == [
        ("/tpos/motion/zoom", 0.25),
        ("/tpos/out/hud", 1.0),
        ("/tpos/audio/mode", 1),
        ("/tpos/seed", 2**31 - 1),
        ("/tpos/prompt", "neon jellyfish"),
        ("/tpos/seed/random", 0),
    ]
    assert desk["prompt"] == "neon jellyfish" and desk.fired("seed.random") == 0


def test_a_question_sees_what_was_sent_before_it(desk):
    desk.send(bundle(message("/tpos/motion/zoom", 0.5), message("/tpos/motion/zoom", "?")))
    assert desk.answers == [("/tpos/motion/zoom", 0.5)]


def test_several_answers_to_a_pattern(desk):
    desk.tell("/tpos/get", "/tpos/motion/pan_*")
    desk.tell("/tpos/motion/pan_*", "?")
    assert [a for a, _ in desk.answers] == ["/tpos/motion/pan_x", "/tpos/motion/pan_y"] * 2


def test_a_pad_answers_both(desk):
    desk.tell("/tpos/motion/pan", 0.25, 0.5)
    desk.send(message("/tpos/motion/pan", "?"), message("/tpos/motion/pan/?"), message("/tpos/get", "motion.pan"))
    assert desk.answers == [("/tpos/motion/pan_x", 0.25), ("/tpos/motion/pan_y", 0.5)] * 3 and not desk.lines


def test_ping(desk):
    desk.send(message("/tpos/ping"), message("/tpos/ping", 4), message("/tpos/ping", "x"))
    assert desk.answers == [("/tpos/pong", 1.0), ("/tpos/pong", 4.0), ("/tpos/pong", 1.0)]


def test_patterns_set_values_and_never_fire(desk):
    desk.tell("/tpos/prompt/{1,2}/weight", 0.5)
    assert (desk["prompt.1.weight"], desk["prompt.2.weight"], desk["prompt.3.weight"]) == (0.5, 0.5, 0.0)
    desk.tell("/tpos/out/*", 1.0)
    assert desk["out.hud"] is True and not desk.store.snapshot().triggers


def test_a_pattern_reaches_all_that_take_the_value(desk):
    desk.tell("/tpos/prompt/*", 0.5)  # first in the table is the negative prompt, a text
    assert (desk["prompt.fade"], desk["prompt.negative"], desk.router.bad) == (0.5, TABLE["prompt.negative"].default, 1)


def test_aliases(desk):
    desk.send(message("/prompt", "from", "elsewhere"), message("/opacity", 0.5), message("/guidance_scale", 3.0))
    assert (desk["prompt"], desk["out.level"], desk["guidance"]) == ("from elsewhere", 0.5, 3.0)


def test_understood_tells_the_last_message(desk):
    desk.tell("/tpos/motion/zoom", 9.0)
    assert desk.router.understood == "/tpos/motion/zoom 0.5"


def test_anything_at_all_keeps_every_value_valid(desk):
    chance = random.Random(11)
    addresses = [*ADDRESSES, "/tpos/*", "/tpos/*/*", "/x"]
    values = [0.5, 1, "a", "?", True, None, -1e30, float("nan"), 2**40, "bang", b"blob", ""]
    for _ in range(5000):
        desk.now += chance.random() / 20
        args = [chance.choice(values) for _ in range(chance.randrange(4))]
        packet = message(chance.choice(addresses), *args)
        if chance.random() < 0.5:
            packet = bytearray(packet)
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        desk.send(bytes(packet))
    for name, value in desk.store.snapshot().values.items():
        assert TABLE[name].parse(value) == value
    assert desk.router.received >= 4000 and len(desk.lines) <= 256


def test_a_float_of_any_bits_is_safe(desk):
    chance = random.Random(3)
    for _ in range(2000):
        desk.send(raw("/tpos/motion/zoom", "f", struct.pack(">I", chance.getrandbits(32))))
        assert -0.5 <= desk["motion.zoom"] <= 0.5


@pytest.mark.parametrize(
    ("address", "args", "expected"),
    [
        ("/prompt_list", ('[["fire", 0.5]]',), {"prompt": "fire"}),
        ("/prompt_list", ('[["fire", 1], ["ice", 3]]',), {"prompt.7": "fire", "prompt.8.weight": 0.75}),
        ("/prompt_list", ('["a", "b", "c", " "]',), {"prompt.6": "a", "prompt.8": "c", "prompt.1.weight": 0.0}),
        ("/seed_list", ("[[7, 0.2], [12, 0.8]]",), {"seed": 12}),
        ("/seed_list", ("[5]",), {"seed": 5}),
        ("/t_list", (12, 24, 36), {"steps": 3}),
        ("/latent_feedback_strength", (0.25,), {"strength": 0.75}),
        ("/latent_feedback_strength", (1.0,), {"strength": 0.1}),
        ("/latent_feedback_strength", (0,), {"strength": 1.0}),
        ("/lora_weights", ('{"C:/a.safetensors": 0.5, "b": 9}',), {"lora.1": 0.5, "lora.2": 1.5, "lora.3": 1.0}),
        ("/lora_weights", ('[["a", 0.25]]',), {"lora.1": 0.25, "lora.2": 1.0}),
        ("/pause", (), {"pause": True}),
        ("/pause", (1.0,), {"pause": True}),
        ("/tpos/tempo/nudge", (20,), {"tempo.shift": 20.0}),
        ("/tpos/tempo/nudge", (-0.25, "beat"), {"tempo.shift": -125.0}),
        ("/tpos/tempo/nudge", (1e9,), {"tempo.shift": 1000.0}),
    ],
)
def test_commands_of_other_programs_and_the_nudge(desk, address, args, expected):
    desk.router._status = lambda: Status(tempo=120.0)
    desk.tell(address, *args)
    assert {name: desk[name] for name in expected} == expected and not desk.lines and desk.router.bad == 0


def test_feedback_that_is_repeated_in_every_frame_does_not_win_against_a_key(desk):
    for n in range(10):
        desk.tell("/latent_feedback_strength", 0.5)
        desk.now += 1 / 60
        if n == 5:
            desk.store.set("strength", 1.0)
    assert desk["strength"] == 1.0


@pytest.mark.parametrize("address", INSTEAD)
def test_what_means_nothing_here_is_answered_with_what_to_use(desk, address):
    before = dict(desk.store.snapshot().values)
    desk.tell(address, 1)
    (line,) = desk.lines
    named = [word for word in line.split(": ", 1)[1].replace(",", " ").replace(";", " ").split() if word[0] == "/"]
    assert named and all(find(word) for word in named)
    assert dict(desk.store.snapshot().values) == before and desk.router.bad == 1


def test_nudges_add_up_and_a_tap_ends_them(desk):
    for _ in range(3):
        desk.tell("/tpos/tempo/nudge", 10)
        desk.tell("/tpos/tempo/nudge", 0)
    assert desk["tempo.shift"] == 30.0
    desk.tell("/tpos/tempo/tap")
    assert desk["tempo.shift"] == 0.0


def test_play_ends_a_pause_and_a_released_button_does_nothing(desk):
    desk.tell("/pause", 1)
    desk.tell("/play", 0)
    assert desk["pause"]
    desk.tell("/play", 1)
    desk.tell("/pause", 0)
    assert not desk["pause"]


def test_multiply_and_divide_are_second_names(desk):
    for address, name in (("/tpos/tempo/multiply", "tempo.double"), ("/tpos/tempo/divide", "tempo.halve")):
        desk.tell(address, 1)
        assert desk.fired(name) == 1


def test_get_status_answers_with_json(desk):
    desk.router._status = lambda: Status(tempo=120.0, prompt="sea")
    desk.tell("/get_status")
    ((address, text),) = desk.answers
    assert address == "/status" and json.loads(text)["prompt"] == "sea"


@pytest.mark.parametrize(
    ("address", "args"),
    [
        ("/prompt_list", ("[[",)),
        ("/prompt_list", ("{}",)),
        ("/prompt_list", (0.5,)),
        ("/prompt_list", ()),
        ("/prompt_list", ("[]",)),
        ("/prompt_list", ('[["fire", 0]]',)),
        ("/prompt_list", ('[["fire", "much"]]',)),
        ("/prompt_list", ('[["fire", NaN]]',)),
        ("/prompt_list", ('[["fire", -1]]',)),
        ("/prompt_list", ("[" * 30000,)),
        ("/prompt_list", (json.dumps([["text", 1.0]] * 3000),)),
        ("/prompt_list", ("[" + "9" * 20000 + "]",)),
        ("/seed_list", ('[["seven", 1]]',)),
        ("/seed_list", ("[null]",)),
        ("/seed_list", ("[]",)),
        ("/tpos/tempo/nudge", ()),
        ("/tpos/tempo/nudge", ("a lot",)),
        ("/tpos/tempo/nudge", (1, "bars")),
        ("/tpos/tempo/nudge", (0.25, "beat")),
        ("/pause", ("now",)),
        ("/latent_feedback_strength", ()),
        ("/latent_feedback_strength", ("much",)),
        ("/latent_feedback_strength", (0.1, 0.2)),
        ("/lora_weights", ("{}",)),
        ("/lora_weights", (0.5,)),
        ("/lora_weights", ("{",)),
        ("/lora_weights", ('{"a": "much"}',)),
        ("/lora_weights", ('{"a": {}}',)),
        ("/lora_weights", ('{"a": NaN}',)),
        ("/lora_weights", (json.dumps({f"{n}": 1 for n in range(5)}),)),
    ],
)
def test_bad_commands_are_one_line_and_lose_nothing(desk, address, args):
    before = dict(desk.store.snapshot().values)
    desk.send(bundle(message("/tpos/finish/bloom", 1.0), message(address, *args), message("/tpos/finish/light", 1.0)))
    assert len(desk.lines) == 1 and "\n" not in desk.lines[0] and len(desk.lines[0]) < 300
    assert dict(desk.store.snapshot().values) == {**before, "finish.bloom": 1.0, "finish.light": 1.0}
