"""A control page with a real store, on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tpos_live.core.looks import Cue, Look, Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.status import Status
from tpos_live.web.control_page import ControlPage

LOOKS = Show((Look("deep", {"prompt": "deep sea"}), Look("fire & ice", {"prompt": "fire"})), (Cue("deep", 8.0, "bar"),))


@dataclass
class Stage:
    """The state that the page shows; tests change it."""

    store: ParameterStore = field(default_factory=ParameterStore)
    status: Status = field(default_factory=Status)
    show: Show = LOOKS


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def page(stage: Stage) -> Iterator[ControlPage]:
    with ControlPage(stage.store, lambda: stage.status, lambda: stage.show, port=-1) as page:
        assert page.opened.wait(20) and page.port
        yield page
