"""Changed names of commands and options: the old name works, and prints the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tpos_live.cli.train import train


@pytest.mark.parametrize(("old", "new"), [("judge", "classifier"), ("ears", "backbone")])
def test_only_the_new_name_of_a_command_is_listed(old: str, new: str) -> None:
    listed = CliRunner().invoke(train, ["--help"]).output
    assert f"\n  {new} " in listed and f"\n  {old} " not in listed
    before, after = (CliRunner().invoke(train, [name, "--help"]).output for name in (old, new))
    assert "--minutes" in before and f"`train {new}`" in before and "eprecated" not in after


def test_the_old_command_runs_the_same_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("tpos_live.evaluation.classifier.command.run", lambda *given: asked.append(given))
    for name in ("judge", "classifier"):
        result = CliRunner().invoke(train, [name, "--minutes", "1", "-o", str(tmp_path), "--families", "fire"])
        assert result.exit_code == 0, result.output
        assert ("`train classifier`" in result.output) == (name == "judge")
    assert asked[0] == asked[1] == (1.0, "fire", tmp_path, False, 0, None, None)


def test_the_old_option_of_the_backbone_is_the_new_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "tpos_live.training.audio_model.train.train_encoder",
        lambda *_given, **options: asked.append(options["backbone"]),
    )
    for option in ("--ears", "--backbone"):
        result = CliRunner().invoke(train, ["encoder", "--data", str(tmp_path), option, "a.safetensors"])
        assert result.exit_code == 0, result.output
    assert asked == [Path("a.safetensors")] * 2
