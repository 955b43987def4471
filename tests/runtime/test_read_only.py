"""Disks that become read-only during a show, as a damaged USB stick does: real mounts, which hold for root, too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from fakes.read_only import own_mounts, read_only

from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.atomic import write_text
from tpos_live.core.errors import NotReady
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.backends.cache import check_writable, mark_used, prune_cache, remove_partial, work_folder
from tpos_live.runtime.autosave import Autosave
from tpos_live.runtime.live_session import LiveSession

pytestmark = pytest.mark.own_process


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    """The folder that becomes read-only."""
    (tmp_path / "fixed").mkdir()
    return tmp_path / "fixed"


def test_it_is_read_only_for_this_process_and_only_meanwhile(fixed: Path) -> None:
    own_mounts()
    with read_only(fixed):
        with pytest.raises(OSError, match="Read-only"):
            write_text(fixed / "a.toml", "")
        assert not list(fixed.iterdir())
    write_text(fixed / "a.toml", "")


def test_a_cache_is_one_line_with_the_remedy_and_what_lies_there_is_used(fixed: Path) -> None:
    own_mounts()
    made = fixed / "openvino" / "key"
    made.mkdir(parents=True)
    (made / "side.json").write_text("{}")
    os.utime(made / "side.json", (0, 0))
    with read_only(fixed):
        with pytest.raises(NotReady, match=r"cannot be written \(Read-only.*TPOS_LIVE_CACHE") as caught:
            check_writable(fixed / "openvino", 0)
        assert "\n" not in str(caught.value)
        mark_used(made / "side.json")
        remove_partial(fixed / "openvino")
        assert prune_cache(fixed / "openvino", "side.json", {}) == []
        with pytest.raises(OSError, match="Read-only"), work_folder(fixed / "openvino" / "other"):
            pass
    assert (made / "side.json").exists()


@pytest.mark.slow
def test_a_show_whose_disk_becomes_read_only(
    turbo_folder: Path, fixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """Looks and state stay in memory, with a log line each, and recordings begin in the spare folder."""
    own_mounts()
    (tmp_path / "spare").mkdir()
    monkeypatch.setenv("TPOS_LIVE_STATE", str(fixed / "state"))
    monkeypatch.setenv("TPOS_LIVE_CACHE", str(fixed / "cache"))
    monkeypatch.delenv("DISPLAY", raising=False)
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 120, 2)), 48_000)
    settings = load_settings({
        "engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1,
        "sound.audio": str(tmp_path / "noise.wav"), "sound.mute": True, "window.headless": True, "osc.port": 0,
        "record.folder": str(fixed), "record.spare": str(tmp_path / "spare"), "record.resolution": "160x96",
        "show.file": str(fixed / "show.toml"),
    })  # fmt: skip
    with LiveSession(settings) as session, Autosave(fixed / "state", session.state):

        def run(done: Callable[[], bool]) -> None:
            end = time.monotonic() + 60
            session.run_until(lambda: done() or time.monotonic() > end)
            assert done(), messages

        run_until_first_frame(session)
        run(lambda: any((fixed / "state").glob("*.json")) if (fixed / "state").exists() else False)
        with read_only(fixed):
            session.store.update({"look.store": "tonight", "out.record": True, "finish.bloom": 1.5})
            run(lambda: session.status_registry.status().record_seconds > 1.0)
            run(lambda: any("show.toml: cannot be written" in line for line in messages))
            run(lambda: sum("Read-only" in line for line in messages) >= 3)
            assert session.renderer is not None and not session.renderer.error
            session.store.set("out.record", False)
            run(lambda: any(line.startswith("recorded ") for line in messages))
            assert not [path for path in fixed.rglob("*") if path.suffix in (".mp4", ".toml")]
        session.store.set("look.store", "after it")
        run(lambda: (fixed / "show.toml").exists() and "tonight" in (fixed / "show.toml").read_text())
    (recorded,) = (tmp_path / "spare").iterdir()
    with av.open(str(recorded)) as file:
        assert (file.duration or 0) > 500_000 and sum(1 for _ in file.decode(video=0)) > 3
    assert not any("\n" in line for line in messages)
