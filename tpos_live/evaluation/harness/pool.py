"""A pool of processes that run one measurement on every core; the results do not depend on their number."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from tqdm import tqdm

from tpos_live.core.child_process import end_with_parent
from tpos_live.core.cores import usable_cores
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.evaluation.classifier.model import load_classifier
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.sampler import SamplerHarness

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 8
"""Processes at most; each holds an engine, some 600 MB."""

_mine: EvaluationContext | None = None
"""The context of this process, if it is a worker."""


class WorkerPool:
    """Does named jobs: a function of a trial and an item, for every item. A context manager; one thread.

    trial: that of this process. workers: processes; 0 = this one alone, which is also what a graphics card gets.
    """

    def __init__(self, context: EvaluationContext, folder: Path, accelerator: str, workers: int) -> None:
        self.context = context
        self._folder, self._accelerator = folder, accelerator
        self.workers = 0 if context.harness.engine.device.type != "cpu" else min(workers, MOST)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, name: str, job: Callable[[EvaluationContext, Item], Result], items: Sequence[Item]) -> list[Result]:
        """The results in the order of the items. job: of a module, so that another process finds it."""
        shown = {"desc": name, "leave": False, "disable": not sys.stderr.isatty(), "total": len(items)}
        if self.workers < 2:
            return [job(self.context, item) for item in tqdm(items, **shown)]
        if self._pool is None:
            self._pool = self._start()
        results = self._pool.map(_do, [(job, item) for item in items])
        return list(tqdm(results, **shown))

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        places: Queue[int] = context.Queue()
        for number in range(self.workers):
            places.put(usable_cores()[number % len(usable_cores())])
        begin = (str(self._folder), self._accelerator, self.context.seed, places, os.getpid())
        return ProcessPoolExecutor(self.workers, context, _begin, begin)


def _begin(folder: str, accelerator: str, seed: int, places: Queue[int], parent: int) -> None:
    """Set up a worker on a core of its own: libraries would pin all workers to the first core."""
    global _mine
    end_with_parent(parent)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {places.get(timeout=10)})
    torch.set_num_threads(1)
    classifier, _ = load_classifier(Path(folder))
    _mine = EvaluationContext(
        SamplerHarness(load_engine(Path(folder), "cpu"), accelerator, threads=1), classifier, seed
    )


def _do(work: tuple[Callable[[EvaluationContext, Any], Any], Any]) -> Any:
    job, item = work
    assert _mine is not None
    return job(_mine, item)


def item_rng(*names: object) -> tuple[random.Random, torch.Generator]:
    """Random number generators of one item, seeded by its name: the same in every process and order."""
    rng = random.Random(" ".join(map(str, names)))
    return rng, torch.Generator().manual_seed(rng.randrange(2**31))
