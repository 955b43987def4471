"""The cache of converted engines: what nothing uses goes, what a show may be running on never does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tpos_live.core.errors import NotReady
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends import cache as tidying
from tpos_live.diffusion.backends.cache import (
    KEEP,
    RECENT,
    STALE,
    CompileCache,
    check_writable,
    mark_used,
    prune_cache,
    remove_partial,
    work_folder,
)

NOW = 2_000_000_000.0
OLD = RECENT + 1


def folder(cache: Path, name: str, age: float, **facts: object) -> Path:
    place = cache / name
    place.mkdir(parents=True)
    (place / "unet.bin").write_bytes(b"weights")
    (place / "side.json").write_text(json.dumps(facts) if facts else "{damaged")
    os.utime(place / "side.json", (NOW - age, NOW - age))
    return place


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The engines that were used last, which stay anyway."""
    for n in range(KEEP):
        folder(tmp_path / "cache", f"new-{n}", n)
    return tmp_path / "cache"


def names(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if not path.name.startswith("new-")}


def test_what_no_engine_uses_goes(cache: Path, tmp_path: Path) -> None:
    mine = str(tmp_path)
    folder(cache, "gone", OLD, engine=str(tmp_path / "gone"), weights="a")
    folder(cache, "trained-anew", OLD, engine=mine, weights="a")
    folder(cache, "says-nothing", OLD)
    folder(cache, "used", OLD, engine=mine, weights="b")
    folder(cache, "of-another", OLD, engine=str(cache), weights="c")
    removed = prune_cache(cache, "side.json", {mine: "b"}, NOW)
    assert {path.name for path in removed} == {"gone", "trained-anew", "says-nothing"}
    assert names(cache) == {"used", "of-another"} and len(list(cache.iterdir())) == KEEP + 2


def test_what_was_used_lately_stays(cache: Path, tmp_path: Path) -> None:
    place = folder(cache, "gone", OLD, engine=str(tmp_path / "gone"), weights="a")
    running = folder(cache, "running", RECENT - 60, engine=str(tmp_path / "gone"), weights="a")
    assert prune_cache(cache, "side.json", {}, NOW) == [place] and running.is_dir()
    os.utime(running / "side.json", (0, 0))
    mark_used(running / "side.json")
    assert (running / "side.json").stat().st_mtime > 1e9, "now, on the clock of the files"
    mark_used(cache / "nothing" / "side.json")  # says nothing


def test_the_newest_few_stay_whatever_they_are(tmp_path: Path) -> None:
    for n in range(KEEP + 2):
        folder(tmp_path, f"place-{n}", OLD + n, engine=str(tmp_path / "gone"), weights="a")
    prune_cache(tmp_path, "side.json", {}, NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"place-{n}" for n in range(KEEP)]


def test_what_is_open_stays_whole(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a folder of open files cannot be renamed."""
    place = folder(cache, "gone", OLD, engine=str(tmp_path / "gone"), weights="a")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError("in use")

    monkeypatch.setattr(tidying.Path, "rename", refuse)
    assert prune_cache(cache, "side.json", {}, NOW) == [] and (place / "unet.bin").exists()


def test_a_damaged_folder_that_is_open_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: it does not count as whole, and the new one takes its place once it can be renamed."""
    made = CompileCache("openvino", "side.json", "none", limit=1.0)
    place = folder(tmp_path, "key", 0.0, engine="e", weights="w")
    with monkeypatch.context() as patch:
        patch.setattr(tidying.Path, "rename", lambda self, target: (_ for _ in ()).throw(PermissionError("in use")))
        made.discard(place)
        assert place.exists() and not made.is_whole(place)
    with made.making(place) as work:
        made.write(work, {"new": True})
    assert made.is_whole(place) and not (place / "unet.bin").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_without_a_cache_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert prune_cache(tmp_path / "none", "side.json", {}) == []


def test_what_was_left_half_made_is_gone_on_with(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    target = tmp_path / "key"
    for n, pid in enumerate([ended.pid, os.getppid()]):
        (tmp_path / f".making-key-{pid}").mkdir()
        (tmp_path / f".making-key-{pid}" / f"network-{n}").write_text("whole")
    os.utime(tmp_path / f".making-key-{ended.pid}", (0, 0))
    with work_folder(target) as work:
        assert [path.name for path in work.iterdir()] == ["network-0"] and work.stat().st_mtime > 1e9
        assert (tmp_path / f".making-key-{os.getppid()}").is_dir(), "of a process that lives"
        work.rename(target)
    assert target.is_dir() and not work.exists()
    with pytest.raises(ValueError, match="the disk"), work_folder(target) as work:
        raise ValueError("the disk")
    assert not work.exists(), "what failed is begun anew"


def test_what_is_half_made_goes_after_a_day(tmp_path: Path) -> None:
    for name in (".making-abcdef", ".making-key-12", ".gone-key", "key"):
        for age in ("old", "new"):
            (tmp_path / f"{name}{age}").mkdir()
            when = NOW - STALE - 60 if age == "old" else NOW - 60
            os.utime(tmp_path / f"{name}{age}", (when, when))
    remove_partial(tmp_path, NOW)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".making-abcdefnew", ".making-key-12new", ".gone-keynew", "keynew", "keyold"}
    remove_partial(tmp_path / "nothing")
    remove_partial(Path("/dev/null/nothing"))


def test_a_cache_that_cannot_be_written_is_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match=r"file/openvino cannot be written.*TPOS_LIVE_CACHE"):
        check_writable(tmp_path / "file" / "openvino", 0)
    with pytest.raises(NotReady, match=r"MB are needed, \d+ MB are free.*TPOS_LIVE_CACHE") as caught:
        check_writable(tmp_path / "cache", 1 << 60)
    assert "\n" not in str(caught.value)
    check_writable(tmp_path / "cache", 1)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setenv("TPOS_LIVE_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine" and not cache_dir().exists()
