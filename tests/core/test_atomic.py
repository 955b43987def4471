"""Files and folders that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpos_live.core.atomic import atomic_folder, atomic_write, write_text


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


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with atomic_folder(tmp_path / "made") as work:
            (work / word).write_text(word)
        assert names(tmp_path) == ["made"] and names(tmp_path / "made") == [word]
    with pytest.raises(ValueError, match="broke"), atomic_folder(tmp_path / "made") as work:
        (work / "three").write_text("half")
        raise ValueError("broke")
    assert names(tmp_path) == ["made"] and names(tmp_path / "made") == ["two"]
