"""A show that the watchdog starts again: files of the first start may be missing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tpos_live.audio.source import AudioError, SourceState
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.named_files import check_show
from tpos_live.runtime.run_session import settings_of
from tpos_live.runtime.watchdog import Run

AGAIN = Run(deaths=1, safe=False, memory=None)


def of_a_stick(folder: Path) -> Settings:
    """The settings of a show whose files are all in one folder."""
    names = {"sound.audio": "song.wav", "engine.name": "engine", "show.file": "set.toml", "record.file": "a.mp4"}
    values = {name: str(folder / file) for name, file in names.items()}
    values |= {"output.to": [str(folder / "b.mp4")], "record.folder": str(folder)}
    return load_settings({**values, "window.headless": True, "web.off": True, "osc.port": 0}, here=Path("/nowhere"))


def test_it_goes_on_without_a_disk_that_was_taken_away(tmp_path: Path, messages: list[str]) -> None:
    settings = of_a_stick(tmp_path / "stick")
    with pytest.raises(AudioError):
        check_show(settings, demo=False)
    again = settings_of(settings, AGAIN)
    assert again.sound.audio == "" and again.engine.name == "auto" and again.show.resume
    assert again.record == settings.record, "a recording finds another folder"
    assert [line.rpartition("; ")[2] for line in messages] == ["the show goes on without it"] * 2
    session = LiveSession(again, run=AGAIN)
    with session.sound as sound:
        assert sound.status(time.perf_counter()).state is not SourceState.ENDED, "with an input or without one"


def test_a_disk_that_answers_with_an_error_is_one_that_is_gone(messages: list[str]) -> None:
    again = settings_of(of_a_stick(Path("x" * 300)), AGAIN)  # the system says that this is too long
    assert (again.sound.audio, again.engine.name, again.show.file) == ("", "auto", "")
    assert len(messages) == 3


def test_it_goes_on_with_the_shipped_looks_where_its_own_cannot_be_read(tmp_path: Path, messages: list[str]) -> None:
    file = tmp_path / "set.toml"
    file.write_text("[looks")
    settings = load_settings({"show.file": str(file), "window.headless": True}, here=Path("/nowhere"))
    again = settings_of(settings, AGAIN)
    assert again.show.file == "" and "set.toml" in messages[0]
    assert LiveSession(again).looks.show.looks and file.read_text() == "[looks"


def test_what_is_there_is_used_again(tmp_path: Path) -> None:
    settings = load_settings({"show.file": str(tmp_path / "new.toml"), "engine.name": str(tmp_path)}, here=tmp_path)
    again = settings_of(settings, AGAIN)
    assert again.show.file == settings.show.file and again.engine == settings.engine
