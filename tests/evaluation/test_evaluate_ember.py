"""The whole of `evaluate ember` on a small engine: every figure is there, and lands where it belongs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tpos_live.conditioning.drive import Drive
from tpos_live.evaluation.artist import Artist
from tpos_live.evaluation.commands import evaluate
from tpos_live.evaluation.ember import FULL, QUICK, evaluate_ember, unjudged
from tpos_live.evaluation.judge import JudgeError
from tpos_live.parameters import ParameterStore
from tpos_live.render.engine import load_engine
from tpos_live.render.painter import Painter

FEW = replace(QUICK, pictures=3, many=2, levels=4, prompts=1, frames=9, pairs=2, timed=2, stock=1)


def test_the_artist_draws_what_a_show_draws(engine_folder: Path) -> None:
    engine = load_engine(engine_folder, "cpu")
    artist, painter = Artist(engine, "eager"), Painter(engine, None, "eager")
    states = engine.encode("a blue sea")
    tokens = torch.zeros(painter.token_rows, engine.token_dim)
    tokens[: len(states)] = states
    shown = painter.draw(Drive(walk=3.3, intensity=0.4), tokens, ParameterStore({"seed": 5}).snapshot()).pixels
    noise, scalars = artist.moment(5, 3.3, 0.4)
    assert np.array_equal(artist.draw(states, scalars, noise), shown)
    assert not np.array_equal(artist.draw(states, scalars, noise, steps=8), shown)


def test_every_figure_is_measured_printed_and_written(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    figures = evaluate_ember(folder, 1, FEW, accelerator="eager", as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == ["figure"] * len(figures) + ["about"]
    assert rows[-1]["seed"] == 1 and rows[-1]["judge"]["accuracy"] == 0.5
    assert all(row["bar"] is not None and isinstance(row["passed"], bool) for row in rows[:-1])
    assert all(np.isfinite(figure.value) for figure in figures) and len(figures) >= 13
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Tiny") and card.endswith("The end.\n")
    assert all(figure.name in card for figure in figures) and "--seed 1" in card


def test_the_same_seed_gives_the_same_figures(engine_folder: Path) -> None:
    def measured() -> list[float]:
        figures = evaluate_ember(engine_folder, 2, FEW, accelerator="eager", card=False)
        return [
            figure.value for figure in figures if "pictures a second" not in figure.name and "times" not in figure.name
        ]

    assert measured() == measured()


def test_more_families_do_not_take_longer() -> None:
    assert FULL.shared(12) == FULL and FULL.shared(40).pictures == 150
    assert FULL.shared(40).many * 40 <= 1.1 * FULL.many * 12


def test_an_engine_without_a_judge_and_a_bad_captions_file_are_one_line(engine_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    shutil.rmtree(folder / "judge")
    with pytest.raises(JudgeError, match="train judge"):
        evaluate_ember(folder, 1, FEW)


def test_families_that_the_judge_does_not_know_are_told(tmp_path: Path) -> None:
    assert unjudged(tmp_path, ["fire"]) == []
    (tmp_path / "families.toml").write_text('families = ["fire", "snow"]')
    assert unjudged(tmp_path, ["fire"]) == ["snow"]
    (tmp_path / "families.toml").write_text("no toml at all [")
    assert unjudged(tmp_path, ["fire"]) == []


def test_the_command_line_is_light_and_complete() -> None:
    result = CliRunner().invoke(evaluate, ["ember", "--help"])
    assert result.exit_code == 0 and all(
        word in result.output for word in ("--captions", "--json", "--quick", "--seed")
    )
