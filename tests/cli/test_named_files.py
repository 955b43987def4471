"""Files on the command line: an error in one is reported first, with its name, in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tpos_live.bench import rehearsal
from tpos_live.cli import main as cli
from tpos_live.runtime.pipeline import Pipeline

SHOW, STILL, RENDER = (), ("still", "-o", "image.png"), ("render", "sound.wav", "-o", "film.mp4")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with invalid files of every kind, without a display, and without a loadable engine."""
    import numpy as np
    import soundfile

    def loaded(_pipeline: Pipeline) -> Pipeline:
        raise AssertionError("the engine is loaded before the files are looked at")

    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli, "leave", sys.exit)
    monkeypatch.setattr(Pipeline, "__enter__", loaded)
    for suffix in ("wav", "mp4", "toml"):
        Path(f"empty.{suffix}").touch()
        Path(f"folder.{suffix}").mkdir()
    soundfile.write("sound.wav", np.zeros(4800, np.float32), 48000)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that fails."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code in (1, 2) and len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("name", ["missing.wav", "folder.wav", "empty.wav"])
@pytest.mark.parametrize("option", ["--audio", "--fallback"])
def test_a_show_names_a_missing_sound_file_before_it_starts(
    option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in said([option, name], capsys)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--show-file", "folder.toml"),
        ("--show-file", "sound.wav"),
        ("--engine", "nothere"),
        ("--engine", "missing.safetensors"),
        ("--record", "folder.mp4"),
        ("--record", "sound.wav"),
        ("--output", "nowhere/film.mp4"),
        ("--output", "folder.mp4"),
        ("--config", "folder.toml"),
    ],
)
def test_a_show_names_a_file_that_cannot_be_used_before_it_starts(
    option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = said([option, name], capsys)
    assert name in line and (option == "--record") == ("record" in line)


def test_an_engine_without_a_name_is_refused_before_anything_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    """A former fault: it was refused only after everything had been opened."""
    Path("config.toml").write_text('engine.name = ""')
    assert "there is no engine ''" in said([], capsys)


@pytest.mark.parametrize(("option", "name"), [("--audio", "missing.wav"), ("--output", "nowhere/film.mp4")])
def test_a_rehearsal_checks_files_before_it_starts_a_show(
    option: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rehearsal, "observe", pytest.fail)
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "--show", "--headless", option, name])
    assert ended.value.code == 1 and name in capsys.readouterr().out


def test_without_a_display_a_show_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no display here" in said([], capsys)


@pytest.mark.parametrize("command", [STILL, RENDER])
@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--source", "missing.mp4"),
        ("--source", "folder.mp4"),
        ("--source", "empty.mp4"),
        ("--engine", "nothere"),
        ("--engine", "missing.safetensors"),
    ],
)
def test_image_commands_name_a_missing_file(
    command: tuple[str, ...], option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in said([*command, option, name], capsys)


@pytest.mark.parametrize("name", ["missing.wav", "folder.wav", "empty.wav"])
def test_render_and_still_name_a_missing_sound_file(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in said(["render", name, "-o", "film.mp4"], capsys)
    assert name in said(["still", "-o", "image.png", "--audio", name], capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "ember", "--captions", "missing.tsv"],
        ["evaluate", "encoder", "--data", "missing"],
        ["evaluate", "picture", "--data", "missing"],
        ["evaluate", "show", "missing"],
        ["bench", "--append", "sound.wav/missing"],
        ["bench", "engine", "--append", "sound.wav/missing"],
        ["bench", "engine", "--engine", "missing"],
    ],
)
def test_measurements_name_a_missing_file(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing" in said(arguments, capsys) or "sound.wav" in said(arguments, capsys)
