"""Stream batch: pictures of several steps in flight, each one step further than the next.

After StreamDiffusion (Kodaira et al. 2023, section 3.1): instead of n calls of the UNet for a picture of n steps, one
call for n rows moves n pictures a step on, and finishes one. A card that one row does not fill draws more
pictures a second that way; each of them is shown n - 1 pictures after it was begun. Prompt, sound and guidance are not
of a picture but of the moment: all that are in flight follow the newest, so only shapes come late, not meanings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.cuda.pinned_scalars import Numbers
from tpos_live.diffusion.model.backend import Backend, Decoder, Unet
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.pixels import to_pixels
from tpos_live.diffusion.model.schedule import NUMBERS, Plan
from tpos_live.diffusion.sampling.captured import CapturedBackend

Moment = TypeVar("Moment")
Fresh = Callable[[int], torch.Tensor]


class StreamBatch(Generic[Moment]):
    """The pictures in flight of one size and number of steps. Belongs to one thread.

    What it holds lies on fixed addresses, so that on a card a CUDA graph holds a whole tick. `latent`, float32
    [1, C, h, w], and with a decoder `pixels`, uint8 [H, W, 3], are those of the picture that was finished last.
    """

    def __init__(
        self,
        steps: int,
        shape: tuple[int, int, int, int],
        conditioning: tuple[int, int],
        device: torch.device,
        unet: Unet,
        decoder: Decoder | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> None:
        """steps: 2 or more. shape: [1, C, h, w] of a latent. conditioning: rows and width of the tokens.

        unet, decoder, size: as for CapturedPipeline; without a decoder only latents are made, and nothing is recorded.
        """
        self._steps, self._unet, self._decoder = steps, unet, decoder
        flight = (steps, *shape[1:])
        self._x, self._x0, self._x0_before, self._base, self._fresh, self._after = (
            torch.zeros(flight, device=device) for _ in range(6)
        )
        self._noise = torch.zeros(shape, device=device)
        self._tokens = torch.zeros(2 * steps, *conditioning, device=device)  # with the prompt, then without it
        self._timestep = torch.zeros(steps, device=device)
        self._numbers = Numbers(1 + steps, NUMBERS, device=device)
        head, self._each = self._numbers.there[0], self._numbers.there[1:]
        self._start, self._guidance = head[0], head[1:2]
        self._recordings = GraphCache(device)
        self._moments: deque[Moment] = deque(maxlen=steps)
        self._scene: object = None
        self.latent = torch.zeros(shape, device=device)
        self.pixels = torch.zeros(size[1], size[0], 3, dtype=torch.uint8, device=device)

    def reset(self) -> None:
        """Forget what is in flight."""
        self._moments.clear()

    @torch.inference_mode()
    def tick(
        self,
        plan: Plan,
        noise: torch.Tensor,
        tokens: torch.Tensor,
        moment: Moment,
        scene: object = None,
        fresh: Fresh | None = None,
        without: torch.Tensor | None = None,
        guidance: float = 1.0,
    ) -> Moment | None:
        """Begin a picture, move all that are in flight a step on, and finish one.

        plan: of as many steps, from noise alone. noise: [1, C, h, w]. tokens, without: [1, rows, dim], of all
        pictures in flight. moment: whatever belongs to the picture that begins. scene: when it changes, what is in
        flight is of another scene and is forgotten. Returns the moment of the picture that is now in `latent`; None
        while the pipe fills.
        """
        assert len(plan.steps) == self._steps and not plan.last
        guided = without is not None and guidance > 1.0
        if scene != self._scene:
            self.reset()
        self._scene = scene
        self._noise.copy_(noise)
        self._tokens[: self._steps].copy_(tokens)
        if guided and without is not None:
            self._tokens[self._steps :].copy_(without)
        self._numbers.put([[plan.noise, guidance, *[0.0] * (NUMBERS - 2)], *plan.rows()])
        for n, step in enumerate(plan.steps):
            if step.fresh and fresh is not None:
                self._fresh[n : n + 1].copy_(fresh(n))
        self._run(guided)
        self._moments.append(moment)
        return self._moments[0] if len(self._moments) == self._steps else None

    def _run(self, guided: bool) -> None:
        if self._decoder is None:
            self._body(guided)
        else:
            self._recordings.run(guided, lambda: self._body(guided), self.reset)

    def _body(self, guided: bool) -> None:
        """One tick: tensors alone, as in CapturedPipeline, of which each slot does one step."""
        x, x0, after = self._x, self._x0, self._after
        for slots, moved in ((x, after), (self._x0_before, x0), (self._base, self._base.clone())):
            slots[1:].copy_(moved[:-1])
        torch.mul(self._noise, self._start, out=x[:1])
        timestep = self._timestep.copy_(self._each[:, 0])
        skip, out, keep, add, fresh, base, before, now = (
            number.view(-1, 1, 1, 1) for number in self._each[:, 1:].unbind(1)
        )
        prediction = self._predict(x, timestep, guided)
        torch.mul(x, skip, out=x0)
        x0.addcmul_(prediction, out)
        corrected = base * self._base + before * self._x0_before + now * x0
        x.copy_(torch.where(base != 0, corrected, x))
        self._base.copy_(x)
        torch.mul(x, keep, out=after)
        after.addcmul_(x0, add).addcmul_(self._fresh, fresh)
        self.latent.copy_(after[-1:])
        if self._decoder is not None:
            self.pixels.copy_(to_pixels(self._decoder(self.latent)))

    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, guided: bool) -> torch.Tensor:
        if not guided:
            return self._unet(x, timestep, self._tokens[: self._steps])
        both = self._unet(x.repeat(2, 1, 1, 1), timestep.repeat(2), self._tokens)
        return torch.lerp(both[self._steps :], both[: self._steps], self._guidance)


class Flight:
    """The stream batch of an engine at a size, on whatever accelerator draws. Belongs to the render thread."""

    def __init__(self, engine: Engine, size: tuple[int, int], rows: int, patient: bool = False) -> None:
        """size: (width, height) in pixels. rows: of conditioning, all kinds together. patient: wait until the
        accelerator can take so many rows, for pictures made offline."""
        self._patient = patient
        self._engine, self._size, self._rows = engine, size, rows
        self._stream: StreamBatch[FrameParams] | None = None
        self._kind: tuple[object, int] | None = None
        self._why = self._told = ""

    def reset(self) -> None:
        """Forget what is in flight."""
        if self._stream is not None:
            self._stream.reset()

    def remark(self) -> str:
        """Why no pictures are in flight although they were asked for, told once; "" where there is nothing to tell."""
        told, self._told = self._told, self._why
        return self._why if self._why != told else ""

    def tick(
        self,
        accelerator: Backend,
        plan: Plan,
        noise: torch.Tensor,
        tokens: torch.Tensor,
        params: FrameParams,
        scene: object,
        fresh: Fresh,
        without: torch.Tensor | None,
        guidance: float,
    ) -> tuple[FrameParams, torch.Tensor] | None:
        """One tick (see StreamBatch): the drive and the latent of the picture that is finished.

        None while the pipe fills, or where the accelerator cannot take so many rows: the loop draws then.
        """
        steps = len(plan.steps)
        count = steps if without is None or guidance <= 1.0 else 2 * steps
        self._why = accelerator.prepare_batch_size(count, self._patient)
        if self._why:
            self._why = f"no stream batch: {self._why}"
            self.reset()
            return None
        if self._stream is None or self._kind != (accelerator, steps):
            self._stream, self._kind = self._make(accelerator, steps), (accelerator, steps)
        finished = self._stream.tick(plan, noise, tokens, params, scene, fresh, without, guidance)
        return None if finished is None else (finished, self._stream.latent)

    def fetch(self, accelerator: Backend, out: np.ndarray) -> None:
        """The picture that is finished, uint8 [H, W, 3], to `out`."""
        assert self._stream is not None
        if isinstance(accelerator, CapturedBackend):
            accelerator.fetch(out, self._stream.pixels)
        else:
            accelerator.decode(self._stream.latent, out)

    def _make(self, accelerator: Backend, steps: int) -> StreamBatch[FrameParams]:
        engine = self._engine
        shape = engine.latent_shape(self._size)
        whole = accelerator if isinstance(accelerator, CapturedBackend) else None
        unet, decoder = whole.networks if whole is not None else (accelerator.predict, None)
        return StreamBatch(steps, shape, (self._rows, engine.token_dim), engine.device, unet, decoder, self._size)
