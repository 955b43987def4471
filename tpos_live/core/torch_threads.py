"""Sets the number of PyTorch's threads for one calling thread."""

from __future__ import annotations

import threading

import torch

_CHANGE = threading.Lock()
"""Held while the process-wide number is changed: two threads at once would restore each other's number."""


def use_threads(count: int) -> None:
    """Let PyTorch use `count` threads for later work of the calling thread; other threads keep their number.

    Threads that wait for each other on busy cores cost more than they save: encoding a prompt beside a renderer took 60
    times as long on two threads as on one.
    """
    with _CHANGE:
        common = torch.get_num_threads()
        torch.set_num_threads(count)
        # New threads start with this number, too; a short-lived thread restores the process-wide number.
        other = threading.Thread(target=torch.set_num_threads, args=(common,))
        other.start()
        other.join()
