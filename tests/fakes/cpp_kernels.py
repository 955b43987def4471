"""PyTorch's compiler for CPUs, with less beside the kernels.

It works without helper processes, each of which imports PyTorch again, and without trials of what the processor can, a
compilation and a process for each set of instructions. Which of them it uses depends on the processor all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def compile_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It works so in this process and in those that it starts.

    Both must say the same: PyTorch finds what another process has compiled by its settings, among other things.
    """
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    monkeypatch.setenv("TORCHINDUCTOR_VEC_ISA_OK", "1")
    with config.patch({"compile_threads": 1, "cpp.vec_isa_ok": True}):  # was read when it was imported
        yield
