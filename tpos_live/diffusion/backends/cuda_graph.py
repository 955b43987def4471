"""A whole picture as one piece of work on fixed addresses, so that a CUDA graph can hold it.

Everything that a picture depends on is copied into buffers that never move: noise, last latent, tokens, and the
schedule's numbers. The loop over the steps, guidance, the decoder and the conversion to bytes then run with no Python
number in them, so that one recording serves every prompt, strength and seed of a number of steps.

Off CUDA the same lines run without a recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tpos_live.conditioning.regions import MAX_REGIONS
from tpos_live.core.errors import NotReady
from tpos_live.diffusion.backends.fuse_projections import join
from tpos_live.diffusion.backends.parity import LEAST, Draws, psnr
from tpos_live.diffusion.cuda.graphs import Recordings
from tpos_live.diffusion.cuda.pinned_scalars import Numbers
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.schedule import MOST_STEPS, Plan
from tpos_live.diffusion.sampling.cfg_batch import MOST_ROWS
from tpos_live.diffusion.sampling.region_blend import Growth
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide

Unet = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
Decoder = Callable[[torch.Tensor], torch.Tensor]
NUMBERS = 9
"""Of a step: timestep, skip, out, keep, add, fresh, and the corrector's three."""


@dataclass(frozen=True)
class Edit:
    """Semantic guidance of one picture. sounds: float32 [K, rows, token_dim]. warm: first step that is edited."""

    guide: SemanticGuide
    sounds: torch.Tensor
    warm: int


class WholePicture:
    """Draws pictures of one size. Belongs to one thread.

    unet: (latent float32 [B, C, h, w], timestep float32 [B], tokens float32 [B, T, D]) to float32 [B, C, h, w].
    decoder: latent float32 [1, C, h, w] to a picture [1, 3, H, W] in [-1, 1]. The two results are `latent`, float32
    [1, C, h, w], and `pixels`, uint8 [H, W, 3]; the next picture overwrites both, their addresses stay.
    """

    def __init__(self, engine: Engine, size: tuple[int, int], rows: int, unet: Unet, decoder: Decoder) -> None:
        """size: (width, height) in pixels. rows: of conditioning, all kinds together."""
        self._unet, self._decoder = unet, decoder
        shape = (1, engine.latent_channels, size[1] // engine.factor, size[0] // engine.factor)

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
        self._recordings = Recordings(engine.device)

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
        self._numbers.put([start + [0.0] * (NUMBERS - len(start)), *plan_rows(plan)])
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


def plan_rows(plan: Plan) -> list[list[float]]:
    """A plan's numbers, a row of NUMBERS a step."""
    # Without a corrector the step goes on from x itself, which is what (0, 0, 0) stands for.
    return [
        [step.timestep, step.skip, step.out, step.keep, step.add, step.fresh, *(step.correct or (0.0, 0.0, 0.0))]
        for step in plan.steps
    ]


def to_pixels(picture: torch.Tensor) -> torch.Tensor:
    """A decoded picture [1, 3, H, W] in [-1, 1] as float32 [H, W, 3], 0 to 255, whole numbers."""
    return picture[0].float().mul(127.5).add_(127.5).clamp_(0, 255).round_().permute(1, 2, 0)


def networks(engine: Engine) -> tuple[Unet, Decoder]:
    """The engine's own networks as WholePicture wants them, in the precision they were loaded in.

    On a card the products of the UNet's attention are joined for good (see `joined`).
    """
    if engine.device.type == "cuda":
        join(getattr(engine.unet, "unet", engine.unet))
    scale = 1.0 / float(engine.vae.config.scaling_factor)
    dtype, module, vae = engine.dtype, engine.unet, engine.vae

    def unet(latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output = module(latent.to(dtype), timestep, encoder_hidden_states=tokens.to(dtype), return_dict=False)[0]
        return output.float()  # type: ignore[no-any-return]

    def decoder(latent: torch.Tensor) -> torch.Tensor:
        half = next(vae.decoder.parameters()).dtype  # eager may have made the decoder's another one
        return vae.decode((latent * scale).to(half), return_dict=False)[0]  # type: ignore[no-any-return]

    return unet, decoder


def load(engine: Engine, size: tuple[int, int], rows: int, brief: bool = False) -> WholeAccelerator:
    """The accelerator `cuda-graph`, proven; brief: see `prove`. Raises NotReady with one line."""
    made = WholeAccelerator("cuda-graph", engine, size, rows, networks)
    prove(made, engine, size, rows, brief)
    return made


def prove(made: WholeAccelerator, engine: Engine, size: tuple[int, int], rows: int, brief: bool = False) -> float:
    """Record everything that the engine allows, and compare one picture with eager's: PSNR in dB.

    brief: record pictures of the fewest steps alone, half of the time and less; others when they are first drawn.
    Raises NotReady with one line where the picture is another one.
    """
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(made.whole.latent.shape, generator=generator).to(engine.device)
    tokens = torch.zeros(1, rows, engine.token_dim, device=engine.device)
    tokens[0, : engine.text_tokens] = engine.encode("blue sea").float()[:rows]
    # The plainest first: in the memory that recordings share it then lies closest together, and in a card's cache.
    allowed = sorted(set(engine.metadata.steps) & set(range(1, 5)))
    for steps in allowed[:1] if brief else allowed:
        for guidance in (1.0, 2.0) if engine.metadata.guidance else (1.0,):
            plan, without = engine.schedule.plan(steps), tokens if guidance > 1 else None
            for scenes in range(1, MAX_REGIONS + 1):  # prompts that share a picture, on a fade or for good
                made.whole.draw(
                    plan, noise, tokens.expand(scenes, -1, -1), None, lambda _n: noise, without, guidance,
                    weights=(1 / scenes,) * scenes,
                )  # fmt: skip
    plan = engine.schedule.plan(1)
    made.whole.draw(plan, noise, tokens)
    pictures = [np.zeros((size[1], size[0], 3), np.uint8) for _ in range(3)]
    made.fetch(pictures[0])
    step = plan.steps[0]
    timestep = torch.tensor([step.timestep], device=engine.device)
    with torch.inference_mode():
        start = plan.noise * noise
        both: tuple[Draws, Draws] = (made, made.eager)
        for accelerator, picture in zip(both, pictures[1:], strict=True):
            latent = step.skip * start + step.out * accelerator.predict(start, timestep, tokens)
            accelerator.decode(latent, picture)
    found = min(psnr(pictures[0], pictures[2]), psnr(pictures[1], pictures[2]))
    if found < LEAST:
        raise NotReady(f"{made.name} draws another picture than eager here ({found:.1f} dB); it is not used")
    return found


class WholeAccelerator:
    """An accelerator that draws a whole picture in one launch. Also draws in parts, for drafts of the feedback.

    eager: the same engine without it, which it must equal.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        size: tuple[int, int],
        rows: int,
        make: Callable[[Engine], tuple[Unet, Decoder]],
    ) -> None:
        """make: gives the networks that draw (see WholePicture); called once eager has laid out the engine's own."""
        from tpos_live.diffusion.backends.registry import Eager

        self.name = name
        self.why = ""
        self.torch_threads = 0
        self.size = size
        self.eager = Eager(engine)
        self.networks = make(engine)
        self.whole = WholePicture(engine, size, rows, *self.networks)
        self._sent = torch.cuda.Event() if engine.device.type == "cuda" else None
        self.waited = 0.0
        """Seconds for which the host has waited for pictures so far."""

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.networks[0](latent, timestep, tokens)

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        from tpos_live.diffusion.backends.registry import write_pixels

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
