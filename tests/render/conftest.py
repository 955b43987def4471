"""Small engines, built once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.render.engine import Engine, load_engine


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Small tensors are slower on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("flow"), "flow")


@pytest.fixture(scope="session")
def turbo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("turbo"), "sd-turbo")


@pytest.fixture(scope="session")
def flow(flow_folder: Path) -> Engine:
    return load_engine(flow_folder, "cpu")


@pytest.fixture(scope="session")
def turbo(turbo_folder: Path) -> Engine:
    return load_engine(turbo_folder, "cpu")
