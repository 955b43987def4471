"""A whole frame as two CUDA graphs: one of the sampler, one of the decoder.

Everything that a frame depends on is copied into buffers with fixed addresses: noise, last latent, tokens, and the
schedule's numbers. The loop over the steps, guidance, the decoder and the conversion to bytes use no Python numbers, so
one captured graph serves every prompt, strength and seed for a given number of steps. The decoder has a graph of its
own: it is the same after every kind of frame, and the two can be timed separately.

Without CUDA the same code runs without graphs.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.model.backend import Backend, BackendRequest, Decoder, Unet, to_pixels, write_pixels
from tpos_live.diffusion.model.schedule import MAX_STEPS, NUMBERS
from tpos_live.diffusion.sampling.composition import MAX_BATCH_SIZE, Composition
from tpos_live.diffusion.sampling.region_blend import RegionBlender
from tpos_live.diffusion.sampling.sampler import Sample, Sampler, SamplerInputs
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide
from tpos_live.diffusion.sampling.step import StepState, StepTensors

_DECODER = "decoder"


class CapturedPipeline:
    """Draws frames of one size. Belongs to one thread.

    The results are `latent`, float32 [1, C, h, w], and `pixels`, uint8 [H, W, 3]. The next frame overwrites both at the
    same addresses.
    """

    def __init__(self, request: BackendRequest, unet: Unet, decoder: Decoder) -> None:
        engine, device = request.engine, request.engine.device
        self._unet, self._decoder = unet, decoder
        shape = engine.latent_shape(request.size)
        self._state = StepState(shape, device)
        self._noise, self._last = (torch.zeros(shape, device=device) for _ in range(2))
        self._fresh = torch.zeros(MAX_STEPS, *shape, device=device)
        self._rows = torch.zeros(MAX_BATCH_SIZE, request.sequence_length, engine.token_dim, device=device)
        self._scalars = PinnedScalars(1 + MAX_STEPS, NUMBERS, device=device)
        head, self._steps = self._scalars.on_device[0], self._scalars.on_device[1:]
        self._start, self._guidance = head[:2], head[2:3]  # coefficients of noise and last frame; guidance scale
        self.latent = self._state.x0
        self.pixels = torch.zeros(request.size[1], request.size[0], 3, dtype=torch.uint8, device=device)
        self._guide: SemanticGuide | None = None
        self._blender = RegionBlender(shape, device, engine.packing > 1)
        self._graphs = GraphCache(device)

    @torch.inference_mode()
    def draw(self, inputs: SamplerInputs) -> None:
        """Draw one frame into `latent` and `pixels`."""
        self.sample(inputs)
        self.decode()

    @torch.inference_mode()
    def sample(self, inputs: SamplerInputs) -> None:
        """Draw one frame into `latent`. The graphs hold the buffers of the edit's guide: another guide clears them."""
        plan, last, conditioning = inputs.plan, inputs.last, inputs.conditioning
        composition = conditioning.composition
        self._noise.copy_(inputs.noise)
        self._last.copy_(last) if last is not None else self._last.zero_()
        conditioning.write_rows(self._rows)
        if composition.regions > 1:
            self._blender.prepare(conditioning.weights)
        if conditioning.edit is not None:
            if self._guide not in (None, conditioning.edit.guide):
                self._graphs.clear()
            self._guide = conditioning.edit.guide
        start = [plan.noise, plan.last if last is not None else 0.0, conditioning.guidance]
        self._scalars.upload([start + [0.0] * (NUMBERS - len(start)), *plan.rows()])
        for n, step in enumerate(plan.steps):
            if step.noise_coef and inputs.fresh is not None:
                self._fresh[n].copy_(inputs.fresh(n))
        self._run(len(plan.steps), composition)

    @torch.inference_mode()
    def decode(self) -> None:
        """Turn `latent` into `pixels`."""
        self._graphs.run(_DECODER, self._decode)

    def _run(self, steps: int, composition: Composition) -> None:
        """Run the sampler, with one graph for each number of steps and composition."""
        undo = self._guide.undo if self._guide is not None else lambda: None
        self._graphs.run((steps, composition), lambda: self._sample(steps, composition), undo)

    def _sample(self, steps: int, composition: Composition) -> None:
        """The body of the graph: tensors only, because a graph would freeze a Python number."""
        state = self._state
        torch.mul(self._noise, self._start[0], out=state.x)
        state.x.addcmul_(self._last, self._start[1])
        for n in range(steps):
            step = StepTensors.of(self._steps[n])
            if n == 0:
                step = step._replace(correct=None)
            rows = composition.batch_size - composition.sounds + composition.sounds_at(n)
            timestep = step.timestep[None].expand(rows)
            predictions = self._unet(state.x.expand(rows, -1, -1, -1), timestep, self._rows[:rows])
            prediction = composition.compose(n, state.x, predictions, step, self._guidance, self._blender, self._guide)
            state.predict(prediction, step)
            state.advance(step, self._fresh[n])
        state.x0.copy_(state.x)

    def _decode(self) -> None:
        self.pixels.copy_(to_pixels(self._decoder(self.latent)))


class CapturedBackend(Backend):
    """A backend that draws a whole frame by two graph launches. `predict` and `decode` run without graphs, for drafts
    of the latent feedback."""

    def __init__(self, name: str, request: BackendRequest, networks: tuple[Unet, Decoder]) -> None:
        """networks: UNet and decoder (see CapturedPipeline)."""
        self.name = name
        self.size = request.size
        self.networks = networks
        self.pipeline = CapturedPipeline(request, *networks)
        self._sent = torch.cuda.Event() if request.engine.device.type == "cuda" else None
        self.waited: float = 0.0

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.networks[0](latent, timestep, tokens)

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        write_pixels(self.networks[1](latent), out)

    def fetch(self, out: np.ndarray, pixels: torch.Tensor | None = None) -> None:
        """Copy `pixels`, by default the newest frame's, to `out`, uint8 [H, W, 3], and wait for the copy."""
        self.send(out, pixels)
        self.wait()

    def send(self, out: np.ndarray, pixels: torch.Tensor | None = None) -> None:
        """Queue the copy of `fetch` without waiting. out: in pinned memory, else the host waits here."""
        torch.from_numpy(out).copy_(self.pipeline.pixels if pixels is None else pixels, non_blocking=True)
        if self._sent is not None:
            self._sent.record()

    def wait(self) -> None:
        """Wait for the copy queued by `send`, but not for work queued after it."""
        if self._sent is not None:
            began = time.perf_counter()
            self._sent.synchronize()
            self.waited += time.perf_counter() - began


class CapturedSampler(Sampler):
    """Draws by the captured graphs of a backend. They take any batch size unless the networks themselves do not."""

    def __init__(self, backend: CapturedBackend, wait_for_compile: bool = False) -> None:
        self.backend = backend
        self._wait = wait_for_compile

    def sample(self, inputs: SamplerInputs) -> Sample:
        composition, self.batch_reason = inputs.conditioning.composition, ""
        if composition.regions > 1 or composition.sounds:
            self.batch_reason = self.backend.prepare_batch_size(composition.batch_size, self._wait)
        self.backend.pipeline.sample(inputs)
        return Sample(self.backend.pipeline.latent, inputs.params)

    def send(self, out: np.ndarray) -> None:
        self.backend.pipeline.decode()
        self.backend.send(out)

    def fetch(self, out: np.ndarray) -> None:
        self.backend.wait()
