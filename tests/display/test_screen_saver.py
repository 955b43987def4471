"""The screen saver is inhibited during a show, on a real X server and on a session bus, and comes back after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fakes.screen_saver import Saver
from fakes.session_bus import Service, session_bus
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import one_screen, run

from tpos_live.cli import doctor
from tpos_live.display import screen_saver
from tpos_live.display.screen_saver import Method, ScreenSaverInhibitor, desktop, portal

SCRIPT = """
import sys
from tpos_live.display import screen_saver
{change}
with screen_saver.ScreenSaverInhibitor() as inhibitor:
    inhibitor.ready.wait(10)
    print(inhibitor.active, flush=True)
    sys.stdin.readline()
"""


def _without_wayland() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}


@contextmanager
def inhibited(display: str, change: str = "") -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(change=change)],
        env={**_without_wayland(), "DISPLAY": display, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "X11" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    require_tool("Xvfb", "xset")
    with one_screen((64, 64)) as name:
        yield name


@pytest.fixture
def saver(display: str) -> Iterator[Saver]:
    found = Saver(display)
    yield found
    found.close()


@pytest.mark.display
@pytest.mark.parametrize("ended_by", ["itself", "kill -9"])
def test_off_while_a_show_runs_and_back_after_it(display: str, saver: Saver, ended_by: str) -> None:
    assert wait_until(saver.is_on, 5)
    with inhibited(display) as process:
        assert not saver.is_on()  # it was on, and goes
        assert saver.stays_off(1.7)
        if ended_by == "itself":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.SIGKILL)
        process.wait(5)
    assert wait_until(saver.is_on, 5)


@pytest.mark.display
def test_an_x_server_without_the_extension_gets_a_heartbeat(display: str, saver: Saver) -> None:
    run(display, "xset", "s", "2", "2")
    with inhibited(display, "screen_saver._saver_extension = lambda _: None; screen_saver.HEARTBEAT = 0.2"):
        assert saver.stays_off(2.7)


def test_the_desktop_is_asked_and_told_when_it_is_over(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    require_tool("dbus-daemon")
    with session_bus() as address, Service(address, "org.freedesktop.ScreenSaver", "u", (7,)) as service:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        with ScreenSaverInhibitor([desktop]) as inhibitor:
            assert inhibitor.ready.wait(10) and inhibitor.active == ("org.freedesktop.ScreenSaver",), inhibitor.failures
            assert [name for name, _ in service.calls] == ["Inhibit"]
        assert wait_until(lambda: ("UnInhibit", (7,)) in service.calls, 5)
        assert not messages


def test_the_portal_is_asked_and_its_connection_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    require_tool("dbus-daemon")
    name = "org.freedesktop.portal.Desktop"
    with session_bus() as address, Service(address, name, "o", ("/a/request",)) as service:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)

        def connected() -> bool:
            from jeepney import message_bus
            from jeepney.io.blocking import open_dbus_connection

            with open_dbus_connection(bus=address) as connection:
                asked = message_bus.NameHasOwner(service.callers[0])
                return bool(connection.send_and_get_reply(asked, timeout=5).body[0])

        with ScreenSaverInhibitor([desktop, portal]) as inhibitor:
            assert inhibitor.ready.wait(10) and inhibitor.active == ("org.freedesktop.portal.Inhibit",)
            assert service.calls == [("Inhibit", ("", 8, {"reason": ("s", "a show is running")}))]
            assert connected()
        assert wait_until(lambda: not connected(), 5)


@pytest.mark.display
def test_doctor_says_what_works(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    found = doctor._screen_saver()
    assert found.ok is True and found.text.endswith("by X11")
    monkeypatch.setenv("DISPLAY", "")
    found = doctor._screen_saver()
    assert found.ok is None and "switch it off by hand" in found.text and "no X display" in found.text


def test_where_nothing_works_the_person_is_told_why_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with ScreenSaverInhibitor() as inhibitor:
        assert inhibitor.ready.wait(10)
    assert len(messages) == 1 and "switch it off by hand" in messages[0] and "\n" not in messages[0]
    assert "no session bus" in messages[0] and "Wayland" in messages[0]


def test_a_method_that_fails_ends_nothing() -> None:
    @contextmanager
    def broken() -> Iterator[screen_saver.Inhibition]:
        raise OSError(5, "the bus\nis gone")
        yield screen_saver.Inhibition("never")

    @contextmanager
    def works() -> Iterator[screen_saver.Inhibition]:
        yield screen_saver.Inhibition("works")

    with ScreenSaverInhibitor([broken, works]) as inhibitor:
        assert inhibitor.ready.wait(5) and inhibitor.active == ("works",) and "the bus is gone" in inhibitor.failures[0]


def test_a_heartbeat_that_fails_ends_no_other_one(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    beats, ended = list[int](), list[str]()

    def method(name: str, heartbeat: Callable[[], None]) -> Method:
        @contextmanager
        def made() -> Iterator[screen_saver.Inhibition]:
            yield screen_saver.Inhibition(name, heartbeat)
            ended.append(name)

        return made

    def fail() -> None:
        raise OSError(5, "the bus is gone")

    monkeypatch.setattr(screen_saver, "HEARTBEAT", 0.01)
    with ScreenSaverInhibitor([method("one", fail), method("two", lambda: beats.append(1))]):
        assert wait_until(lambda: len(beats) >= 3) and not ended
    assert ended == ["two", "one"] and len(messages) == 1 and "the bus is gone" in messages[0]
