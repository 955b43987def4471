"""The whole of `evaluate ember` on a small engine: every figure is there, and lands where it belongs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fakes.forked import can_fork, context

from tpos_live.cli.evaluate import evaluate
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.evaluation import reference_stats
from tpos_live.evaluation.classifier.model import FILE, ClassifierError, load_classifier
from tpos_live.evaluation.harness import pool
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.harness.sampler import SamplerHarness
from tpos_live.evaluation.image_model import QUICK, SECTIONS, Counts, Evaluation, evaluate_ember
from tpos_live.evaluation.metrics.report import Figure
from tpos_live.evaluation.reference_stats import PART, ReferenceStats, single

FEW = replace(QUICK, images=4, many=2, slow=2, levels=4, prompts=1, frames=9, pairs=2, timed=2, show=0)


def measured(folder: Path, seed: int, sections: list[str] | None = None, **options: Any) -> list[Figure]:
    """Figures of all parts but that which needs a show of its own, or of `sections`."""
    resume, card = options.pop("resume", False), options.pop("card", False)
    counts: Counts = options.pop("counts", FEW)
    parts = sections or [name for name in SECTIONS if name not in ("memory", "second-opinion")]
    with Evaluation(folder, seed, counts, accelerator="eager", **options) as evaluation:
        return evaluate_ember(evaluation, parts, resume=resume, as_json=True, card=card)


def test_readings_of_renders_are_made_again_after_a_change_of_a_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = tmp_path / FILE
    classifier.parent.mkdir()
    classifier.write_bytes(b"weights")

    def key() -> str:
        return ReferenceStats(None, tmp_path, 0)._key

    before = key()
    scenes = Path(shutil.copytree(Path(reference_stats.scenes.__file__).parent, tmp_path / "scenes"))
    monkeypatch.setattr(reference_stats.scenes, "__file__", str(scenes / "__init__.py"))
    assert key() == before
    with (scenes / "land.py").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert key() != before


def test_the_harness_generates_what_a_session_does(engine_folder: Path) -> None:
    engine = load_engine(engine_folder, "cpu")
    harness, generator = SamplerHarness(engine, "eager"), FrameGenerator(engine, None, "eager")
    states = engine.texts.encode("a blue sea")
    tokens = torch.zeros(generator.prompt_length, engine.token_dim)
    tokens[: len(states)] = states
    shown = generator.generate(
        FrameRequest(
            FrameParams(noise_position=3.3, intensity=0.4), Conditioning(tokens), ParameterStore({"seed": 5}).snapshot()
        )
    ).pixels
    noise, scalars = harness.moment(5, 3.3, 0.4)
    assert np.array_equal(harness.draw(states, scalars, noise), shown)
    assert not np.array_equal(harness.draw(states, scalars, noise, steps=8), shown)


def test_every_figure_is_measured_printed_and_written(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    figures = measured(folder, 1, card=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == ["figure"] * len(figures) + ["about"]
    assert rows[-1]["seed"] == 1 and rows[-1]["classifier"]["accuracy"] == 0.5
    assert all(row["bar"] is not None and isinstance(row["passed"], bool) for row in rows[:-1])
    assert all(np.isfinite(figure.value) and figure.n for figure in figures) and len(figures) >= 13
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# Tiny") and card.endswith("The end.\n")
    assert all(figure.name in card for figure in figures) and "--seed 1" in card
    assert "Not measured on these weights: memory, second-opinion" in card


PARTS = ["prompts", "distance", "smoothness", "intensity", "blends"]


@pytest.fixture(scope="module")
def alone(engine_folder: Path) -> list[Figure]:
    """PARTS, measured by one process with seed 2."""
    return measured(engine_folder, 2, PARTS)


def test_the_same_seed_gives_the_same_figures(engine_folder: Path, alone: list[Figure]) -> None:
    assert measured(engine_folder, 2, PARTS) == alone


def test_parts_measured_one_by_one_come_together(engine_folder: Path, tmp_path: Path) -> None:
    whole = measured(engine_folder, 3, ["prompts", "blends"], keep=tmp_path / "a")
    measured(engine_folder, 3, ["blends"], keep=tmp_path / "b")
    assert measured(engine_folder, 3, ["prompts"], keep=tmp_path / "b") == whole
    assert measured(engine_folder, 4, ["blends"], keep=tmp_path / "b") != whole[2:], "another seed begins anew"
    (tmp_path / "a" / f"{engine_folder.name}.json").write_text("{")
    assert measured(engine_folder, 3, ["prompts", "blends"], keep=tmp_path / "a") == whole


def test_what_is_there_is_not_measured_again(
    engine_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(engine_folder, 3, ["prompts", "blends"], keep=tmp_path)
    taken: list[str] = []
    take = Evaluation.take
    monkeypatch.setattr(Evaluation, "take", lambda self, name: (taken.append(name), take(self, name))[1])
    assert measured(engine_folder, 3, ["prompts", "blends"], keep=tmp_path, resume=True) == first and not taken
    measured(engine_folder, 3, ["blends"], keep=tmp_path, resume=True, counts=replace(FEW, pairs=3))
    assert taken == ["blends"], "other counts are another measurement"


def test_renders_are_kept_and_only_more_of_them_are_made(engine_folder: Path, tmp_path: Path) -> None:
    classifier, _ = load_classifier(engine_folder)
    pool = WorkerPool(
        EvaluationContext(SamplerHarness(load_engine(engine_folder, "cpu"), "eager"), classifier, 5),
        engine_folder,
        "eager",
        0,
    )
    made: list[int] = []
    run = pool.map
    pool.map = lambda name, job, items: (made.append(len(items)), run(name, job, items))[1]  # type: ignore[method-assign]
    path, families = tmp_path / "renders.npz", ["fire", "ocean"]
    few = ReferenceStats(path, engine_folder, 5).features(pool, families, 3)
    kept = ReferenceStats(path, engine_folder, 5)
    assert np.array_equal(kept.features(pool, families, 3)["fire"], few["fire"]) and made == [1, 1]
    more = kept.features(pool, families, PART + 2)
    assert np.allclose(more["ocean"][:3], few["ocean"], atol=1e-4) and more["ocean"].shape == (PART + 2, 64)
    ReferenceStats(path, engine_folder, 6).features(pool, families, 3)
    assert len(made) == 6, "those of another seed are not these"
    assert single(5, "fire", 0, 2) == single(5, "fire", 0, 9)[:2]
    assert item_rng(1, "a")[0].random() != item_rng(1, "b")[0].random()


@pytest.mark.slow
def test_processes_change_nothing_but_the_time(
    engine_folder: Path, alone: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    if can_fork():
        forking = context()  # from a process that has the libraries
        monkeypatch.setattr(pool.multiprocessing, "get_context", lambda _kind=None: forking)
    together = measured(engine_folder, 2, ["prompts", "distance", "smoothness"], workers=2)
    same = [figure for figure in alone if figure.name in {each.name for each in together}]
    assert len(same) > len(alone) // 2
    for a, b in zip(same, together, strict=True):
        assert (a.name, a.n) == (b.name, b.n) and a.value == pytest.approx(b.value, rel=1e-3)


def test_a_classifier_of_more_families_than_the_engine_knows_judges_those(engine_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    (folder / "families.toml").write_text('families = ["fire", "galaxy"]')
    figures = measured(folder, 1, ["prompts", "distance"])
    assert all("ocean" not in figure.note for figure in figures)
    (distance,) = [figure for figure in figures if figure.name.startswith("distance to fresh")]
    assert distance.n == 2 * FEW.images


def test_an_engine_without_a_classifier_is_one_line(engine_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    shutil.rmtree(folder / "classifier")
    with pytest.raises(ClassifierError, match="train classifier"):
        Evaluation(folder, 1, FEW)


def test_families_that_the_classifier_does_not_know_are_told(
    engine_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(engine_folder, tmp_path / "engine"))
    (folder / "families.toml").write_text('families = ["fire", "snow"]')
    assert Evaluation(folder, 1, FEW).families == ["fire"] and "snow" in capsys.readouterr().err
    (folder / "families.toml").write_text("no toml at all [")
    assert len(Evaluation(folder, 1, FEW).families) == 3


@pytest.mark.parametrize("options", [["--only", "bears"], ["--only", "second-opinion"]])
def test_a_part_that_cannot_be_measured_is_one_line(options: list[str]) -> None:
    result = CliRunner().invoke(evaluate, ["ember", *options])
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_the_command_line_is_light_and_complete() -> None:
    result = CliRunner().invoke(evaluate, ["ember", "--help"])
    assert result.exit_code == 0 and all(
        word in result.output for word in ("--captions", "--json", "--quick", "--seed")
    )
