"""LoRA files whose weight moves in a show: a style comes and goes while frames are drawn.

Between two frames the weights of the layers that a file changes are written anew, W = W0 + sum of weight * change,
into the storage where they lie: eager, compiled kernels and recorded graphs find them at the same addresses, and a
frame costs nothing more while no weight moves. W0 is kept beside them, in the same precision and on the same device:
each value comes from it and never from the one before, so that nothing drifts and a weight that comes back brings back
every bit. In the host's memory W0 would cost a card nothing, but coming over the bus it takes many times as long.

A change of the whole UNet takes about as long as a few frames. It is spread, a share of it between two frames, the
newest weights winning; layers that are ahead of others do no harm, for each is a layer of some weight of the LoRA.
The share is one of the work and not of time: the same calls give the same frames on every machine.
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
"""Weights that a card writes in about the time in which Python asks for it: many small layers are work, too."""


@dataclass
class _Layer:
    """One layer. base: W0, [out, the other sides as one]. changes: with the number of their file, from 0. written: the
    weights of these files that its own weights have now."""

    module: Any
    base: torch.Tensor
    changes: list[tuple[int, Change]] = field(default_factory=list)
    written: tuple[float, ...] = ()

    @property
    def work(self) -> int:
        """What writing it costs, in weights."""
        return self.base.numel() + LAUNCH

    def wanted(self, weights: Sequence[float]) -> tuple[float, ...]:
        return tuple(weights[file] for file, _ in self.changes)

    def write(self, wanted: tuple[float, ...]) -> None:
        target: torch.Tensor = self.module.weight  # asked for each time: a module may be laid out anew
        straight = target.is_contiguous()  # a kernel of a convolution may lie channels-last
        flat = target.view(self.base.shape) if straight else torch.empty_like(self.base)
        self.written = ()  # should it fail half-way, it is written again
        flat.copy_(self.base)
        for weight, (_, change) in zip(wanted, self.changes, strict=True):
            if weight:
                change.add_to(flat, weight)
        if not straight:
            target.copy_(flat.view(target.shape))
        self.written = wanted


class LiveLoras:
    """The live LoRAs of an engine's UNet.

    Thread contract: `follow` and `rest` belong to the render thread (`rest` to the one that makes a generator, before
    the first frame); `held` may be used on any other, and what it holds up is caught up later.
    """

    def __init__(self, files: Sequence[tuple[Sequence[Change], float]] = ()) -> None:
        """files: what each changes, and its weight in the engine's description. The layers' weights, in their final
        precision and place, are W0, and get the LoRAs now."""
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
        """Bytes that W0 and the thin matrices take."""
        kept = [layer.base for layer in self._layers]
        kept += [each for layer in self._layers for _, change in layer.changes for each in (change.up, change.down)]
        return sum(tensor.nbytes for tensor in kept)

    def follow(self, factors: Sequence[float], fixed: str = "", whole: bool = False) -> bool:
        """Bring the UNet's weights nearer to those that are wanted now; whether any have moved. Never waits.

        factors: of each live LoRA, times its weight in the engine's description; 1 where there are fewer. fixed: the
        backend, where it draws with weights that were made ahead, else "". whole: all at once.
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
        """Go back to the weights in the engine's description, all at once: what was made ahead has these."""
        with self._lock:
            self._write((), float("inf"))
        self._seen = ((), "")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing moves meanwhile."""
        with self._lock:
            yield

    @torch.no_grad()
    def _write(self, factors: Sequence[float], work: float) -> bool:
        """work: in weights, after which the rest is left for the next time; the layer that exceeds it is written."""
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
        """Log why a weight that was moved does nothing."""
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
