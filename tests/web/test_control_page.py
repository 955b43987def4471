"""The server of the control page with a real store, real sockets, and correct and faulty clients."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fakes.waiting import wait_until
from pages import OpenPage, open_page
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tpos_live.core.looks import Show
from tpos_live.core.network import KeptPortError
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.port_claims import PortClaims
from tpos_live.core.status import Status
from tpos_live.web import connections, control_page
from tpos_live.web import pages as server_pages
from tpos_live.web.answers import FOLDER, page_files
from tpos_live.web.control_page import LARGEST_MESSAGE, ControlPage


def get(page: ControlPage, path: str, **headers: str) -> tuple[int, str]:
    headers = {"Accept": "text/html", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{page.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_page_gets_everything_and_then_what_changes(stage, page) -> None:
    with open_page(page) as one:
        assert one.values == dict(stage.store.snapshot().values)
        assert one.looks == [["deep", 0], ["fire & ice", 0]] and one.cues == [["deep", 8.0, "bar"]]
        described = {p["name"] for group in one.description["groups"] for p in group["parameters"]}
        assert described == {name for name in TABLE if not name.startswith("map.")}
        one.values.clear()
        stage.store.set("finish.bloom", 1.25)
        stage.status = Status(heard="rain")
        one.wait(lambda: one.status.get("heard") == "rain")
        assert one.values == {"finish.bloom": 1.25}


def test_what_a_page_sets_is_in_the_store_and_on_the_other_page(stage, page) -> None:
    with open_page(page) as one, open_page(page) as two:
        one.send(set={"prompt": "  aurora \n over  mountains ", "out.blackout": True, "out.fit": "mirror", "seed": 7})
        two.wait(lambda: two.values["prompt"] == "aurora over mountains" and two.values["out.blackout"])
        snapshot = stage.store.snapshot()
        assert (snapshot["prompt"], snapshot["out.fit"], snapshot["seed"]) == ("aurora over mountains", "mirror", 7)
        one.wait(lambda: one.values["out.blackout"])
        two.send(fire="out.panic")
        one.wait(lambda: one.values["out.blackout"] is False)
        assert stage.store.snapshot().fired("out.panic") == 1


def test_keys_of_the_window(stage, page) -> None:
    stage.store.set("prompt.3", "sea")
    with open_page(page) as one:
        one.send(key="3", shift=True)
        one.wait(lambda: one.values["prompt.select"] == 3 and one.values["prompt.fade"] == 8.0)
        one.send(key="q")
        one.send(key="b")
        one.wait(lambda: one.values["out.blackout"])


@pytest.mark.parametrize(
    ("message", "words"),
    {
        "no JSON": ("{", "is no JSON"),
        "a list": ("[1]", "an object"),
        "deep": ("[" * 60_000, "is no JSON"),
        "an unknown word": ('{"path": "/etc/passwd"}', "'path' is unknown"),
        "an unknown name": ('{"set": {"out.nothing": 1}}', "there is no parameter 'out.nothing'"),
        "too much": ('{"set": {"out.level": 7}}', "out.level takes 0 to 1, not 7"),
        "too little of a tempo": ('{"set": {"tempo": 999}}', "tempo takes 20 to 240 BPM, or 0"),
        "not a number": ('{"set": {"out.level": NaN}}', "out.level takes a number"),
        "a list for a number": ('{"set": {"out.level": [1]}}', "out.level takes a number"),
        "a number for a text": ('{"set": {"prompt": 0.5}}', "prompt takes a text"),
        "a strange choice": ('{"set": {"out.fit": "tile"}}', "out.fit takes one of cover"),
        "a value for a trigger": ('{"set": {"out.panic": 1}}', "is a trigger"),
        "an unknown trigger": ('{"fire": "out.level"}', "there is no trigger 'out.level'"),
        "a number as a trigger": ('{"fire": 3}', "fire takes the name"),
        "set of a list": ('{"set": []}', "set takes an object"),
        "a key of a list": ('{"key": ["b"]}', "key takes a text"),
        "a preview of a number": ('{"preview": 1}', "preview takes true or false"),
        "half of a pair": ('{"set": {"\\ud800": 1}}', "there is no parameter"),
    }.values(),
)
def test_bad_messages_are_answered_by_one_line(stage, page, message, words) -> None:
    before = stage.store.snapshot().version
    with open_page(page) as one:
        one.connection.send(message)
        one.wait(lambda: bool(one.errors))
        assert words in one.errors[0] and "\n" not in one.errors[0] and len(one.errors[0]) < 200
        assert stage.store.snapshot().version == before
        one.send(set={"out.level": 0.5})
        one.wait(lambda: one.values["out.level"] == 0.5)


def test_bytes_and_too_much_at_once(stage, page) -> None:
    with open_page(page) as one:
        one.connection.send(b"\x00\xff")
        one.wait(lambda: bool(one.errors))
        assert "not bytes" in one.errors[0]
        with pytest.raises(ConnectionClosed):
            one.connection.send("x" * (LARGEST_MESSAGE + 1))
            one.wait(lambda: False)
    with open_page(page) as again:
        again.send(set={"out.level": 0.25})
        again.wait(lambda: again.values["out.level"] == 0.25)


def test_a_flood_is_slowed_down_and_the_last_value_holds(stage, page) -> None:
    with open_page(page) as flood, open_page(page) as other:
        begin = time.monotonic()
        for n in range(100):
            flood.send(set={"out.level": n / 100})
        flood.send(set={"out.level": 1.0, "intensity": 0.75})
        other.wait(lambda: other.values["intensity"] == 0.75)
        assert stage.store.snapshot()["out.level"] == 1.0
        assert time.monotonic() - begin >= 100 * connections.PAUSE  # so many a second at most


def test_twenty_pages_are_in_step(stage, page) -> None:
    with ExitStack() as stack:
        pages = [stack.enter_context(open_page(page)) for _ in range(20)]
        pages[0].send(set={"finish.light": 1.5})
        for one in pages:
            one.wait(lambda one=one: one.values["finish.light"] == 1.5)


def test_one_page_too_many_is_told_so(page, monkeypatch) -> None:
    monkeypatch.setattr(server_pages, "MOST_PAGES", 2)
    with open_page(page), open_page(page):
        with connect(f"ws://127.0.0.1:{page.port}/socket") as third, pytest.raises(ConnectionClosed) as closed:
            third.recv(20)
        assert "2 pages are open" in closed.value.rcvd.reason


def test_a_page_that_never_reads_is_disconnected_and_holds_nobody_up(stage, page, monkeypatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.5)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", page.port))
    with raw, open_page(page) as good:
        raw.sendall(
            f"GET /socket HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        good.wait(lambda: "control page:" in str(good.log))
        for n in range(2000):
            stage.store.set("prompt", f"{n} " + "x" * 20_000)
            good.wait(lambda n=n: good.values["prompt"].startswith(f"{n} "))
            if any("does not read" in text for _level, text in good.log):
                break
        assert any("does not read" in text for _level, text in good.log)


def test_many_connections_that_ask_for_nothing(stage, monkeypatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    with ControlPage(stage.store, Status, port=-1) as page, ExitStack() as stack:
        assert page.opened.wait(20)
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", page.port), 20)) for _ in range(4)]
        with suppress(ConnectionResetError):  # how it ends depends on the system
            assert idle[-1].recv(1) == b""
        idle[0].close()
        deadline = time.monotonic() + 20
        while True:  # the server has seen the end of one
            try:
                assert get(page, "/")[0] == 200
                break
            except (ConnectionError, urllib.error.URLError):
                assert time.monotonic() < deadline


def test_other_sites_are_refused(page) -> None:
    assert get(page, "/")[0] == 200
    assert get(page, "/", Host="evil.example:9080")[0] == 403  # DNS rebinding
    assert get(page, "/", Origin="http://evil.example")[0] == 403
    assert get(page, "/", Origin="null")[0] == 403
    own = f"127.0.0.1:{page.port}"
    for origin in ("http://evil.example", "null", f"http://{own}.evil.example", "http://127.0.0.1:1"):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{own}/socket", origin=origin):
            pass
        assert refused.value.response.status_code == 403
    with connect(f"ws://{own}/socket", origin=f"http://{own}"):
        pass


def test_beyond_loopback_a_token_is_required(stage, messages) -> None:
    with ControlPage(stage.store, Status, Show, host="0.0.0.0", port=-1) as page:
        assert page.opened.wait(20)
        token = page.access.token
        assert len(token) >= 16 and page.address.endswith(f"/?token={token}")
        for path in ("/", "/?token=", "/?token=x", f"/?token={token}x", "/?token=%ff"):
            status, words = get(page, path)
            assert status == 403 and "token" in words
        assert get(page, f"/?token={token}")[0] == 200
        for query in ("", "?token=x"):
            with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{page.port}/socket{query}"):
                pass
        with open_page(page) as one:
            one.send(set={"out.level": 0.5})
            one.wait(lambda: one.values["out.level"] == 0.5)
            assert "█" not in str(one.log)  # the QR code is for the terminal
        address, qr_code = next(line for line in messages if page.address in line).split("\n", 1)
        assert address.endswith(token) and "█" in qr_code
    with ControlPage(stage.store, Status, Show, host="0.0.0.0", port=-1) as page:
        assert page.access.token != token
    with ControlPage(stage.store, Status, Show, host="0.0.0.0", port=-1, token=token) as page:
        assert page.opened.wait(20) and get(page, f"/?token={token}")[0] == 200, "of a show that starts again"


@pytest.mark.parametrize(
    "path",
    ["/../control_page.py", "/%2e%2e/control_page.py", "//etc/passwd", "/page/index.html", "/socket/x", "/?a=%00"],
)
def test_no_path_leads_out_of_the_page(page, path) -> None:
    status, words = get(page, path)
    assert status in (400, 404) or words == (FOLDER / "index.html").read_text()


def test_damaged_requests_do_not_disturb(stage, page, messages, capfd) -> None:
    own = f"Host: 127.0.0.1:{page.port}\r\n"
    for request in (
        b"\x00\xff\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + own.encode() + b"Content-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\n{own}{own}\r\n".encode(),
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n" + own.encode() + b"\r\n",
        f"GET /socket HTTP/1.1\r\n{own}\r\n".encode(),
        b"",
    ):
        with socket.create_connection(("127.0.0.1", page.port)) as raw:
            raw.sendall(request)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    with open_page(page) as one:
        one.send(set={"out.level": 0.5})
        one.wait(lambda: one.values["out.level"] == 0.5)
    assert "Traceback" not in capfd.readouterr().err
    assert len([line for line in messages if "control page" not in line]) == 0


@pytest.mark.parametrize(
    "request_line", ["POST /", "POST /socket", "PUT /tpos/out/level", "GET /", "POST / HTTP/9"], ids=str
)
def test_a_request_with_a_body_is_answered(page, request_line: str) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as raw:
        version = "" if "HTTP" in request_line else " HTTP/1.1"
        head = f"{request_line}{version}\r\nHost: 127.0.0.1:{page.port}\r\nContent-Length: 100000\r\n\r\n"
        raw.sendall(head.encode() + bytes(100_000))
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b"GET without a body\n")


def test_text_that_is_no_utf_8_stops_no_page(stage, page) -> None:
    """In a file's name, or in a value that one page sends to all."""
    with open_page(page) as one, open_page(page) as two:
        stage.status = Status(sound_name="caf\udce9.wav")
        one.send(set={"prompt": "half of a pair \ud800"})
        for each in (one, two):
            each.wait(lambda each=each: each.values["prompt"].endswith("\ud800"))
            each.wait(lambda each=each: "caf" in each.status["sound"])
        one.send(set={"out.level": 0.5})
        two.wait(lambda: two.values["out.level"] == 0.5)
    with open_page(page) as later:
        assert later.values["out.level"] == 0.5


def test_the_page_is_small_and_needs_no_other_server(page) -> None:
    assert sum(len(body) for path, (_, body) in page_files().items() if path != "/") <= 200_000
    for path, (_, body) in page_files().items():
        assert get(page, path) == (200, body.decode())
        addresses = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in addresses and "https:" not in addresses.replace('"https:"', ""), path


def test_a_port_in_use_is_one_line(page, messages) -> None:
    with ControlPage(ParameterStore(), Status, port=page.port) as second:
        assert second.opened.wait(20) and second.port == 0
    assert [line for line in messages if "no control page" in line] == [
        f"no control page: port {page.port} is taken by another program; close that program, and the show takes it, or "
        "choose another port with --web-port or none with --no-web"
    ]


def test_a_port_in_use_is_taken_when_it_is_free(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    """A killed show keeps its ports for seconds on a busy computer; the next show must get them then."""
    monkeypatch.setattr(control_page, "RETRY_SECONDS", 0.05)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        page = ControlPage(ParameterStore(), Status, port=number)
        with page:
            assert page.opened.wait(20) and page.port == 0
            time.sleep(0.3)
            other.close()
            assert wait_until(lambda: page.port == number)
            assert get(page, "/")[0] == 200
    assert [line.split(":")[0] for line in messages if "control page" in line] == ["no control page", "control page"]


def test_a_port_of_a_show_that_starts_again_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(control_page, "RETRY_SECONDS", 0.05)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    watchdog = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with ControlPage(ParameterStore(), Status, port=number, claims=PortClaims(tmp_path, watchdog.pid)) as first:
            assert wait_until(lambda: first.port == number)
        with ControlPage(ParameterStore(), Status, port=number, claims=PortClaims(tmp_path)) as second:
            assert second.opened.wait(20) and second.port == 0
            with ControlPage(ParameterStore(), Status, port=number, claims=PortClaims(tmp_path, watchdog.pid)) as again:
                assert wait_until(lambda: again.port == number) and second.port == 0
            watchdog.kill()
            watchdog.wait()
            assert wait_until(lambda: second.port == number)
    finally:
        watchdog.kill()
        watchdog.communicate()
    assert sum(f"port {number} is kept for another show" in line for line in messages) == 1


def test_a_port_claim_holds_for_its_kind_and_address_and_a_damaged_one_for_none(tmp_path: Path) -> None:
    ours, others = PortClaims(tmp_path, os.getppid()), PortClaims(tmp_path, os.getpid())
    others.keep("osc", "127.0.0.1", 9000)
    assert others.kept() == [9000] and ours.kept() == []
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(KeptPortError):
            ours.check("osc", host, 9000)
    others.check("osc", "127.0.0.1", 9000)
    ours.check("osc", "127.0.0.2", 9000)
    ours.check("page", "127.0.0.1", 9000)
    for text in ("{", '{"pid": "x"}', "[]", '{"pid": 1}'):
        (tmp_path / "port-osc-9000.json").write_text(text)
        ours.check("osc", "127.0.0.1", 9000)


def test_leaving_does_not_wait_for_a_port_in_use(page) -> None:
    second = ControlPage(ParameterStore(), Status, port=page.port)
    with second:
        assert second.opened.wait(20)
    assert not second._thread.is_alive()


def test_without_a_page_no_thread_and_no_port() -> None:
    before = threading.active_count()
    with ControlPage(ParameterStore(), Status, port=0) as none:
        assert none.port == 0 and threading.active_count() == before


def test_leaving_with_open_pages_is_quick(stage) -> None:
    with ExitStack() as stack:
        with ControlPage(stage.store, lambda: stage.status, port=-1) as page:
            assert page.opened.wait(20)
            pages: list[OpenPage] = [stack.enter_context(open_page(page)) for _ in range(3)]
            begin = time.monotonic()
        assert time.monotonic() - begin < 1.0
        with pytest.raises(ConnectionClosed):
            pages[0].wait(lambda: False)


def test_messages_are_in_the_log(page) -> None:
    import logging

    logging.getLogger("tpos_live.somewhere").warning("the microphone is lost")
    with open_page(page) as one:
        one.wait(lambda: [logging.WARNING, "the microphone is lost"] in one.log)


def test_json_of_the_news_is_strict(stage, page) -> None:
    stage.status = Status(engine_fps=float("nan"), level=float("inf"))
    with open_page(page) as one:
        one.wait(lambda: "fps" in one.status)
        json.loads(json.dumps(one.status), parse_constant=lambda word: pytest.fail(word))


@pytest.mark.parametrize("request_line", ["POST /index.html", "PUT /tpos/out/level?VALUE", "DELETE /", "POST /socket"])
def test_a_request_that_is_no_get_is_refused_without_a_body_too(page, request_line: str) -> None:
    """Else the program would believe that it has set something."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as raw:
        head = f"{request_line} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nContent-Length: 0\r\n\r\n"
        raw.sendall(head.encode())
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert answer.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 400 ")) and answer.endswith(b"takes GET without a body\n")


def test_a_page_that_cannot_be_told_is_disconnected(stage, page, monkeypatch, messages) -> None:
    """Else it would keep showing old values; a page connects again by itself."""

    def fail(*_: object) -> str:
        raise TypeError("a value that is no JSON")

    with open_page(page) as one:
        monkeypatch.setattr(server_pages.Pages, "_encode", fail)
        stage.store.set("out.level", 0.5)
        with pytest.raises(ConnectionClosed):
            one.wait(lambda: one.values["out.level"] == 0.5)
    monkeypatch.undo()
    with open_page(page) as again:
        assert again.values["out.level"] == 0.5
    assert len([line for line in messages if "no JSON" in line]) == 1
