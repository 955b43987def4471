"""Feedback to controllers, with a fake clock and a real socket."""

import math
import socket
import time
from dataclasses import replace

import pytest

from tpos_live.control.osc_feedback import NUMBERS, WORDS, Feedback, encode
from tpos_live.control.osc_packets import read
from tpos_live.control.osc_targets import LEASE, Targets
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.status import Status
from tpos_live.features.features import Features


class Ear:
    """A controller's socket: messages since the last read, as (address, value)."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)

    @property
    def targets(self):
        return Targets([self.socket.getsockname()])

    def hear(self):
        heard = []
        while True:
            try:
                heard += [(m.address, m.args[0]) for m in read(self.socket.recv(65536))[0]]
            except TimeoutError:
                return heard


@pytest.fixture
def ear():
    one = Ear()
    yield one
    one.socket.close()


def test_heartbeat_numbers_and_words(ear):
    status = Status(state="loading", engine_fps=12.5, level=0.5, bands=(0.1, 0.2, 0.3, 0.4), prompt="sea")
    status = replace(status, understood="ocean (0.97)")
    feedback = Feedback(ParameterStore(), lambda: status, ear.targets, last=lambda: "/tpos/seed 3")
    feedback.tick(10.0)
    heard = dict(ear.hear())
    assert heard["/tpos/status/alive"] == 1.0 and heard["/tpos/status/fps"] == 12.5
    assert heard["/tpos/status/high"] == pytest.approx(0.4)
    assert heard["/tpos/status/state"] == "loading" and heard["/tpos/status/prompt"] == "sea"
    assert heard["/tpos/status/understood"] == "ocean (0.97)" and heard["/tpos/status/applied"] == "/tpos/seed 3"
    assert set(heard) >= {f"/tpos/status/{name}" for name in (*NUMBERS, *WORDS)} - {"/tpos/status/error"}
    assert all(isinstance(heard[f"/tpos/status/{name}"], float) for name in NUMBERS)


def test_rates(ear):
    feedback = Feedback(ParameterStore(), lambda: Status(prompt="sea"), ear.targets)
    for step in range(300):  # three seconds at 100 Hz
        feedback.tick(step / 100)
    heard = [address for address, _ in ear.hear()]
    assert heard.count("/tpos/status/alive") == 3
    assert 29 <= heard.count("/tpos/status/fps") <= 31
    assert heard.count("/tpos/status/prompt") == 3


def test_a_word_is_sent_as_soon_as_it_changes(ear):
    status = {"now": Status(state="loading", message="no sound")}
    feedback = Feedback(ParameterStore(), lambda: status["now"], ear.targets)
    feedback.tick(0.0)
    ear.hear()
    status["now"] = Status(state="running")
    feedback.tick(0.15)
    heard = ear.hear()
    assert ("/tpos/status/state", "running") in heard and ("/tpos/status/error", "") in heard
    feedback.tick(2.0)
    assert "/tpos/status/error" not in dict(ear.hear()), "an empty error must not wipe out the last complaint"


def test_parameters_follow_keys_but_do_not_fight_a_finger(ear):
    store, applied = ParameterStore(), {}
    feedback = Feedback(store, Status, ear.targets, applied=applied)
    feedback.tick(0.0)
    assert not [a for a, _ in ear.hear() if not a.startswith("/tpos/status")]
    store.update({"out.blackout": True, "audio.mode": "blend", "seed": 5, "prompt": "new"})
    feedback.tick(0.2)
    heard = dict(ear.hear())
    assert heard["/tpos/out/blackout"] == 1.0 and heard["/tpos/audio/mode"] == 1
    assert heard["/tpos/seed"] == 5 and heard["/tpos/prompt"] == "new"
    store.set("motion.zoom", 0.5)
    applied["motion.zoom"] = 0.35
    feedback.tick(0.4)
    assert "/tpos/motion/zoom" not in dict(ear.hear())
    feedback.tick(0.7)
    assert dict(ear.hear())["/tpos/motion/zoom"] == 0.5
    feedback.tick(0.9)
    assert "/tpos/motion/zoom" not in dict(ear.hear())


def test_every_parameter_can_be_sent_and_is_taken_back(ear):
    for parameter in TABLE.values():
        if parameter.kind != "trigger":
            from tpos_live.control.osc_addresses import osc_value

            data = encode(parameter.address, osc_value(parameter, parameter.default))
            (one,), problems = read(data)
            assert not problems and parameter.parse(one.args[0]) == pytest.approx(parameter.default)


def test_a_letter_that_utf_8_cannot_hold_is_sent_as_a_question_mark():
    (one,), problems = read(encode("/tpos/status/recording", "caf\udce9 ü 日本.mp4"))
    assert not problems and tuple(one.args) == ("caf? ü 日本.mp4",)


def test_audio_features_in_synesthesias_words(ear):
    features = {"now": Features(level=0.5, bass=0.25, bass_hit=1.0, presence=0.125, tempo=128.0, beats=7)}
    feedback = Feedback(ParameterStore(), Status, ear.targets, features=lambda: features["now"])
    feedback.tick(0.0)
    heard = dict(ear.hear())
    assert heard["/audio/level/all"] == 0.5 and heard["/audio/level/bass"] == 0.25
    assert heard["/audio/hits/bass"] == 1.0 and heard["/audio/presence/all"] == 0.125
    assert heard["/audio/bpm"] == 128.0
    feedback.tick(0.01)
    assert dict(ear.hear())["/audio/beat/onbeat"] == 0.0
    features["now"] = Features(beats=8)
    feedback.tick(0.02)
    assert dict(ear.hear())["/audio/beat/onbeat"] == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300, 2**40, "a\0b", "x" * 70_000, -0.0])
def test_no_value_stops_it(ear, value):
    feedback = Feedback(ParameterStore(), Status, ear.targets)
    feedback.answer("", "/a", value)
    feedback.answer("", "/b", 1.0)
    assert ("/b", 1.0) in ear.hear()


def test_it_outlives_a_fault_in_the_status(ear, messages):
    calls = []

    def status():
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("broken part")
        return Status(state="running")

    with Feedback(ParameterStore(), status, ear.targets):
        deadline = time.monotonic() + 5
        while ("/tpos/status/state", "running") not in ear.hear() and time.monotonic() < deadline:
            pass
    assert len(calls) >= 3 and len(messages) == 1 and "broken part" in messages[0]


def test_a_subscriber_is_told_for_how_long(ear):
    other = Ear()
    feedback = Feedback(ParameterStore(), Status, ear.targets)
    host, port = other.socket.getsockname()
    feedback.subscribe(host, port, 0.0)
    feedback.tick(0.0)
    heard = other.hear()
    assert heard[0] == ("/tpos/subscribed", LEASE) and ("/tpos/status/alive", 1.0) in heard
    assert ("/tpos/status/alive", 1.0) in ear.hear()
    feedback.answer(host, "/tpos/pong", 1.0)
    assert other.hear() == [("/tpos/pong", 1.0)]
    feedback.tick(LEASE)
    assert other.hear() == []
    feedback.subscribe(host, port, LEASE)
    feedback.unsubscribe(host, port)
    feedback.tick(LEASE + 1)
    assert other.hear() == [("/tpos/subscribed", LEASE), ("/tpos/subscribed", 0.0)]
    other.socket.close()
