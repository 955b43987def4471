from __future__ import annotations

import threading

import torch

from tpos_live.core.torch_threads import use_threads


def test_only_the_calling_thread_changes() -> None:
    torch.set_num_threads(2)
    found: list[int] = []

    def one() -> None:
        use_threads(1)
        found.append(torch.get_num_threads())

    def other() -> None:
        found.append(torch.get_num_threads())

    try:
        for work in (one, other):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert found == [1, 2] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_threads_that_begin_together_leave_the_common_number() -> None:
    torch.set_num_threads(2)
    found: list[int] = []
    together = threading.Barrier(8)

    def one() -> None:
        together.wait()
        use_threads(1)

    try:
        for _ in range(10):
            threads = [threading.Thread(target=one) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
            later.start()
            later.join()
        assert found == [2] * 10
    finally:
        torch.set_num_threads(1)
