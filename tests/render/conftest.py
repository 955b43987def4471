"""Small engines, built once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.one_thread import one_thread as one_thread
from fakes.tiny_engine import make_tiny_engine

from tpos_live.render.engine import Engine, load_engine


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


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two text encoders."""
    folder = tmp_path_factory.mktemp("xl")
    return make_tiny_engine(folder, "sdxl", metadata={"size": [96, 64], "multiple": 32})


@pytest.fixture(scope="session")
def xl(xl_folder: Path) -> Engine:
    return load_engine(xl_folder, "cpu")
