"""CUDA graphs, and their stream: work on a card is captured once and then replayed by one launch.

A captured function must not depend on Python numbers, which the graph would freeze: everything that changes must be in
tensors with fixed addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch

WARM_UPS = 3
"""Runs before a capture, in which libraries choose and load their kernels: a capture does not allow that."""
LOWEST = 0
"""The lowest priority of a stream in PyTorch and CUDA. Lower numbers have priority; 0 is the lowest and the default,
and values above 0 count as 0 (torch.cuda.Stream, cudaDeviceGetStreamPriorityRange). Passed explicitly, as it is
intended.

It ranks the streams of one process only. Between programs the driver shares the card by its own rule, unless both run
under CUDA's Multi-Process Service; against other programs only the cap helps."""


class GraphCache:
    """Functions, each captured as a CUDA graph at its first call and replayed from then on. Belongs to one thread.

    The graphs of one object never run at the same time, and write results only to tensors from outside. So they share
    one memory pool, and therefore one stream: PyTorch never reuses memory that was freed on another stream. Without a
    card nothing is captured.
    """

    def __init__(self, device: torch.device | str) -> None:
        """device: where the functions run."""
        self._captured: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._on_card = torch.device(device).type == "cuda"
        if self._on_card:
            self._stream = torch.cuda.Stream(device, priority=LOWEST)  # the captured kernels keep its priority
            self._memory = torch.cuda.graph_pool_handle()

    def run(self, key: Hashable, body: Callable[[], object], undo: Callable[[], object] = lambda: None) -> None:
        """Run `body`, or replay its graph, on the current stream.

        key: identifies the body. undo: called between capture and first replay; it resets state that the warm-up runs
        of a body have changed.
        """
        if not self._on_card:
            body()
            return
        if key not in self._captured:
            self._captured[key] = self._capture(body)
            undo()
        self._captured[key].replay()

    def clear(self) -> None:
        """Discard all graphs, for when the memory behind their addresses has been freed."""
        self._captured.clear()

    def _capture(self, body: Callable[[], object]) -> torch.cuda.CUDAGraph:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                body()
        torch.cuda.current_stream().wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._memory, self._stream, capture_error_mode="thread_local"):
            body()
        return graph


def use_low_priority_stream(device: torch.device) -> None:
    """Give the calling thread a stream of its own with the lowest priority; no effect without CUDA.

    A show shares its card with Resolume, Ableton's plug-ins or the window itself. Two measures leave them time on the
    card: `--fps-cap` keeps the card idle between frames, and frames are drawn on a stream of the lowest priority.
    A separate stream also keeps frames from waiting for other threads' work, such as the text encoder's. Call it again
    after buffers were filled on the default stream: later work on this stream waits for them, the host does not.
    """
    if device.type != "cuda":
        return
    shared = torch.cuda.default_stream(device)
    if torch.cuda.current_stream(device) == shared:
        torch.cuda.set_stream(torch.cuda.Stream(device, priority=LOWEST))
        torch.cuda.empty_cache()  # free the cached memory of loading, which only the shared stream could reuse
    torch.cuda.current_stream(device).wait_stream(shared)
