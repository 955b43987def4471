"""Ableton Link between two peers on this computer."""

from __future__ import annotations

import time

import pytest
from fakes.waiting import wait_until

from tpos_live.control.link import Link

aalink = pytest.importorskip("aalink", reason="the extra link is not installed")


def test_two_peers_share_tempo_phase_start_and_stop() -> None:
    with Link(True) as one:
        assert one.position(time.perf_counter()) is None, "alone"
        with Link(True) as other:
            if not wait_until(lambda: one.position(0.0) and other.position(0.0)):
                pytest.skip("this computer's network carries no multicast, which Link needs")
            other._link.tempo = 133.0
            assert wait_until(lambda: abs(one.position(0.0).tempo - 133.0) < 0.01)
            at = time.perf_counter() + 0.5
            assert wait_until(lambda: abs((one.position(at).beats - other.position(at).beats + 2) % 4 - 2) < 0.02)
            ahead = one.position(at + 60 / 133).beats - one.position(at).beats
            assert ahead == pytest.approx(1.0, abs=0.05)
            other._link.playing = True
            assert wait_until(lambda: one._link.playing) and one.position(at) is not None
            other._link.playing = False
            assert wait_until(lambda: one.position(at) is None), "the transport has stopped"
        assert one.position(time.perf_counter()) is None


def test_without_the_extra_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aalink", None)
    with Link(True) as link:
        assert link.position(0.0) is None
    assert len(messages) == 1 and "tpos-live[link]" in messages[0]
    with Link(False):
        pass
