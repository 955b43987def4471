"""Atomic writes of files and folders."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tpos_live.core.atomic import atomic_folder, atomic_write, check_writable, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    with atomic_write(path) as part:
        part.write_text("half")
        assert not path.exists() and part.suffix == ".json" and part.parent == path.parent
        part.write_text("whole")
    assert path.read_text() == "whole" and names(path.parent) == ["a.json"]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old ä")
    with pytest.raises(ValueError, match="broke"), atomic_write(tmp_path / "a.txt") as part:
        part.write_text("half")
        raise ValueError("broke")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old ä" and names(tmp_path) == ["a.txt"]


def test_a_link_and_the_rights_of_a_file_stay_and_a_protected_one_is_refused(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "a.txt", tmp_path / "a.txt"
    write_text(real, "old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o640
    real.chmod(0o440)
    with pytest.raises(PermissionError, match="write-protected"):
        write_text(link, "newer")
    assert real.read_text() == "new" and names(real.parent) == ["a.txt"]


def test_a_folder_that_takes_no_file_is_told_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert names(tmp_path) == []
    write_text(tmp_path / "a.txt", "")
    with pytest.raises(OSError, match=r"a\.txt"):
        check_writable(tmp_path / "a.txt" / "folder")


def synced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Record each fsync from now on: its inode, and the names in `folder` at that time."""
    found: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda number: found.append((os.fstat(number).st_ino, names(folder))))
    return found


def test_the_content_is_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the file can be empty after a power failure."""
    found = synced(tmp_path, monkeypatch)
    write_text(tmp_path / "a.json", "whole")
    assert found[0][0] == (tmp_path / "a.json").stat().st_ino and found[0][1][0].endswith(".part.json")
    if os.name == "posix":
        assert found[1:] == [(tmp_path.stat().st_ino, ["a.json"])]
    found.clear()
    with atomic_write(tmp_path / "a.json", durable=False) as part:
        part.write_text("of little worth")
    assert found == []


def test_every_file_of_a_folder_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = synced(tmp_path, monkeypatch)
    with atomic_folder(tmp_path / "made") as work:
        (work / "in").mkdir()
        for name in ("a", "in/b"):
            (work / name).write_text(name)
    early = {number for number, there in found if "made" not in there}
    assert {(tmp_path / "made" / name).stat().st_ino for name in ("a", "in/b")} <= early


def test_a_disk_that_refuses_keeps_the_old_file_and_one_that_cannot_wait_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise OSError(code, os.strerror(code))

    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, "fsync", fail)
    code = errno.EIO
    with pytest.raises(OSError, match=os.strerror(code)):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]
    code = errno.EINVAL
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with atomic_folder(tmp_path / "made") as work:
            (work / word).write_text(word)
        assert names(tmp_path) == ["made"] and names(tmp_path / "made") == [word]
    with pytest.raises(ValueError, match="broke"), atomic_folder(tmp_path / "made") as work:
        (work / "three").write_text("half")
        raise ValueError("broke")
    assert names(tmp_path) == ["made"] and names(tmp_path / "made") == ["two"]
