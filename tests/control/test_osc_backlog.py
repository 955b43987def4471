"""The OSC backlog: its limits, and urgent messages."""

from __future__ import annotations

import itertools
import time

import pytest
from osc_client import message

from tpos_live.control.osc_backlog import SAFETY, Backlog, urgency
from tpos_live.control.osc_router import Datagram
from tpos_live.control.osc_server import OscControl
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.status import Status

BLACKOUT, FREEZE, PANIC, ZOOM = (
    TABLE[name].address for name in ("out.blackout", "out.freeze", "out.panic", "motion.zoom")
)


def told(data: bytes) -> Datagram:
    return Datagram(data, "127.0.0.1", 0.0)


def bundle(*messages: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(len(one).to_bytes(4, "big") + one for one in messages)


def taken(backlog: Backlog) -> list[bytes]:
    return [item.data for item in backlog.take(1_000_000) or []]


def test_it_is_bounded_and_keeps_the_newest() -> None:
    backlog = Backlog(most=10, most_bytes=1000)
    for number in range(25):
        backlog.put(told(bytes([number])))
    assert [data[0] for data in taken(backlog)] == list(range(15, 25)) and backlog.dropped == 15
    for number in range(5):
        backlog.put(told(bytes([number]) * 400))
    assert [data[0] for data in taken(backlog)] == [3, 4] and backlog.dropped == 18
    for number in range(6):
        backlog.put(told(bytes([number])))
    assert [len(backlog.take(4) or []), len(backlog.take(4) or [])] == [4, 2]
    backlog.close()
    assert backlog.take(4) is None


@pytest.mark.parametrize("name", SAFETY)
def test_safety_overtakes_all_others_in_its_own_order(name: str) -> None:
    address = TABLE[name].address
    backlog = Backlog()
    for data in (message(ZOOM, 0.1), message(address, 1.0), bundle(message(ZOOM, 0.2), message(address, 0.0))):
        backlog.put(told(data))
    first = taken(backlog)
    assert first == [message(address, 1.0), bundle(message(ZOOM, 0.2), message(address, 0.0))]
    assert taken(backlog) == [message(ZOOM, 0.1)] if name != "out.panic" else backlog.dropped == 1


def test_what_came_before_a_panic_moves_nothing_after_it() -> None:
    backlog = Backlog()
    for value in (0.1, 0.2):
        backlog.put(told(message(ZOOM, value)))
    backlog.put(told(message(PANIC, 1)))
    backlog.put(told(message(ZOOM, 0.3)))
    assert taken(backlog) == [message(PANIC, 1)] and taken(backlog) == [message(ZOOM, 0.3)] and backlog.dropped == 2


def test_a_panic_that_is_not_pressed_drops_nothing() -> None:
    """Some programs send the state of all buttons in every frame."""
    backlog = Backlog()
    for frame, pressed in enumerate((0.0, 0.0, 1.0, 1.0, 1.0, 0.0)):
        for data in (message(ZOOM, 0.1 * frame), bundle(message(ZOOM, 0.5), message(PANIC, pressed))):
            backlog.put(told(data))
        assert backlog.dropped == (0 if frame < 2 else 3), "it is pressed once"
    backlog.put(told(message(PANIC, "what")))
    assert backlog.dropped == 3
    backlog.put(told(message(PANIC)))
    assert backlog.dropped == 6


def test_a_flood_of_safety_is_bounded_too() -> None:
    backlog = Backlog()
    for number in range(5000):
        backlog.put(told(message(BLACKOUT, number % 2)))
    kept = taken(backlog)
    assert len(kept) + backlog.dropped == 5000 and len(kept) < 2000 and kept[-1] == message(BLACKOUT, 1)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"/tpos/out/blackout", b"#bundle", b"#bundle\0", b"/tpos/out/pani?\0\0", b"x" * 60_000]
)
def test_rubbish_and_patterns_are_not_urgent(data: bytes) -> None:
    assert urgency(data) == set()


def test_a_blackout_and_a_panic_get_through_a_flood_of_ten_thousand() -> None:
    store = ParameterStore()
    flood = [message(ZOOM, number / 10_000) for number in range(10_000)]
    with OscControl(store, Status, port=-1, reply=[("127.0.0.1", 9)]) as osc:
        receiver = osc._receiver
        assert receiver is not None
        backlog = receiver._backlog
        for data in flood:
            backlog.put(told(data))
        backlog.put(told(message(BLACKOUT, 1.0)))
        deadline = time.monotonic() + 1.0
        while not store.snapshot()["out.blackout"]:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert len(backlog._items) > 5000, "it overtook the flood"
        for data in itertools.islice(flood, 1000):
            backlog.put(told(data))
        backlog.put(told(message(PANIC, 1)))
        while store.snapshot()["out.blackout"]:
            assert time.monotonic() < deadline + 1.0
            time.sleep(0.002)
        assert not backlog._items and store.snapshot()["motion.zoom"] == TABLE["motion.zoom"].default
