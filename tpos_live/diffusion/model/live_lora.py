"""Live LoRAs: LoRA files whose weight changes during a show.

Between two frames the weights of the affected layers are written again, W = W0 + sum of weight * change, in place:
eager, compiled kernels and captured graphs find them at the same addresses, and frames cost nothing more while no
weight changes. W0 is kept in the same precision on the same device. Each value is computed from W0 and never from the
value before, so nothing drifts, and a weight that returns restores every bit. In the host's memory W0 would take no
memory of the card, but copying it over the bus would take many times as long.

A change of the whole UNet takes about as long as a few frames. So it is spread: 1 / SPREAD of the work is done between
two frames, towards the newest weights. Meanwhile layers have different weights of the LoRA, which does no harm. The
share is one of work and not of time, so the same calls give the same frames on every machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from tpos_live.diffusion.model.lora import Change

log = logging.getLogger(__name__)

SPREAD = 8
"""Frames over which a change of the weights is spread."""
LAUNCH = 1 << 20
"""Overhead of one layer in weights: a card writes this many in the time of Python's call."""


@dataclass
class _Layer:
    """One layer. base: W0, [out, product of the other dimensions]. changes: each with the index of its file. written:
    the files' weights that the layer has now."""

    module: Any
    base: torch.Tensor
    changes: list[tuple[int, Change]] = field(default_factory=list)
    written: tuple[float, ...] = ()

    @property
    def work(self) -> int:
        """Cost of writing the layer, in weights."""
        return self.base.numel() + LAUNCH

    def wanted(self, weights: Sequence[float]) -> tuple[float, ...]:
        return tuple(weights[file] for file, _ in self.changes)

    def write(self, wanted: tuple[float, ...]) -> None:
        target: torch.Tensor = self.module.weight  # read each time, because its memory format may change
        straight = target.is_contiguous()  # a convolution's kernel may be channels-last
        flat = target.view(self.base.shape) if straight else torch.empty_like(self.base)
        self.written = ()  # so that a failed write is repeated
        flat.copy_(self.base)
        for weight, (_, change) in zip(wanted, self.changes, strict=True):
            if weight:
                change.add_to(flat, weight)
        if not straight:
            target.copy_(flat.view(target.shape))
        self.written = wanted


class LiveLoras:
    """The live LoRAs of an engine's UNet.

    Thread contract: `follow` and `rest` belong to the render thread (`rest`, before the first frame, to the thread that
    makes a generator). Any other thread may use `held`; changes meanwhile are made later.
    """

    def __init__(self, files: Sequence[tuple[Sequence[Change], float]] = ()) -> None:
        """files: the changes of each file, and its weight in the engine's metadata. The layers' current weights, which
        must be in their final precision and on their device, become W0; then the LoRAs are added."""
        self._weights = [weight for _, weight in files]
        layers: dict[int, _Layer] = {}
        for file, (changes, _) in enumerate(files):
            for change in changes:
                weight: torch.Tensor = change.layer.weight
                layer = layers.get(id(change.layer))
                if layer is None:
                    base = weight.detach().clone(memory_format=torch.contiguous_format).view(len(weight), -1)
                    layer = layers[id(change.layer)] = _Layer(change.layer, base)
                layer.changes.append((file, change.like(weight)))
        self._layers = list(layers.values())
        self._share = sum(layer.work for layer in self._layers) / SPREAD
        self._at = 0
        self._seen: tuple[Sequence[float], str] = ((), "")
        self._behind = False
        self._lock = threading.Lock()
        self._logged: set[str] = set()
        self.rest()

    @property
    def memory(self) -> int:
        """Bytes of W0 and the low-rank matrices."""
        kept = [layer.base for layer in self._layers]
        kept += [each for layer in self._layers for _, change in layer.changes for each in (change.up, change.down)]
        return sum(tensor.nbytes for tensor in kept)

    def follow(self, factors: Sequence[float], fixed: str = "", whole: bool = False) -> bool:
        """Move the UNet's weights towards the wanted ones. Returns whether any have changed. Never waits.

        factors: factor on the metadata's weight of each live LoRA; missing ones are 1. fixed: name of the backend if
        its weights are frozen, else "". whole: make the whole change now.
        """
        if not self._behind and (factors, fixed) == self._seen:
            return False
        self._seen = (factors, fixed)
        self._log_once(factors, fixed)
        if fixed or not self._layers:
            self._behind = False
            return False
        if not self._lock.acquire(blocking=False):
            self._behind = True
            return False
        try:
            return self._write(factors, float("inf") if whole else self._share)
        finally:
            self._lock.release()

    def rest(self) -> None:
        """Restore the weights of the engine's metadata at once: backends with frozen weights have these."""
        with self._lock:
            self._write((), float("inf"))
        self._seen = ((), "")

    @contextmanager
    def held(self) -> Iterator[None]:
        """No weight changes inside this context."""
        with self._lock:
            yield

    @torch.no_grad()
    def _write(self, factors: Sequence[float], work: float) -> bool:
        """Write layers until `work` (in weights) is used up; the last may exceed it. Returns whether any changed."""
        padded = [*factors, *[1.0] * len(self._weights)]
        weights = [weight * factor for weight, factor in zip(self._weights, padded, strict=False)]
        moved, self._behind = False, True  # also where a layer fails
        for _ in self._layers:
            layer = self._layers[self._at]
            wanted = layer.wanted(weights)
            if layer.written != wanted:
                if work <= 0:
                    return moved
                layer.write(wanted)
                work -= layer.work
                moved = True
            self._at = (self._at + 1) % len(self._layers)
        self._behind = False
        return moved

    def _log_once(self, factors: Sequence[float], fixed: str) -> None:
        """Log why a changed factor has no effect, once for each reason."""
        has = len(self._weights)
        for number, factor in enumerate(factors, 1):
            if factor == 1.0:
                continue
            if number > has:
                line = f"lora.{number} does nothing: this engine has {has or 'no'} live LoRA{'s' * (has != 1)}"
            elif fixed:
                why = f"{fixed} draws with weights that were made ahead"
                line = f"lora.{number} stays at 1: {why}; start with --accelerator compile or eager"
            else:
                continue
            if line not in self._logged:
                self._logged.add(line)
                log.warning(line)
