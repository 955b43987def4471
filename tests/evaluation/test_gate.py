"""The gate: families that an engine draws badly are not offered, and neither prompts nor sounds lead to them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tpos_live.cli.evaluate import evaluate
from tpos_live.conditioning.vocabulary import load_vocabulary
from tpos_live.conditioning.vocabulary_file import VOCABULARY_FILE, offered_scenes
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.evaluation.classifier.command import chosen
from tpos_live.evaluation.classifier.model import FILE, SceneClassifier, load_classifier, save_classifier
from tpos_live.evaluation.gate import APART, NAMED, Verdict, check_families
from tpos_live.evaluation.harness.context import EvaluationContext, engine_families
from tpos_live.evaluation.harness.pool import WorkerPool
from tpos_live.evaluation.harness.sampler import SamplerHarness
from tpos_live.evaluation.reference_stats import ReferenceStats
from tpos_live.training.text.captions import PHRASES
from tpos_live.training.text.families_file import write_families


@pytest.mark.parametrize(
    ("named", "apart", "passed"), [(NAMED, APART, True), (NAMED - 0.01, 0.0, False), (1.0, APART + 0.01, False)]
)
def test_a_family_passes_the_gate_by_name_and_by_difference(named: float, apart: float, passed: bool) -> None:
    verdict = Verdict("fire", named, apart, "lava")
    assert verdict.passed is passed and ("passes" in str(verdict)) is passed
    assert ("lava" in str(verdict)) is (named < NAMED)


def test_renders_pass_their_own_gate_and_noise_does_not(engine_folder: Path) -> None:
    """With the shipped classifier: what the engine draws is noise, so that no family of it passes."""
    classifier, _ = load_classifier(Path(__file__).parents[2] / "engines" / "ember")
    context = EvaluationContext(SamplerHarness(load_engine(engine_folder, "cpu"), "eager"), classifier, 0)
    with WorkerPool(context, engine_folder, "eager", 0) as pool:
        verdicts = check_families(pool, ReferenceStats(None, engine_folder, 0), ["fire", "ocean"], 12)
        assert [verdict.family for verdict in verdicts] == ["fire", "ocean"]
        assert not any(verdict.passed for verdict in verdicts)
        assert all(0 <= verdict.named <= 1 and np.isfinite(verdict.apart) for verdict in verdicts)
        with pytest.raises(ValueError, match="at least two"):
            check_families(pool, ReferenceStats(None, engine_folder, 0), ["fire"], 12)


def test_what_is_not_offered_is_not_in_the_vocabulary(engine_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    shutil.copytree(engine_folder, folder)
    assert engine_families(folder) == ([], []) and offered_scenes(folder) is None
    write_families(folder, ["fire", "ocean"], ["fire", "ocean", "galaxy"])
    assert engine_families(folder) == (["fire", "ocean"], ["fire", "ocean", "galaxy"])
    assert offered_scenes(folder) == {*PHRASES["fire"], *PHRASES["ocean"]}
    engine = load_engine(folder, "cpu")
    vocabulary = load_vocabulary(folder, engine.texts.sentences)
    assert vocabulary is not None and set(vocabulary.match("galaxy").families) <= {"fire", "ocean"}
    with pytest.raises(ValueError, match="must offer a family"):
        write_families(folder, [], ["fire"])
    assert engine_families(folder).offered == ["fire", "ocean"]
    # The classifier learns all that the engine was trained on: the gate needs it to know them.
    assert chosen("", folder) == ["fire", "ocean", "galaxy"]


def test_the_gate_command_prints_and_writes_what_is_offered(
    engine_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "engine"
    shutil.copytree(engine_folder, folder)
    torch.manual_seed(1)
    save_classifier(SceneClassifier(("fire", "ocean", "galaxy")).eval(), folder / FILE, {"seed": 0})
    monkeypatch.chdir(tmp_path)
    # As on one core: `test_image_model` has the processes of more, which take longer to begin than to draw here.
    monkeypatch.setattr("tpos_live.core.cores.usable_cores", lambda: [0])
    run = ["gate", "--engine", str(folder), "--frames", "10", "--accelerator", "eager"]
    found = CliRunner().invoke(evaluate, run)
    assert "of 3 families pass" in found.output and "fire" in found.output
    assert not (folder / VOCABULARY_FILE).exists()
    monkeypatch.setattr("tpos_live.evaluation.gate.NAMED", -1.0)
    monkeypatch.setattr("tpos_live.evaluation.gate.APART", 1e9)
    found = CliRunner().invoke(evaluate, [*run, "--write", "--without", "galaxy"])
    assert found.exit_code == 0 and "galaxy" in found.output and "not offered" in found.output
    assert set(json.loads((folder / VOCABULARY_FILE).read_text())["family"]) == {"fire", "ocean"}
    wrong = CliRunner().invoke(evaluate, [*run, "--without", "horse"])
    assert wrong.exit_code == 2 and "not trained on horse" in wrong.output
