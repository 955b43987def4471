"""A small engine with a classifier that knows nothing, for everything around them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.evaluation.classifier.model import FILE, SceneClassifier, save_classifier
from tpos_live.evaluation.metrics.report import BEGIN, END

EMBER = Path(__file__).parents[2] / "engines" / "ember"
FAMILIES = ("fire", "ocean", "galaxy")


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny engine of three scalars as Ember has them, a model card, and a classifier of random weights."""
    scalars = [
        {"name": "intensity", "source": "intensity"},
        {"name": "hue", "source": "seed", "rate": 0.02, "cyclic": True},
        {"name": "phase", "source": "clock", "rate": 0.4, "cyclic": True},
    ]
    folder = make_tiny_engine(tmp_path_factory.mktemp("engine"), metadata={"scalars": scalars})
    torch.manual_seed(0)
    save_classifier(SceneClassifier(FAMILIES).eval(), folder / FILE, {"seed": 0, "accuracy": 0.5, "held_out": 9})
    (folder / "README.md").write_text(f"# Tiny\n\n{BEGIN}\n{END}\n\nThe end.\n")
    return folder


@pytest.fixture(scope="session")
def ember_families() -> list[str]:
    return list(tomllib.loads((EMBER / "families.toml").read_text(encoding="utf-8"))["families"])
