"""How many threads PyTorch uses for the work of one thread of ours."""

from __future__ import annotations

import threading

import torch

_CHANGE = threading.Lock()
"""Held while the common number is another one: two threads that begin together would keep each other's."""


def use_threads(count: int) -> None:
    """Let PyTorch use `count` threads for what the calling thread asks of it from now on; other threads keep theirs.

    Threads that wait for each other on cores that something else uses cost much more than they save: encoding a prompt
    beside a renderer took 60 times as long on two threads as on one.
    """
    with _CHANGE:
        common = torch.get_num_threads()
        torch.set_num_threads(count)
        # That is also what new threads begin with: a thread that ends at once puts the common number back.
        other = threading.Thread(target=torch.set_num_threads, args=(common,))
        other.start()
        other.join()
