"""A sender of OSC on the network cannot make a show read arbitrary files or addresses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes.clips import write_clip
from fakes.waiting import wait_until

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.image_source.live_source import LiveSource
from tpos_live.image_source.open import why_refused
from tpos_live.runtime.pipeline import Pipeline

FIRST = "rtsp://10.0.0.7/stage"


@pytest.mark.parametrize(
    "name", ["", "none", "camera", "camera:1", "camera:OBS", FIRST, "clip.mp4", "loops/a.png", "."]
)
def test_cameras_and_the_folder_are_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert why_refused(name, FIRST, tmp_path) == ""


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x.mp4", "~/x.png", "loops/../../x", "rtsp://10.0.0.8/a", "udp://127.0.0.1:1", "lavfi:movie=/a",
     "\0", "~nobody/x", "link/x.png"],
)  # fmt: skip
def test_all_else_is_refused_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/usr/share")
    line = why_refused(name, FIRST, tmp_path)
    assert line.startswith("source ") and "\n" not in line


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, False),
        ({"osc.host": "0.0.0.0"}, True),
        ({"web.host": "0.0.0.0"}, True),
        ({"osc.host": "0.0.0.0", "osc.port": 0}, False),
    ],
)
def test_only_open_controls_refuse(options: dict[str, object], refused: bool, tmp_path: Path) -> None:
    pipeline = Pipeline(load_settings(options, here=Path("/nowhere")), live=True)
    assert bool(pipeline._refused_source("/etc/hosts.png")) is refused


def test_a_refused_source_is_not_opened_and_told_once(tmp_path: Path, messages: list[str]) -> None:
    import time

    path = write_clip(tmp_path / "clip.mp4", 10)
    with LiveSource(lambda name: "source: refused") as source:
        snapshot = ParameterStore({"source": str(path)}).snapshot()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert source.image(FrameParams(), snapshot, (64, 64)) is None
            time.sleep(0.01)
        assert source.line == "source: refused" and messages == ["source: refused"]


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be removed")
def test_a_show_whose_folder_is_removed_still_takes_other_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    (tmp_path / "stick").mkdir()
    path = write_clip(tmp_path / "clip.mp4", 10)
    monkeypatch.chdir(tmp_path / "stick")
    (tmp_path / "stick").rmdir()
    settings = load_settings({"osc.host": "0.0.0.0", "parameters": {"source": str(path)}}, here=Path("/nowhere"))
    pipeline = Pipeline(settings, live=True)
    with LiveSource(pipeline._refused_source) as source:

        def shown(name: str) -> bool:
            return source.image(FrameParams(), ParameterStore({"source": name}).snapshot(), (64, 64)) is not None

        assert wait_until(lambda: shown("other.mp4") or bool(source.line)) and len(messages) == 1
        monkeypatch.chdir(tmp_path)
        assert wait_until(lambda: shown(str(path)))
