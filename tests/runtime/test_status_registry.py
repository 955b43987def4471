"""The status registry: one Status from many providers, and all messages."""

from __future__ import annotations

import logging
import socket
import threading

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from tpos_live.control.osc_server import OscControl
from tpos_live.core.messages import NOTICE, terminal_messages
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.runtime.status_registry import KEEP, StatusRegistry

log = logging.getLogger("tpos_live.some.part")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_parts_fill_the_status() -> None:
    clock = Clock()
    status_registry = StatusRegistry(ParameterStore({"prompt": "fire"}), clock)
    status_registry.add_provider(lambda: {"level": 0.5})
    status_registry.update(state="running")
    clock.now += 3
    status = status_registry.status()
    assert (status.state, status.level, status.prompt, status.uptime) == ("running", 0.5, "fire", 3.0)
    assert status.memory_mb > 1


def test_a_message_for_the_performer_is_shown_for_a_while() -> None:
    clock = Clock()
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        log.log(NOTICE, "saved a.png")
        assert status_registry.status().message == "saved a.png"
        log.info("OSC from 10.0.0.7: unknown address")
        clock.now += KEEP / 2
        assert status_registry.status().message == "saved a.png", "INFO is for the terminal alone"
        log.warning("no sound from %s", "USB")
        clock.now += KEEP / 2 + 1
        assert status_registry.status().message == "no sound from USB"
        clock.now += KEEP
        assert status_registry.status().message == ""
    log.error("too late")
    clock.now += 1
    assert status_registry.status().message == ""


def test_controllers_get_messages_for_the_performer_and_none_of_osc_itself() -> None:
    """Over a real socket: errors of the show are sent as /tpos/status/error; errors of a sender go to the terminal."""
    printed: list[str] = []
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller,
        terminal_messages("tpos-live: ", printed.append),
        StatusRegistry(ParameterStore()) as status_registry,
    ):
        controller.bind(("127.0.0.1", 0))
        controller.settimeout(10)

        def error(wanted: str) -> str:
            while True:
                message = OscMessage(controller.recv(65_536))
                if message.address == "/tpos/status/error" and message.params[0] == wanted:
                    return wanted

        with OscControl(ParameterStore(), status_registry.status, port=-1, reply=[controller.getsockname()]) as osc:
            log.warning("no sound from USB")
            assert error("no sound from USB") == status_registry.status().message
            controller.sendto(OscMessageBuilder("/tpos/nothing").build().dgram, ("127.0.0.1", osc.port))
            while osc.bad == 0:
                pass
            assert status_registry.status().message == "no sound from USB"
    assert "tpos-live: no sound from USB" in printed
    assert any(line.startswith("tpos-live: OSC /tpos/nothing from 127.0.0.1: unknown address") for line in printed)


def test_messages_come_from_any_thread() -> None:
    with StatusRegistry(ParameterStore()) as status_registry:
        threads = [threading.Thread(target=lambda: [log.warning(f"fault {k}") for k in range(200)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            status_registry.status()
        assert status_registry._line == "fault 199"


def test_a_message_that_cannot_be_written_does_not_reach_the_part_that_logs_it() -> None:
    """A clock that raises stands for any fault in a handler."""

    def clock() -> float:
        if broken:
            raise RuntimeError("no clock")
        return 100.0

    broken = False
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        broken = True
        log.warning("no sound")
        broken = False
        assert status_registry.status().message == ""


def test_a_part_in_trouble_is_heard_over_messages() -> None:
    clock = Clock()
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        status_registry.add_provider(lambda: {"message": "no sound"})
        log.log(NOTICE, "hello")
        assert status_registry.status().message == "no sound"


def test_a_message_is_seen_while_a_part_is_in_trouble() -> None:
    clock = Clock()
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        status_registry.add_provider(lambda: {"message": "no sound"})
        assert status_registry.status().message == "no sound"
        clock.now += 5
        log.warning("the projector is gone")
        clock.now += 1
        assert status_registry.status().message == "the projector is gone"
        clock.now += KEEP
        assert status_registry.status().message == "no sound"


def test_parts_are_not_asked_too_often() -> None:
    clock, asked = Clock(), []
    status_registry = StatusRegistry(ParameterStore(), clock)
    status_registry.add_provider(lambda: asked.append(1) or {})
    for _ in range(10):
        status_registry.status()
        clock.now += 0.011
    assert 2 <= len(asked) <= 3


def test_the_status_says_what_is_shown_and_where_it_comes_from() -> None:
    clock = Clock()
    store = ParameterStore({"prompt": "fire", "prompt.2": "sea", "prompt.3": "ice"})
    status_registry = StatusRegistry(store, clock)

    def shown() -> tuple[str, str]:
        clock.now += 1
        return status_registry.status().prompt, status_registry.status().showing

    assert shown() == ("fire", "prompt")
    store.set("prompt.select", 2)
    assert shown() == ("sea", "slot 2")
    store.update({"prompt.2.weight": 0.5, "prompt.3.weight": 1.0})
    assert shown() == ("sea 0.5 + ice 1.0", "slot 2 33 % + slot 3 67 %")
    store.update({"prompt.2.weight": 0.0, "prompt.3.weight": 0.25})
    assert shown() == ("ice 0.2 + fire 0.8", "slot 3 25 % + prompt 75 %")
    store.set("prompt", "fire")
    assert shown() == ("fire", "prompt")


def test_what_is_wrong_with_a_part_is_logged_once_each_time_it_begins(messages: list[str]) -> None:
    clock, wrong = Clock(), ["no sound"]
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        status_registry.add_provider(lambda: {"message": wrong[0]})
        status_registry.add_provider(lambda: {"message": "slow disk"})
        for _ in range(3):
            status_registry.status()
            clock.now += 1
        assert messages == ["no sound", "slow disk"]
        wrong[0] = ""
        clock.now += 120
        assert status_registry.status().message == "slow disk"
        wrong[0] = "no sound"
        clock.now += 1
        status_registry.status()
    assert messages == ["no sound", "slow disk", "no sound"]


def test_what_a_part_has_just_logged_is_not_logged_again(messages: list[str]) -> None:
    clock, lost = Clock(), "recording lost: the disk is full"
    with StatusRegistry(ParameterStore(), clock) as status_registry:
        status_registry.add_provider(lambda: {"message": lost})
        log.error(lost)
        assert status_registry.status().message == lost
        clock.now += KEEP + 1
        assert status_registry.status().message == lost, "as long as it lasts"
    assert messages == [lost]


def test_parts_that_cannot_tell_their_status_do_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """Each is logged once, also if two of them fail in turn."""

    def broken(why: str) -> dict[str, object]:
        raise RuntimeError(why)

    clock = Clock()
    status_registry = StatusRegistry(ParameterStore(), clock)
    status_registry.add_provider(lambda: broken("the card is gone"))
    status_registry.add_provider(lambda: broken("no such file"))
    status_registry.add_provider(lambda: {"level": 0.5})
    for _ in range(3):
        clock.now += 1
        assert status_registry.status().level == 0.5
    begins = "the status goes on after an error: "
    assert [record.message for record in caplog.records] == [f"{begins}the card is gone", f"{begins}no such file"]
