"""Small engines, built once a session.

PyTorch is imported when the first is built: tests that run in a process of their own rarely need one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

    from tpos_live.conditioning.scene_scores import Sentences
    from tpos_live.diffusion.model.engine import Engine

TOGETHER = 64
"""Texts of a batch."""


def _made(factory: pytest.TempPathFactory, name: str, kind: str, **options: Any) -> Path:
    from fakes.tiny_engine import make_tiny_engine

    return make_tiny_engine(factory.mktemp(name), kind, **options)  # type: ignore[arg-type]


def _loaded(folder: Path) -> Engine:
    from tpos_live.diffusion.model.engine import load_engine

    return load_engine(folder, "cpu")


class EachOnce:
    """A sentence encoder that encodes a text once. Texts that come together are encoded together, which takes a tenth
    of the time."""

    def __init__(self, encode: Sentences) -> None:
        self._encode, self._known = encode, dict[str, Any]()

    def __call__(self, texts: list[str]) -> torch.Tensor:
        import torch

        new = sorted({*texts} - self._known.keys(), key=len)
        for at in range(0, len(new), TOGETHER):
            batch = new[at : at + TOGETHER]
            self._known.update(zip(batch, self._encode(batch), strict=True))
        return torch.stack([self._known[text] for text in texts])


@cache
def ember_sentences() -> EachOnce:
    """The sentence encoder of the engine in the box, without its networks; read once a process."""
    from tpos_live.core.paths import shipped
    from tpos_live.diffusion.model.engine import load_engine

    return EachOnce(load_engine(shipped("engines") / "ember", "cpu", lazy=True).texts.sentences)


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory, "flow", "flow")


@pytest.fixture(scope="session")
def turbo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory, "turbo", "sd-turbo")


@pytest.fixture(scope="session")
def flow(flow_folder: Path) -> Engine:
    return _loaded(flow_folder)


@pytest.fixture(scope="session")
def turbo(turbo_folder: Path) -> Engine:
    return _loaded(turbo_folder)


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two text encoders."""
    return _made(tmp_path_factory, "xl", "sdxl", metadata={"size": [96, 64], "multiple": 32})


@pytest.fixture(scope="session")
def xl(xl_folder: Path) -> Engine:
    return _loaded(xl_folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The least that can be compiled: compiling takes its time."""
    from fakes.tiny_engine import make_least_engine

    return _loaded(make_least_engine(tmp_path_factory.mktemp("small")))
