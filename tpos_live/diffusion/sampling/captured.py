"""A whole frame as one piece of work on fixed addresses, so that a CUDA graph can hold it.

Everything that a frame depends on is copied into buffers that never move: noise, last latent, tokens, and the
schedule's numbers. The loop over the steps, guidance, the decoder and the conversion to bytes then run with no Python
number in them, so that one captured graph serves every prompt, strength and seed of a number of steps.

Off CUDA the same lines run without a graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.cuda.pinned_scalars import Numbers
from tpos_live.diffusion.model.backend import Backend, BackendRequest, Decoder, Unet
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.pixels import to_pixels, write_pixels
from tpos_live.diffusion.model.schedule import MOST_STEPS, NUMBERS, Plan
from tpos_live.diffusion.sampling.cfg_batch import MOST_ROWS
from tpos_live.diffusion.sampling.region_blend import Growth
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide


@dataclass(frozen=True)
class Edit:
    """Semantic guidance of one picture. sounds: float32 [K, rows, token_dim]. warm: first step that is edited."""

    guide: SemanticGuide
    sounds: torch.Tensor
    warm: int


class CapturedPipeline:
    """Draws pictures of one size. Belongs to one thread.

    unet: (latent float32 [B, C, h, w], timestep float32 [B], tokens float32 [B, T, D]) to float32 [B, C, h, w].
    decoder: latent float32 [1, C, h, w] to a picture [1, 3, H, W] in [-1, 1]. The two results are `latent`, float32
    [1, C, h, w], and `pixels`, uint8 [H, W, 3]; the next picture overwrites both, their addresses stay.
    """

    def __init__(self, engine: Engine, size: tuple[int, int], rows: int, unet: Unet, decoder: Decoder) -> None:
        """size: (width, height) in pixels. rows: of conditioning, all kinds together."""
        self._unet, self._decoder = unet, decoder
        shape = engine.latent_shape(size)

        def buffer(*sides: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(sides, dtype=dtype, device=engine.device)

        self._noise, self._last, self._x, self._x0, self._x0_before, self._base = (buffer(*shape) for _ in range(6))
        self._fresh = buffer(MOST_STEPS, *shape)
        self._tokens = buffer(MOST_ROWS, rows, engine.token_dim)  # with the prompts, without them, then sounds
        self._numbers = Numbers(1 + MOST_STEPS, NUMBERS, device=engine.device)
        head, self._steps = self._numbers.there[0], self._numbers.there[1:]
        self._start, self._guidance = head[:2], head[2:3]  # shares of noise and last picture; guidance
        self.latent = self._x0
        self.pixels = buffer(size[1], size[0], 3, dtype=torch.uint8)
        self._guide: SemanticGuide | None = None
        self._growth = Growth(shape, engine.device)
        self._recordings = GraphCache(engine.device)

    @torch.inference_mode()
    def draw(
        self,
        plan: Plan,
        noise: torch.Tensor,
        tokens: torch.Tensor,
        last: torch.Tensor | None = None,
        fresh: Callable[[int], torch.Tensor] | None = None,
        without: torch.Tensor | None = None,
        guidance: float = 1.0,
        edit: Edit | None = None,
        weights: Sequence[float] = (1.0,),
    ) -> None:
        """Draw one picture into `latent` and `pixels`.

        noise, last: float32 [1, C, h, w]. tokens: float32 [scenes, rows, token_dim], with a weight for each.
        without: float32 [1, rows, token_dim], what guidance (Ho and Salimans 2022) leads away from, None where it is
        off. edit: semantic guidance, always by the same guide, whose buffers a recording holds.
        """
        self._noise.copy_(noise)
        self._last.copy_(last) if last is not None else self._last.zero_()
        scenes = len(tokens)
        self._tokens[:scenes].copy_(tokens)
        if scenes > 1:
            self._growth.prepare(weights)
        guided = without is not None and guidance > 1.0
        if guided and without is not None:
            self._tokens[scenes : scenes + 1].copy_(without)
        sounds = 0
        if edit is not None:
            if self._guide not in (None, edit.guide):
                self._recordings.clear()
            self._guide, sounds = edit.guide, len(edit.sounds)
            self._tokens[scenes + guided : scenes + guided + sounds].copy_(edit.sounds)
        start = [plan.noise, plan.last if last is not None else 0.0, guidance]
        self._numbers.put([start + [0.0] * (NUMBERS - len(start)), *plan.rows()])
        for n, step in enumerate(plan.steps):
            if step.fresh and fresh is not None:
                self._fresh[n].copy_(fresh(n))
        self._run(len(plan.steps), scenes, guided, sounds, edit.warm if edit else 0)

    def _run(self, *kind: int) -> None:
        """kind: of picture; each has a recording: steps, scenes, guided, sounds, warm."""
        guide = self._guide
        self._recordings.run(kind, lambda: self._body(*kind), guide.reset if guide is not None else lambda: None)

    def _body(self, steps: int, scenes: int, guided: int, sounds: int, warm: int) -> None:
        """The work itself: tensors alone, no number of Python's that could be frozen into a recording."""
        x, x0 = self._x, self._x0
        torch.mul(self._noise, self._start[0], out=x)
        x.addcmul_(self._last, self._start[1])
        for n in range(steps):
            timestep, skip, out, keep, add, fresh, base, before, now = self._steps[n].unbind()
            prediction = self._predict(n, x, timestep[None], (skip, out), scenes, guided, sounds if n >= warm else 0)
            torch.mul(x, skip, out=x0)
            x0.addcmul_(prediction, out)
            if n > 0:  # the corrector, where the step has one
                corrected = base * self._base + before * self._x0_before + now * x0
                x.copy_(torch.where(base != 0, corrected, x))
            self._base.copy_(x)
            self._x0_before.copy_(x0)
            x.mul_(keep).addcmul_(x0, add).addcmul_(self._fresh[n], fresh)
        x0.copy_(x)
        picture = self._decoder(x0)
        self.pixels.copy_(to_pixels(picture))

    def _predict(
        self, n: int, x: torch.Tensor, timestep: torch.Tensor, leads: tuple[torch.Tensor, torch.Tensor],
        scenes: int, guided: int, sounds: int,
    ) -> torch.Tensor:  # fmt: skip
        """leads: the step's skip and out, by which a prediction leads to a picture."""
        rows = scenes + guided + sounds
        found = self._unet(x.expand(rows, -1, -1, -1), timestep.expand(rows), self._tokens[:rows])
        if scenes > 1:
            found = torch.cat([self._growth.join(n == 0, x, found[:scenes], *leads), found[scenes:]])
        if sounds and self._guide is not None:
            return self._guide.apply(n, found, self._guidance if guided else None)
        return torch.lerp(found[1:], found[:1], self._guidance) if guided else found


class CapturedBackend(Backend):
    """A backend that draws a whole frame in one launch. Also draws in parts, for drafts of the feedback."""

    def __init__(self, name: str, request: BackendRequest, networks: tuple[Unet, Decoder]) -> None:
        """networks: what draws (see CapturedPipeline)."""
        self.name = name
        self.size = request.size
        self.networks = networks
        self.whole = CapturedPipeline(request.engine, request.size, request.sequence_length, *networks)
        self._sent = torch.cuda.Event() if request.engine.device.type == "cuda" else None
        self.waited: float = 0.0

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.networks[0](latent, timestep, tokens)

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        write_pixels(self.networks[1](latent), out)

    def fetch(self, out: np.ndarray, pixels: torch.Tensor | None = None) -> None:
        """Copy `pixels`, by default those that were drawn last, to `out`, uint8 [H, W, 3]; waits for them."""
        self.send(out, pixels)
        self.wait()

    def send(self, out: np.ndarray, pixels: torch.Tensor | None = None) -> None:
        """Have them copied as soon as they are drawn. out: in pinned memory, or the host waits here."""
        torch.from_numpy(out).copy_(self.whole.pixels if pixels is None else pixels, non_blocking=True)
        if self._sent is not None:
            self._sent.record()

    def wait(self) -> None:
        """Until what was sent is there; not for what was queued behind it."""
        if self._sent is not None:
            began = time.perf_counter()
            self._sent.synchronize()
            self.waited += time.perf_counter() - began
