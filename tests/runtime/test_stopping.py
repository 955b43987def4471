"""How a show answers Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any, Self

import pytest

from tpos_live.core.settings import Settings
from tpos_live.runtime import run_session
from tpos_live.runtime.stop_signals import interrupting_signals, stop_signals


class Ended(Exception):
    """Raised where the process would end."""


class Session:
    """A session that runs until it is asked to stop. said: what the terminal had when it was left."""

    said = ""

    def __init__(self, capsys: pytest.CaptureFixture[str], signals: list[int], stop: threading.Event) -> None:
        self._capsys, self._signals, self._stop = capsys, signals, stop
        self.engine_loader, self.display = SimpleNamespace(), None
        self.controls = SimpleNamespace(recordings=SimpleNamespace(failures=[]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for _ in range(100):  # the terminal is written by a thread
            Session.said += self._capsys.readouterr().err
            if "stopping" in Session.said or not self._signals:
                break
            threading.Event().wait(0.02)

    def state(self) -> None:
        return None

    def run(self) -> None:
        for number in self._signals:
            os.kill(os.getpid(), number)
            assert self._stop.wait(10.0)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], []])
def test_a_show_says_at_once_that_it_stops(
    signals: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(_settings: Settings, *, stop: threading.Event, **_options: Any) -> Session:
        return Session(capsys, signals, stop)

    def leave(_code: int) -> None:
        raise Ended

    monkeypatch.setattr(Session, "said", "")
    monkeypatch.setattr(run_session, "LiveSession", show)
    monkeypatch.setattr(run_session, "Autosave", lambda *_: threading.Lock())
    monkeypatch.setattr(run_session, "has_display", lambda: True)
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(Ended):
        run_session.run_live_session(Settings())
    assert Session.said.count("tpos-live: stopping …") == (1 if signals else 0)


@pytest.mark.parametrize(("number", "interrupts"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_interrupts_what_is_imported_before_a_show_runs(
    number: int, interrupts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A headless show imports PyTorch for 2 s on the thread that would look at the event, 10 s on a busy machine."""

    def importing(_settings: Settings, *, stop: threading.Event, **_options: Any) -> Session:
        os.kill(os.getpid(), number)
        assert stop.wait(10.0) and not interrupts
        raise Ended

    monkeypatch.setattr(run_session, "LiveSession", importing)
    monkeypatch.setattr(run_session, "has_display", lambda: True)
    with pytest.raises(KeyboardInterrupt if interrupts else Ended):
        run_session.run_live_session(Settings())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP on this system")
def test_a_show_behind_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(10.0)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_render_is_interrupted_by_whatever_ends_it(name: str) -> None:
    """Without a handler the process ended without the last frames and without a line."""
    if not hasattr(signal, name):
        pytest.skip(f"there is no {name} on this system")
    before = signal.getsignal(signal.Signals[name])
    with pytest.raises(KeyboardInterrupt), interrupting_signals():
        os.kill(os.getpid(), signal.Signals[name])
        threading.Event().wait(10.0)
    assert signal.getsignal(signal.Signals[name]) is before
