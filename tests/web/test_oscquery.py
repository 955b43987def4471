"""OSCQuery as a foreign program uses it: plain HTTP, a WebSocket, and zeroconf."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request
from websockets.sync.client import connect

from tpos_live.control.osc_addresses import LEAVES
from tpos_live.control.osc_packets import read
from tpos_live.control.osc_senders import AllowList
from tpos_live.core.parameters import TABLE
from tpos_live.core.status import Status
from tpos_live.web import listeners
from tpos_live.web.access import Access
from tpos_live.web.answers import Answers
from tpos_live.web.control_page import ControlPage
from tpos_live.web.oscquery import SERVICE, answer


def ask(page: ControlPage, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}{path}", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        return json.loads(answer.read())


def leaves(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {node["FULL_PATH"]: node} if "TYPE" in node else {}
    for name, child in node.get("CONTENTS", {}).items():
        assert child["FULL_PATH"] == f"{node['FULL_PATH'].rstrip('/')}/{name}"
        found |= leaves(child)
    return found


def test_the_tree_has_every_parameter(stage, page) -> None:
    stage.store.update({"prompt": "sea", "finish.bloom": 1.5, "out.fit": "mirror", "out.blackout": True})
    found = leaves(ask(page, "/"))
    assert found.keys() == LEAVES.keys() and not [node for node in found.values() if "CONTENTS" in node]
    bloom = found["/tpos/finish/bloom"]
    assert (bloom["TYPE"], bloom["VALUE"], bloom["ACCESS"]) == ("f", [1.5], 3)
    assert bloom["RANGE"] == [{"MIN": 0, "MAX": 2}] and bloom["DESCRIPTION"] == TABLE["finish.bloom"].text
    assert found["/tpos/prompt/value"]["VALUE"] == ["sea"] and found["/tpos/prompt/value"]["TYPE"] == "s"
    assert found["/tpos/out/fit"]["VALUE"] == [2] and "2 mirror" in found["/tpos/out/fit"]["DESCRIPTION"]
    assert found["/tpos/out/blackout"]["VALUE"] == [1.0]
    assert found["/tpos/out/panic"]["ACCESS"] == 2 and "VALUE" not in found["/tpos/out/panic"]
    assert found["/tpos/tempo/value"]["RANGE"] == [{"MIN": 0, "MAX": 240}]
    assert found["/tpos/tempo/value"]["UNIT"] == ["BPM"]


def test_a_part_and_an_attribute(page) -> None:
    assert set(ask(page, "/tpos/finish")["CONTENTS"]) >= {"bloom", "light"}
    assert ask(page, "/tpos/finish/bloom?VALUE") == {"VALUE": [TABLE["finish.bloom"].default]}
    assert ask(page, "/tpos/prompt?VALUE") == ask(page, "/tpos/prompt/value?VALUE") == {"VALUE": ["neon jellyfish"]}
    assert ask(page, "/tpos/out/panic?VALUE") == {}
    for path, status in (("/tpos/nothing", 404), ("/tpos/prompt?COLOUR", 400), ("/tpos/%00", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(page, path)
        assert refused.value.code == status and len(refused.value.read().splitlines()) == 1


def test_host_info_names_the_port_of_osc(stage) -> None:
    with ControlPage(stage.store, Status, port=-1, osc=lambda: ("127.0.0.1", 9000)) as page:
        assert page.opened.wait(20)
        info = ask(page, "/?HOST_INFO")
        assert (info["NAME"], info["OSC_IP"], info["OSC_PORT"]) == ("tpos-live", "127.0.0.1", 9000)
        assert info["EXTENSIONS"]["LISTEN"] is True


def test_listening_to_an_address(stage, page) -> None:
    with connect(f"ws://127.0.0.1:{page.port}/") as program:
        for bad in ("{", "[]", '{"COMMAND": "LISTEN", "DATA": "/tpos/nothing"}', '{"COMMAND": "JUMP", "DATA": "/"}'):
            program.send(bad)
            assert len(json.loads(program.recv(20))["error"]) < 100
        program.send(json.dumps({"COMMAND": "LISTEN", "DATA": "/tpos/finish/bloom"}))
        program.send(b"\x00")
        assert "UDP" in json.loads(program.recv(20))["error"]  # so the server has read the line before, too
        stage.store.update({"finish.light": 1.0, "finish.bloom": 1.75})
        message = read(program.recv(20))[0][0]
        assert (message.address, message.args) == ("/tpos/finish/bloom", (1.75,))
        program.send(json.dumps({"COMMAND": "LISTEN", "DATA": "/tpos/prompt/value"}))
        program.send("{")
        program.recv(20)
        stage.store.set("prompt", "deep sea")
        message = read(program.recv(20))[0][0]
        assert (message.address, message.args) == ("/tpos/prompt/value", ("deep sea",)), "as it was asked for"
        program.send(json.dumps({"COMMAND": "IGNORE", "DATA": "/tpos/finish/bloom"}))
        program.send("{")
        program.recv(20)
        stage.store.set("finish.bloom", 0.5)
        with pytest.raises(TimeoutError):
            program.recv(0.4)


@pytest.mark.parametrize(("osc_host", "status"), [("127.0.0.1", 403), ("0.0.0.0", 200)])
def test_beyond_loopback_the_tree_is_as_open_as_osc(stage, osc_host, status) -> None:
    with ControlPage(stage.store, Status, host="0.0.0.0", port=-1, osc=lambda: (osc_host, 9000)) as page:
        assert page.opened.wait(20)
        for path in ("/", "/?HOST_INFO", "/tpos/prompt"):
            try:
                ask(page, path)
                got = 200
            except urllib.error.HTTPError as error:
                got = error.code
            assert got == status
        assert ask(page, f"/tpos/prompt/value?token={page.access.token}")["VALUE"] == ["neon jellyfish"]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(page, "/index.html")
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{page.port}/socket"):
            pass


@pytest.mark.parametrize("upgrade", [False, True])
def test_who_is_not_heard_by_osc_reads_nothing_without_a_token(stage, upgrade) -> None:
    senders = AllowList(["192.168.1.20", "10.1.0.0/16"])
    tree = lambda path, query: answer(path, query, stage.store.snapshot())  # noqa: E731
    answers = Answers(Access.to("0.0.0.0"), tree=tree, open_tree=senders.has)
    headers = Headers({"Host": "192.168.1.2:9080", **({"Upgrade": "websocket"} if upgrade else {})})
    statuses = {}
    for host in (
        "192.168.1.20",
        "::ffff:10.1.2.3",
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "192.168.1.21",
        "fe80::1%eth0",
        "",
    ):
        response = answers.answer(Request("/tpos/prompt", headers), host)
        statuses[host] = None if response is None else response.status_code
    heard = None if upgrade else 200
    assert list(statuses.values()) == [heard] * 4 + [403] * 3, statuses
    asked = Request(f"/tpos/prompt?token={answers.access.token}", headers)
    response = answers.answer(asked, "192.168.1.21")
    assert response is None if upgrade else response is not None and response.status_code == 200
    with ControlPage(
        stage.store, Status, host="0.0.0.0", port=-1, osc=lambda: ("0.0.0.0", 9000), osc_allow=["10.9.9.9"]
    ) as page:
        assert page.opened.wait(20)
        assert ask(page, "/tpos/prompt"), "this machine is always heard"


def test_other_programs_find_it_by_zeroconf(stage) -> None:
    zeroconf = pytest.importorskip("zeroconf")
    found: list[tuple[list[str], int]] = []
    gone: list[str] = []
    came = threading.Condition()

    class Browser:
        def add_service(self, network: Any, kind: str, name: str) -> None:
            info = network.get_service_info(kind, name, 3000)
            if info is not None:
                with came:
                    found.append((info.parsed_addresses(), info.port))
                    came.notify()

        def update_service(self, *_of: Any) -> None: ...

        def remove_service(self, _network: Any, _kind: str, name: str) -> None:
            with came:
                gone.append(name)
                came.notify()

    with zeroconf.Zeroconf(interfaces=["127.0.0.1"]) as network:
        zeroconf.ServiceBrowser(network, SERVICE, Browser())
        with ControlPage(stage.store, Status, port=-1) as page:
            assert page.opened.wait(20)
            with came:
                heard = came.wait_for(lambda: (["127.0.0.1"], page.port) in found, 20)
                if not heard and not found:
                    pytest.skip("no multicast on loopback here")
                assert heard, found
            page.withdraw()
            with came:
                assert came.wait_for(lambda: gone, 20), "before the page ends, for it takes a while"
            assert ask(page, "/tpos/prompt"), "which is still served"


def test_a_program_that_cannot_be_told_is_disconnected(stage, page, monkeypatch, messages) -> None:
    def fail(*_: object) -> list[bytes]:
        raise TypeError("a value that is no number")

    with connect(f"ws://127.0.0.1:{page.port}/", compression=None) as program:
        monkeypatch.setattr(listeners, "changes", fail)
        with pytest.raises(ConnectionClosed):
            program.recv(20)
    assert len([line for line in messages if "no number" in line]) == 1
