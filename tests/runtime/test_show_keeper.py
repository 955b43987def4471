"""The show file of a session."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tpos_live.conditioning.prompt_match import NEAR
from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.core.looks import Look, Show
from tpos_live.core.paths import shipped
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.show_file import read_show, write_show
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.runtime import show_keeper
from tpos_live.runtime.show_keeper import ShowKeeper

ONE = Show((Look("one", {"prompt": "sea"}),))
TWO = ONE.with_look(Look("two", {"prompt": "sky"}))


def test_the_newest_show_is_in_the_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "show.toml"
    with ShowKeeper(str(path)) as keeper:
        assert keeper.show == Show()
        for n in range(50):
            keeper.save(TWO if n % 2 else ONE)
    assert read_show(path) == TWO and ShowKeeper(str(path)).show == TWO


def test_sixteen_looks_are_shipped_and_ember_draws_each_as_it_is_called() -> None:
    show = ShowKeeper("").show
    assert len(show.looks) == 16 and not show.cues
    engine = load_engine(shipped("engines") / "ember", lazy=True)
    vocabulary = load_vocabulary(engine.folder, engine.texts.sentences)
    assert vocabulary is not None
    found = [vocabulary.match(str(look.values["prompt"])) for look in show.looks]
    assert all(match.near >= NEAR and not match.instead and not match.missed for match in found)
    assert len({match.families for match in found}) >= 8


def test_without_a_file_it_says_once_that_looks_end_with_the_show(messages: list[str]) -> None:
    with ShowKeeper("") as keeper:
        keeper.save(ONE)
        keeper.save(TWO)
    assert len(messages) == 1 and "--show-file" in messages[0]


def test_a_disk_that_refuses_is_a_line_and_the_show_goes_on(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "folder").write_text("a file, where a folder should be")
    with ShowKeeper(str(tmp_path / "folder" / "show.toml")) as keeper:
        keeper.save(ONE)
    assert len(messages) == 1 and "cannot be written" in messages[0]


def test_a_show_that_cannot_be_written_stops_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """Whatever the error: the show needs the writing thread until its end."""
    path, failed = tmp_path / "show.toml", threading.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise MemoryError

    with ShowKeeper(str(path)) as keeper:
        with monkeypatch.context() as patch:
            patch.setattr(show_keeper, "write_show", fail)
            keeper.save(ONE)
            assert failed.wait(20)
        keeper.save(TWO)
    assert read_show(path) == TWO and len(messages) == 1 and "MemoryError" in messages[0]


@pytest.mark.parametrize("name", ["show.txt", "show", ".toml"])
def test_another_kind_of_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"ends in \.toml|name it NAME\.toml"):
        ShowKeeper(str(tmp_path / name))


def test_a_damaged_file_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    path.write_text("[[look")
    with pytest.raises(SettingsError, match="not valid TOML"):
        ShowKeeper(str(path))
    assert path.read_text() == "[[look"
    write_show(path, ONE)
    assert ShowKeeper(str(path)).show == ONE


def test_what_another_program_has_written_is_kept_beside_it(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "show.toml"
    write_show(path, ONE)
    keeper = ShowKeeper(str(path))
    write_show(path, Show((Look("theirs", {}),)))
    for look in ("mine", "another"):
        with keeper if look == "mine" else ShowKeeper(str(path)) as writer:
            writer.save(TWO.with_look(Look(look, {})))
    assert [look.name for look in read_show(tmp_path / "show-2.toml").looks] == ["theirs"]
    assert [look.name for look in read_show(path).looks] == ["one", "two", "another"]
    assert sum("kept in show-2.toml" in line for line in messages) == 1


def test_a_show_that_could_not_be_read_again_is_not_written(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "show.toml"
    write_show(path, ONE)
    with ShowKeeper(str(path)) as keeper:
        keeper.save(Show(tuple(Look(f"{n}", {"prompt": "x" * 60_000}) for n in range(150))))
    assert read_show(path) == ONE
    assert "larger than 8 MiB; delete" in messages[-1]
