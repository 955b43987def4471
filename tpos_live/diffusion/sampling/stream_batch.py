"""Stream batch: a pipeline of several frames in flight, each one step ahead of the next.

After StreamDiffusion (Kodaira et al. 2023, section 3.1): instead of n UNet calls for a frame of n steps, one call with
a batch of n advances n frames by one step, and finishes one of them. A card that one row does not fill reaches a higher
frame rate; each frame is shown n - 1 frames after its start. All frames in flight use the newest prompt, sound and
guidance, so only shapes are delayed, not content.
"""

from __future__ import annotations

import logging
from collections import deque

import numpy as np
import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.model.backend import Backend, BackendRequest, Decoder, Unet, to_pixels
from tpos_live.diffusion.model.schedule import NUMBERS
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.composition import classifier_free
from tpos_live.diffusion.sampling.sampler import Sample, Sampler, SamplerInputs
from tpos_live.diffusion.sampling.step import StepState, StepTensors

log = logging.getLogger(__name__)


class StreamBatch:
    """The frames in flight of one size and number of steps. Belongs to one thread.

    All buffers have fixed addresses, so that on a card one CUDA graph holds a whole step. `latent`, float32
    [1, C, h, w], and with a decoder `pixels`, uint8 [H, W, 3], belong to the newest finished frame.
    """

    def __init__(self, steps: int, request: BackendRequest, unet: Unet, decoder: Decoder | None = None) -> None:
        """steps: 2 or more. Without a decoder only latents are made, and nothing is captured."""
        engine, device = request.engine, request.engine.device
        self._steps, self._unet, self._decoder = steps, unet, decoder
        shape = engine.latent_shape(request.size)
        self._state = StepState((steps, *shape[1:]), device)
        self._fresh = torch.zeros(steps, *shape[1:], device=device)
        self._noise = torch.zeros(shape, device=device)
        # First the rows with the prompt, then those with the negative prompt.
        self._rows = torch.zeros(2 * steps, request.sequence_length, engine.token_dim, device=device)
        self._timestep = torch.zeros(steps, device=device)
        self._scalars = PinnedScalars(1 + steps, NUMBERS, device=device)
        head, self._each = self._scalars.on_device[0], self._scalars.on_device[1:]
        self._start, self._guidance = head[0], head[1:2]
        self._graphs = GraphCache(device)
        self._in_flight: deque[FrameParams] = deque(maxlen=steps)
        self._scene: object = None
        self.latent = torch.zeros(shape, device=device)
        self.pixels = torch.zeros(request.size[1], request.size[0], 3, dtype=torch.uint8, device=device)

    def reset(self) -> None:
        """Discard all frames in flight."""
        self._in_flight.clear()

    @torch.inference_mode()
    def step(self, inputs: SamplerInputs) -> FrameParams | None:
        """Begin a frame, advance all frames in flight by one step, and finish one.

        inputs: with one prompt and the same number of steps, from noise alone; all frames in flight use its
        conditioning. When its scene changes, the frames in flight are discarded. Returns the params of the frame that
        is now in `latent`; None while the pipeline fills.
        """
        plan, conditioning = inputs.plan, inputs.conditioning
        guided = conditioning.composition.guided
        assert len(plan.steps) == self._steps and not plan.last
        if inputs.scene != self._scene:
            self.reset()
        self._scene = inputs.scene
        self._noise.copy_(inputs.noise)
        self._rows[: self._steps].copy_(conditioning.prompts)
        if guided and conditioning.negative is not None:
            self._rows[self._steps :].copy_(conditioning.negative)
        self._scalars.upload([[plan.noise, conditioning.guidance, *[0.0] * (NUMBERS - 2)], *plan.rows()])
        for n, step in enumerate(plan.steps):
            if step.noise_coef and inputs.fresh is not None:
                self._fresh[n : n + 1].copy_(inputs.fresh(n))
        if self._decoder is None:
            self._work(guided)
        else:
            self._graphs.run(guided, lambda: self._work(guided), self.reset)
        self._in_flight.append(inputs.params)
        return self._in_flight[0] if len(self._in_flight) == self._steps else None

    def _work(self, guided: bool) -> None:
        """The body of the graph: one step for each slot; tensors only, as in CapturedPipeline."""
        state = self._state
        for slots in (state.x, state.x0_before, state.x_before):
            slots[1:].copy_(slots[:-1].clone())
        torch.mul(self._noise, self._start, out=state.x[:1])
        step = StepTensors.of(self._each.T[..., None, None, None])
        timestep = self._timestep.copy_(self._each[:, 0])
        state.predict(self._predict(state.x, timestep, guided), step)
        state.advance(step, self._fresh)
        self.latent.copy_(state.x[-1:])
        if self._decoder is not None:
            self.pixels.copy_(to_pixels(self._decoder(self.latent)))

    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, guided: bool) -> torch.Tensor:
        if not guided:
            return self._unet(x, timestep, self._rows[: self._steps])
        both = self._unet(x.repeat(2, 1, 1, 1), timestep.repeat(2), self._rows)
        return classifier_free(both[: self._steps], both[self._steps :], self._guidance)


class StreamBatchSampler(Sampler):
    """The sampler with a stream batch, for any backend."""

    def __init__(self, request: BackendRequest, wait_for_compile: bool = False) -> None:
        """wait_for_compile: wait until the backend can take the batch size, for offline rendering."""
        self._wait = wait_for_compile
        self._request = request
        self._stream: StreamBatch | None = None
        self._kind: tuple[object, int] | None = None
        self.backend: Backend | None = None

    def reset(self) -> None:
        if self._stream is not None:
            self._stream.reset()

    def sample(self, inputs: SamplerInputs) -> Sample | None:
        """Advance all frames in flight by one step; the finished frame.

        None while the pipeline fills, or where the backend cannot take the batch size: another sampler draws then.
        """
        backend, steps = self.backend, len(inputs.plan.steps)
        assert backend is not None
        reason = backend.prepare_batch_size(2 * steps if inputs.conditioning.composition.guided else steps, self._wait)
        line = f"no stream batch: {reason}" if reason else ""
        if line and line != self.batch_reason:
            log.warning(line)
        self.batch_reason = line
        if reason:
            self.reset()
            return None
        if self._stream is None or self._kind != (backend, steps):
            networks = backend.networks if isinstance(backend, CapturedBackend) else (backend.predict,)
            self._stream, self._kind = StreamBatch(steps, self._request, *networks), (backend, steps)
        finished = self._stream.step(inputs)
        return None if finished is None else Sample(self._stream.latent, finished)

    def fetch(self, out: np.ndarray) -> None:
        assert self._stream is not None
        if isinstance(self.backend, CapturedBackend):
            self.backend.fetch(out, self._stream.pixels)
        elif self.backend is not None:
            self.backend.decode(self._stream.latent, out)
