"""Measures the overhead of a frame: Python's time, allocations, and hidden waits on a card.

The host time of a frame is the time of Python without the wait for the device: it must be shorter than the card's time,
so that the card never waits for Python. If a backend measures how long it waited for its card (`waited`), this time is
subtracted; any other backend is replaced by one without networks.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tpos_live.conditioning.conditioning import Conditioning, Regions
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

WARM_UP = 5
"""Frames before a measurement."""


class NullBackend(Backend):
    """A backend without networks, so that only our Python code is measured."""

    name = "hollow"

    def __init__(self, torch_threads: int) -> None:
        self.torch_threads = torch_threads

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return latent

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        pass


def host_times(
    generator: FrameGenerator,
    draw: Callable[[int], object],
    frames: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Host time of a frame: median and 99th percentile of `frames`, in milliseconds.

    draw(n): generates frame n with `generator`. host_by: "waiting" if the wait was subtracted, "hollow" if the backend
    was replaced.
    """
    backend = generator.backend
    waits = backend.waited is not None and generator.engine.device.type == "cuda"
    if not waits:
        generator.use(NullBackend(backend.torch_threads))
    took = np.zeros(frames)
    try:
        for n in range(WARM_UP):
            draw(n)
        for n in range(frames):
            before, began = backend.waited or 0.0, clock()
            draw(WARM_UP + n)
            took[n] = clock() - began - ((backend.waited or 0.0) - before if waits else 0.0)
    finally:
        if not waits:
            generator.use(backend)
    p50, p99 = 1e3 * np.percentile(took, (50, 99))
    return {"host_ms": round(p50, 3), "host_p99_ms": round(p99, 3), "host_by": "waiting" if waits else "hollow"}


def changes(generator: FrameGenerator, tokens: torch.Tensor, snapshot: Snapshot, frames: int) -> dict[str, Any]:
    """Frame times while everything changes: other tokens in every frame, guidance on, a fade between two prompts.

    The fade, in which two prompts share a frame, is a third of the frames. tokens: [token_rows, token_dim].
    changes_ms: median. changes_slowest, changes_p99: the slowest frame and the 99th percentile, relative to the median.
    """
    other = tokens.roll(1, 0)
    conditioner = generator.conditioner
    residual, conditioner.residual = conditioner.residual, not generator.engine.metadata.guidance
    took = np.zeros(frames)
    try:
        for n in range(-2 * WARM_UP, frames):
            share = 3.0 * n / frames - 1.0 if n >= 0 else 0.5
            fading = Regions(torch.stack([tokens, other]), (1.0 - share, share)) if 0.0 < share < 1.0 else None
            mixed = torch.lerp(tokens, other, 0.5 + 0.5 * math.sin(n))
            began = time.perf_counter()
            params = FrameParams(time=n / 60, noise_position=n / 60, guidance=1.3)
            generator.generate(FrameRequest(params, Conditioning(mixed, regions=fading), snapshot))
            if n >= 0:
                took[n] = time.perf_counter() - began
    finally:
        conditioner.residual = residual
    p50, p99 = np.percentile(took, (50, 99))
    found = {"changes_ms": 1e3 * p50, "changes_slowest": took.max() / p50, "changes_p99": p99 / p50}
    return {key: round(float(value), 3) for key, value in found.items()}


def device_counts(draw: Callable[[int], object], frames: int) -> dict[str, Any]:
    """Per frame on a card: blocks from torch's allocator, allocations by the driver, and hidden synchronisations.

    syncs: reports of torch's sync-debug mode, that is, copies and reads that make the host wait. The explicit wait for
    the finished frame does not count. Empty without a card.
    """
    if not torch.cuda.is_available():
        return {}
    for n in range(WARM_UP):
        draw(n)
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in range(frames):
                draw(WARM_UP + n)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    after = torch.cuda.memory_stats()
    syncs = sum("called a synchronizing" in str(warning.message) and _hidden(warning) for warning in caught)
    return counted(before, after, syncs, frames)


def _hidden(warning: warnings.WarningMessage) -> bool:
    """Whether a synchronisation is implicit: explicit ones are called in PyTorch's module of streams."""
    return not warning.filename.endswith("streams.py")


def counted(before: dict[str, Any], after: dict[str, Any], syncs: int, frames: int) -> dict[str, Any]:
    """The counts per frame, from torch.cuda.memory_stats before and after `frames` frames."""

    def each(name: str) -> float:
        return round((after.get(name, 0) - before.get(name, 0)) / frames, 3)

    return {
        "allocations": each("allocation.all.allocated"),
        "driver_allocations": each("num_device_alloc"),
        "syncs": round(syncs / frames, 3),
    }
