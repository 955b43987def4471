"""NDI sources of another process: the newest picture, a sender that ends and returns, and unknown names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fakes.clips import number_of
from fakes.ndi_loopback import find_on_loopback
from fakes.waiting import wait_until

from tpos_live.image_source import ndi_source
from tpos_live.image_source.camera import Camera
from tpos_live.image_source.ndi_source import matches
from tpos_live.image_source.open import is_live, open_source, why_refused
from tpos_live.image_source.reader import SourceError

SENDER = Path(__file__).parent.parent / "fakes" / "ndi_sender.py"


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_on_loopback(tmp_path, monkeypatch)


def send(name: str, first: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SENDER), name, str(first)], stdout=subprocess.DEVNULL)


def number(camera: Camera) -> int:
    frame = camera.at(0.0)
    assert frame is not None and frame.format.name == "rgba"
    return number_of(frame.to_ndarray(format="rgb24"))


@pytest.mark.own_process
def test_pictures_come_in_order_and_a_sender_that_dies_is_awaited(loopback: None, messages: list[str]) -> None:
    sender = send("stage cam")
    try:
        camera = open_source("ndi:Stage Cam", 4.0)
        assert isinstance(camera, Camera) and camera.live
        seen = [number(camera)]
        assert wait_until(lambda: len(seen) == 20 or (number(camera) not in seen[-1:] and seen.append(number(camera))))
        assert seen == sorted(seen) and seen[-1] - seen[0] < 30  # the newest one counts: some may be left out
        alpha = camera.at(0.0).to_ndarray(format="rgba")[..., 3]
        assert alpha[:, :28].max() == 0 and alpha[:, 40:].min() == 255  # a sender's transparency is kept
        sender.kill()
        sender.wait()
        assert wait_until(lambda: number(camera) > 0 and "last picture stays" in camera.trouble)
        sender = send("stage cam", 200)
        assert wait_until(lambda: number(camera) >= 200 and not camera.trouble)
        camera.close()
    finally:
        sender.kill()
    assert len(messages) == 2 and "ndi:Stage Cam: no picture" in messages[0] and "is back" in messages[1]


@pytest.mark.own_process
def test_a_name_that_nobody_sends_is_told_in_one_line(loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndi_source, "SEARCH", 1.0)
    with pytest.raises(SourceError) as raised:
        open_source("ndi:nobody", 4.0)
    line = str(raised.value)
    assert "ndi:nobody" in line and "no NDI source has this name" in line and "\n" not in line and len(line) < 250


def test_names_of_ndi_sources() -> None:
    assert matches("stage", "LAPTOP (stage)") and matches("LAPTOP (Stage)", "laptop (stage)")
    assert not matches("stage", "LAPTOP (backstage)") and not matches("tage", "LAPTOP (stage)")
    assert is_live("ndi:stage") and why_refused("ndi:stage", "ndi:stage", Path()) == ""
    assert "open to the network" in why_refused("ndi:other", "ndi:stage", Path())
    with pytest.raises(SourceError, match="which one"):
        open_source("ndi:", 4.0)


def test_without_the_extra_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cyndilib.receiver", None)
    with pytest.raises(SourceError, match=r'pip install "tpos-live\[ndi\]"'):
        open_source("ndi:stage", 4.0)
