"""Ableton Link without its library or network."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest
from fakes.waiting import wait_until

from tpos_live.control.link import Link


@pytest.mark.parametrize("where", ["made", "enabled", "num_peers"])
def test_a_failing_link_gives_one_line_and_the_start_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, messages: list[str], where: str
) -> None:
    class Broken:
        def __init__(self, tempo: float) -> None:
            self.fail("made")

        def __setattr__(self, name: str, value: object) -> None:
            self.fail(name)

        @property
        def num_peers(self) -> int:
            self.fail("num_peers")
            return 0

        @staticmethod
        def fail(at: str) -> None:
            if at == where:
                raise OSError("no network is there\nmore")

    monkeypatch.setitem(sys.modules, "aalink", SimpleNamespace(Link=Broken))
    begin = time.perf_counter()
    with Link(True) as link:
        assert time.perf_counter() - begin < 0.9
        assert wait_until(lambda: bool(messages) and not link._thread.is_alive())
        assert link.position(0.0) is None
    assert messages == ["no Link: no network is there"]
