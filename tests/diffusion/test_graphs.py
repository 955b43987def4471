"""Captured graphs: made once, in one memory on one stream, replayed from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from tpos_live.diffusion.cuda.graphs import WARM_UPS, GraphCache


class Card:
    """Replaces CUDA: records the stream and the memory pool of all work. Captured work does not run."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object, object]] = []
        self.stream: object = "shared"
        self.memory: object = None
        self._memories = iter("ABCDEF")

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: Graph(self))
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: next(self._memories))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream())
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "graph", self.record)

    @contextmanager
    def on(self, stream: object) -> Iterator[None]:
        before, self.stream = self.stream, stream
        yield
        self.stream = before

    @contextmanager
    def record(self, graph: Any, memory: object, stream: object, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"  # other threads may use the card meanwhile
        self.memory = memory
        with self.on(stream):
            yield
        self.memory = None

    def work(self, name: str) -> None:
        self.log.append((name, self.stream, self.memory))


class Stream:
    def __init__(self, device: object = None, priority: int = 0) -> None:
        self.priority = priority

    def wait_stream(self, other: object) -> None: ...


class Graph:
    def __init__(self, card: Card) -> None:
        self._card = card

    def replay(self) -> None:
        self._card.work("replay")


def test_graphs_are_captured_once_in_one_memory_pool_on_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card()
    card.use(monkeypatch)
    made = GraphCache("cuda")
    for key in ("one", "two", "one", "two"):
        made.run(key, lambda key=key: card.work(key), lambda: card.work("undo"))
    streams = {stream for name, stream, _memory in card.log if name in ("one", "two")}
    assert len(streams) == 1 and "shared" not in streams
    runs = [(name, memory) for name, _stream, memory in card.log]
    first = [*[("one", None)] * WARM_UPS, ("one", "A"), ("undo", None), ("replay", None)]
    second = [*[("two", None)] * WARM_UPS, ("two", "A"), ("undo", None), ("replay", None)]
    assert runs == [*first, *second, ("replay", None), ("replay", None)]
    assert all(stream == "shared" for name, stream, _memory in card.log if name in ("undo", "replay"))


def test_a_cleared_graph_is_captured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card()
    card.use(monkeypatch)
    made = GraphCache("cuda")
    made.run(1, lambda: card.work("body"))
    before = len(card.log)
    made.clear()
    made.run(1, lambda: card.work("body"))
    assert len(card.log) == 2 * before


def test_without_a_card_the_function_runs_each_time() -> None:
    made, runs = GraphCache("cpu"), []
    for _ in range(3):
        made.run("any", lambda: runs.append("body"), lambda: runs.append("undo"))
    assert runs == ["body"] * 3
