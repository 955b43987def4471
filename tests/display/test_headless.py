"""The headless display: how many threads it uses."""

from __future__ import annotations

import threading

import pytest
import torch

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.headless import HeadlessDisplay


def test_headless_composes_with_few_threads_and_leaves_the_engine_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two composing threads beside the engine on two cores wait for each other: half of the frames were lost."""

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen: list[int] = []
    try:
        for cores, own in ((1, 1), (2, 1), (8, 2), (64, 3)):
            monkeypatch.setattr("os.sched_getaffinity", lambda _pid, n=cores: set(range(n)), raising=False)
            store = ParameterStore()
            with HeadlessDisplay(Mailbox[Frame](), FrameParams, store.snapshot, size=(32, 18)):
                assert torch.get_num_threads() == own
                engine = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
                engine.start()
                engine.join()
            assert torch.get_num_threads() == 3
        assert seen == 4 * [3]
    finally:
        torch.set_num_threads(before)
