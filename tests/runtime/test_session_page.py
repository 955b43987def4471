"""The control page of a whole session, with a small engine and without a window."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes.ports import free_port
from websockets.sync.client import connect

from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession


class Visitor:
    """Opens the page, stores a look and watches the preview, on a thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.looks: dict[str, int] = {}
        self.images = 0
        self.error: BaseException | None = None
        threading.Thread(target=self._visit, daemon=True).start()

    def _visit(self) -> None:
        try:
            with connect(f"ws://127.0.0.1:{self.port}/socket", compression=None) as page:
                page.send(json.dumps({"preview": True, "set": {"look.store": "from the page"}}))
                end = time.monotonic() + 60
                while self.images < 2 or not self.looks.get("from the page"):
                    self._take(page, page.recv(max(end - time.monotonic(), 0)))
                page.send(json.dumps({"set": {"out.blackout": True}}))
        except BaseException as error:
            self.error = error

    def _take(self, page: Any, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.images += 1
            page.send(json.dumps({"shown": 1}))
        elif "looks" in (news := json.loads(message)):
            self.looks = dict(news["looks"])


def test_a_page_stores_a_look_and_sees_the_output(
    turbo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 120, 2)), 48_000)
    settings = load_settings({
        "engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1,
        "sound.audio": str(tmp_path / "noise.wav"), "sound.mute": True, "window.headless": True, "osc.port": 0,
        "record.resolution": "160x96", "show.file": str(tmp_path / "show.toml"), "web.port": free_port(),
    })  # fmt: skip
    with LiveSession(settings, page=True) as session:
        run_until_first_frame(session)
        assert session.page.opened.wait(20)
        visitor = Visitor(session.page.port)
        session.display.run(lambda: visitor.error is not None or bool(session.store.snapshot()["out.blackout"]))
        assert visitor.error is None
    assert "from the page" in (tmp_path / "show.toml").read_text()
    with LiveSession(settings) as without, pytest.raises(OSError):
        assert without.page.port == 0
        socket.create_connection(("127.0.0.1", settings.web.port), 1).close()
