"""From messages to parameters, with the clock in the test's hand."""

import random
import struct

import pytest
from osc_client import bundle, message, raw

from tpos_live.control.addresses import ADDRESSES
from tpos_live.control.router import HELD, SILENCE, Datagram, Router
from tpos_live.control.triggers import fire
from tpos_live.parameters import TABLE, ParameterStore


class Desk:
    """A router with a store, and lists of what it answered and reported."""

    def __init__(self):
        self.store = ParameterStore()
        self.answers: list[tuple[str, object]] = []
        self.lines: list[str] = []
        self.router = Router(
            self.store, lambda host, address, value: self.answers.append((address, value)), self.lines.append
        )
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
def desk():
    return Desk()


@pytest.mark.parametrize("parameter", [p for p in TABLE.values() if p.kind != "trigger"], ids=lambda p: p.name)
def test_every_parameter_takes_a_float(desk, parameter):
    for number in (0.75, 3.0, -1e9, 1e9):
        desk.now += 1
        desk.tell(parameter.address, number)
        expected = f"{number:g}" if parameter.kind == "text" else parameter.parse(number)
        assert desk[parameter.name] == expected and type(desk[parameter.name]) is type(parameter.default)
    assert desk.router.bad == 0 and not desk.lines


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
        ("/tpos/motion/zoom", (0.1, 0.2)),
        ("/tpos/motion/zoom", (None,)),
        ("/tpos/audio/mode", ("loud",)),
        ("/tpos/seed/random", ("now",)),
        ("/tpos/seed/random", (float("nan"),)),
        ("/tpos/seed/random", (1, 2)),
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


def test_ping(desk):
    desk.send(message("/tpos/ping"), message("/tpos/ping", 4), message("/tpos/ping", "x"))
    assert desk.answers == [("/tpos/pong", 1.0), ("/tpos/pong", 4.0), ("/tpos/pong", 1.0)]


def test_patterns_set_values_and_never_fire(desk):
    desk.tell("/tpos/prompt/{1,2}/weight", 0.5)
    assert (desk["prompt.1.weight"], desk["prompt.2.weight"], desk["prompt.3.weight"]) == (0.5, 0.5, 0.0)
    desk.tell("/tpos/out/*", 1.0)
    assert desk["out.hud"] is True and not desk.store.snapshot().triggers


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
