"""Allowed senders, and the limit of answers."""

from __future__ import annotations

import time

import pytest
from click.testing import CliRunner
from osc_client import bundle, message

from tpos_live.cli.main import cli
from tpos_live.control.osc_receiver import Receiver
from tpos_live.control.osc_router import Datagram, Router
from tpos_live.control.osc_senders import BURST, PER_SECOND, AllowList, AnswerLimit
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings

FAR = "10.1.2.3"


def test_an_empty_list_allows_everybody() -> None:
    assert AllowList().allows(FAR) and AllowList().allows("127.0.0.1")


def test_others_are_refused_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    allow = AllowList(["192.168.1.20", "10.1.0.0/16"])
    assert allow.allows("192.168.1.20") and allow.allows(FAR) and allow.allows("127.0.0.1")
    assert [allow.allows("192.168.1.21") for _ in range(3)] == [False] * 3
    assert allow.refused == 3 and [record.message for record in caplog.records] == [
        "OSC from '192.168.1.21' is not heard: it is not in osc.allow (--osc-allow)"
    ]
    for number in range(5000):  # forged senders must not fill the memory
        allow.allows(f"172.16.{number // 250}.{number % 250}")
    assert len(allow._known) <= 1024


def test_a_receiver_counts_what_it_refuses() -> None:
    with Receiver("127.0.0.1", 0, lambda batch: None, ["10.0.0.1"]) as receiver:
        assert not receiver._allowed.allows("10.0.0.2") and receiver.dropped == 1


@pytest.mark.parametrize("text", ["somewhere", "300.1.1.1", "10.0.0.0/40", "1.2.3.4:9000", " "])
def test_a_bad_network_is_one_line(text: str) -> None:
    with pytest.raises(SettingsError, match=r"192\.168\.1\.0/24"):
        load_settings({"osc.allow": [text]})
    refused = CliRunner().invoke(cli, ["--osc-allow", text, "--headless", "--seconds", "1"])
    assert refused.exit_code == 2 and "192.168.1.0/24" in refused.output


def test_several_networks_are_kept() -> None:
    assert load_settings({"osc.allow": ["10.0.0.0/8", "192.168.1.4"]}).osc.allow == ["10.0.0.0/8", "192.168.1.4"]


def test_answers_to_another_machine_are_limited_and_come_back() -> None:
    limit = AnswerLimit()
    assert limit.grant(FAR, 1000, 0.0) == BURST and limit.grant(FAR, 1, 0.0) == 0
    assert limit.grant(FAR, 1000, 1.0) == PER_SECOND
    assert limit.grant(FAR, 1000, 1000.0) == BURST
    assert limit.grant("127.0.0.1", 1000, 0.0) == 1000
    for number in range(5000):
        limit.grant(f"172.16.{number // 250}.{number % 250}", 1, 0.0)
    assert len(limit._left) <= 1024


@pytest.mark.parametrize("host", ["127.0.0.1", FAR])
def test_a_question_with_a_pattern_amplifies_nothing_beyond_this_machine(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    answers: list[str] = []
    router = Router(ParameterStore(), lambda to, address, value: answers.append(address))
    for _ in range(3):
        router.apply([Datagram(message("/tpos/finish/*/?"), host, 0.0), Datagram(message("/tpos/*/*/?"), host, 0.0)])
    values = [address for address in answers if address != "/tpos/status/error"]
    assert (len(values) == BURST) if host == FAR else (len(values) > 3 * BURST)
    assert len({record.message for record in caplog.records}) == len(caplog.records)


PATTERNS = {
    "braces": "/tpos/{" + ",".join(f"*{sign}" for sign in "abcdefghijklmnopqrstuvwxyz") + "}/*%d",
    "stars": "/tpos/*o*o*o*o*o*o*o*o*o*%d/*a*e*i*o*u*%d",
    "unknown": "/tpos/" + 7 * "finsih/blomo" + "%d",
    "question": "/tpos/*o*o*o*o/*a*e*i*o*u*%d/?",
}


@pytest.mark.parametrize("kind", PATTERNS)
def test_one_datagram_of_many_look_ups_does_not_take_the_thread(kind: str) -> None:
    """A flood of 65 kB took 2 to 4 s of processor time. Messages with exact addresses are still applied."""
    store = ParameterStore()
    router = Router(store, lambda to, address, value: None)
    addresses = [PATTERNS[kind].replace("%d", str(number)) for number in range(1200)]
    messages = [message(address, 0.5) for address in addresses]
    begin = time.thread_time()
    router.apply([Datagram(bundle(*messages, message("/tpos/out/blackout", 1)), FAR, 0.0)])
    assert time.thread_time() - begin < 1.5
    assert store.snapshot()["out.blackout"] and router.bad > 1000
    router.apply([Datagram(message("/tpos/finish/{bloom,grain}", 0.25), FAR, 10.0)])
    assert store.snapshot()["finish.bloom"] == 0.25
