"""A size far above the engine's own: its cost is logged, it is refused without memory, and shows ignore it."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.frame_size import affordable_size

OWN = (320, 192)


@pytest.fixture(scope="module")
def ember() -> Engine:
    return load_engine(shipped("engines") / "ember", "cpu", lazy=True)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    free = SimpleNamespace(available=int(16e9))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    return free


@pytest.mark.parametrize("live", [True, False])
def test_a_usual_size_is_taken_without_a_word(
    ember: Engine, live: bool, memory: SimpleNamespace, messages: list[str]
) -> None:
    assert affordable_size(ember, (0, 0), OWN, live) == OWN
    assert affordable_size(ember, (1280, 720), OWN, live) == (1280, 720)
    memory.available = int(1e6)
    assert affordable_size(ember, (512, 288), OWN, live) == (512, 288), "one of its own"
    assert not messages


def test_a_show_goes_on_at_its_own_size_where_one_cannot_move(ember: Engine, messages: list[str]) -> None:
    assert affordable_size(ember, (8192, 8192), OWN, live=True) == OWN
    (line,) = messages
    assert line.startswith("8192x8192 has 455 times the pixels of ember's largest size, 512x288")
    assert line.endswith("the show goes on at 320x192")


def test_a_file_takes_any_size_for_which_there_is_memory_and_says_how_much(
    ember: Engine, memory: SimpleNamespace, messages: list[str]
) -> None:
    assert affordable_size(ember, (8192, 8192), OWN, live=False) == (8192, 8192)
    (line,) = messages
    assert line.endswith("and about 10.1 GB of memory")
    memory.available = int(4e9)
    with pytest.raises(EngineError, match=r"takes about 10\.1 GB .* has 4\.0 GB free; choose a smaller --size"):
        affordable_size(ember, (8192, 8192), OWN, live=False)
