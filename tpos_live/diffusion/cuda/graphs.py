"""Work on a card that is recorded once and then launched whole: CUDA graphs.

What is recorded may not depend on a number of Python's, which would be frozen in it: everything that changes lies in
tensors whose addresses stay.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch

from tpos_live.diffusion.cuda.streams import LOWEST

WARM_UPS = 3
"""Runs before a recording: libraries choose and load their kernels, which a recording cannot hold."""


class GraphCache:
    """Bodies of work, each recorded when it is first done and launched whole from then on. Belongs to one thread.

    Those of one object never run side by side, and may leave nothing but what lies in tensors from outside. So they
    share one memory, and therefore one stream: what was freed on a stream PyTorch gives to no other, in shared memory
    or not. Elsewhere than on a card nothing is recorded.
    """

    def __init__(self, device: torch.device | str) -> None:
        """device: where the bodies work."""
        self._recordings: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._on_card = torch.device(device).type == "cuda"
        if self._on_card:
            self._stream = torch.cuda.Stream(device, priority=LOWEST)  # a recording's kernels keep its priority
            self._memory = torch.cuda.graph_pool_handle()

    def run(self, key: Hashable, body: Callable[[], object], undo: Callable[[], object] = lambda: None) -> None:
        """Do `body`'s work on the current stream.

        key: says which body it is. undo: called after a recording was made and before it runs, to take back what its
        own runs have moved on, where a body goes on from what it left.
        """
        if not self._on_card:
            body()
            return
        if key not in self._recordings:
            self._recordings[key] = self._record(body)
            undo()
        self._recordings[key].replay()

    def clear(self) -> None:
        """Forget all: what they hold by its address is not there any more."""
        self._recordings.clear()

    def _record(self, body: Callable[[], object]) -> torch.cuda.CUDAGraph:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                body()
        torch.cuda.current_stream().wait_stream(self._stream)
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording, self._memory, self._stream, capture_error_mode="thread_local"):
            body()
        return recording
