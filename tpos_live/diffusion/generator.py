"""The frame generator: from a FrameRequest to a frame, with one engine at one size. The render thread calls it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.core.errors import EngineError
from tpos_live.core.frame import Frame, SourceImage
from tpos_live.core.timing import StageTimes
from tpos_live.diffusion.backends.registry import choose
from tpos_live.diffusion.cuda.frame_pool import FramePool
from tpos_live.diffusion.cuda.graphs import use_low_priority_stream
from tpos_live.diffusion.cuda.stage_timer import HOST, StageTimer
from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.captured import CapturedBackend, CapturedSampler
from tpos_live.diffusion.sampling.eager import EagerSampler
from tpos_live.diffusion.sampling.first_frame import first_frame_told
from tpos_live.diffusion.sampling.frame_conditioning import (
    CONDITIONING,
    NOISE,
    UNET,
    FrameConditioner,
    FrameInputs,
    FrameRequest,
)
from tpos_live.diffusion.sampling.latent_feedback import LatentFeedback, feeds_back
from tpos_live.diffusion.sampling.sampler import Sample, Sampler, SamplerInputs
from tpos_live.diffusion.sampling.source_start import SourceStart, strength_beside
from tpos_live.diffusion.sampling.stream_batch import StreamBatchSampler
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens

log = logging.getLogger(__name__)

ENCODE, DECODE = "encode", "decode"
"""Further stages of the timer. encode: the source's image to a latent. decode: the decoder, and mixing in the source's
own pixels."""


class NotFiniteError(EngineError):
    """The latent has NaN or infinite values, so the frame must not be shown."""


@dataclass(frozen=True)
class GeneratorOptions:
    """Options of a FrameGenerator besides engine, size and backend."""

    threads: int = 0
    """CPU threads; 0 = PyTorch's choice."""
    wait_for_compile: bool = False
    """Wait until the backend can take a frame's batch size, for offline rendering."""
    stream_batch: bool = False
    """Keep the frames of several steps in flight (see `stream_batch`)."""
    residual_guidance: bool = False
    """Guidance by `SamplingSchedule.with_rcfg`, which works with every engine."""
    fast_start: bool = False
    """Begin with a backend that loads quickly, until a better one replaces it (see `choose`)."""
    in_turn: bool = False
    """On a CPU, draw one row of the UNet's batch per frame (`RowsInTurn`), for live shows."""
    openvino_device: str = "auto"
    """ "auto", or a device name of OpenVINO."""


class FrameGenerator:
    """Generates frames of one size with one engine. Belongs to one thread, except `size`.

    The same engine, backend, thread count and sequence of calls give the same bytes. With strength 1 and without
    semantic guidance a frame depends on its own request alone, except while weights of live LoRAs change or rows are
    drawn in turn.
    """

    def __init__(
        self,
        engine: Engine,
        size: tuple[int, int] | None = None,
        backend: str = "auto",
        options: GeneratorOptions = GeneratorOptions(),  # frozen
    ) -> None:
        """size: (width, height) in pixels, None = the engine's own; rounded, with a warning, to one that the engine
        can draw. backend: one of `backend_table.CHOICES`. Raises EngineError.
        """
        if options.threads > 0:
            torch.set_num_threads(options.threads)
        self.engine = engine
        self._options = options
        self._threads = options.threads or torch.get_num_threads()
        wanted = size or engine.metadata.size
        self.size = engine.nearest_size(wanted)
        if self.size != wanted:
            log.warning("{} cannot draw {}x{}; drawing {}x{}".format(engine.name, *wanted, *self.size))
        shape, device = engine.latent_shape(self.size), engine.device
        tokens = UnetTokens(engine)
        self.prompt_length = tokens.prompt_length
        """Rows of a request's prompt_embeds."""
        self.conditioner = FrameConditioner(engine, shape, tokens, options.residual_guidance)
        rows, openvino_device = tokens.sequence_length, options.openvino_device
        self.request = BackendRequest(engine, self.size, rows, options.threads, openvino_device=openvino_device)
        """The request that the backend was chosen for; `prepare_better` needs it."""
        self.backend: Backend = choose(backend, self.request, options.fast_start)
        self._timer = StageTimer(device, (CONDITIONING, NOISE, ENCODE, UNET, DECODE))
        self._inputs = FrameInputs(engine, shape, self.conditioner, self._timer)
        self._feedback = LatentFeedback(engine.schedule, shape, device)
        self._source = SourceStart(engine, self.size, options.wait_for_compile)
        self._in_turn = options.in_turn and device.type == "cpu"
        self._eager = EagerSampler(self.request, self.backend, options.wait_for_compile, self._in_turn)
        self._sampler: Sampler = self._eager
        self.stream_batch: StreamBatchSampler | None = None
        self.keep_in_flight(options.stream_batch)
        self.on_card = device.type == "cuda"  # then Python has time while the card draws
        self._pool = FramePool(self.size, self.on_card)
        self.index = 0
        """Number of the next frame, from 0 at the last `reset`."""
        self._batch_reason = ""

    @first_frame_told
    @torch.inference_mode()
    def generate(self, request: FrameRequest, meanwhile: Callable[[], object] | None = None) -> Frame:
        """Generate the frame of one request. Its pixels stay valid for at least three more frames.

        meanwhile: called when all work of the frame is queued on the card; never called without a card.
        """
        timer = self._timer
        sampler, sample, source = self._draw(request, self.on_card)
        pixels = self._pool.pixels(self.index)
        timer.enter(DECODE)
        sampler.send(pixels)
        if self.on_card:
            self._inputs.noise_field.look_ahead()
            if meanwhile is not None:
                meanwhile()
        sampler.fetch(pixels)
        if source is not None and not self.on_card:
            self._source.mix_pixels(pixels, source, request.params.source_amount, request.laid_over)
        done = timer.end()
        self.index += 1
        about = self.engine.metadata
        return Frame.of(pixels, self.index - 1, sample.params, done, about.detail, about.vivid)

    @first_frame_told
    @torch.inference_mode()
    def sample(self, request: FrameRequest) -> Sample:
        """The latent of one request, for a caller that decodes it; valid until the next call. For CPUs only."""
        _, sample, _ = self._draw(request, True)
        self._timer.end()
        self.index += 1
        return sample

    def _draw(self, request: FrameRequest, in_latents: bool) -> tuple[Sampler, Sample, SourceImage | None]:
        """The sampler that holds the finished latent, the latent, and the source's image if it was used. in_latents:
        whether a source is laid over in the latent, or later in pixels."""
        timer, params = self._timer, request.params
        timer.begin()
        frozen = self.backend.name if self.backend.weights_frozen else ""
        at_once = self._options.wait_for_compile or not self.index  # else live LoRAs approach their weights over frames
        if self.engine.networks.live.follow(params.loras, frozen, whole=at_once):
            self._feedback.invalidate()
        # A stream batch blends the prompts instead of drawing regions: one mask would act on several frames.
        inputs = self._inputs.of(request, share_frame=self.stream_batch is None)
        timer.enter(ENCODE)
        encoded = None if request.laid_over and not in_latents else request.source
        source = self._source.latent(encoded, params.source_amount)
        timer.enter(HOST)
        if source is None or self._source.masked:
            inputs = self._feedback.applied(inputs, self.conditioner.tokens, self._draft)
        timer.enter(UNET)
        if source is None:
            sampler, sample = self._sample(inputs)
        elif request.laid_over:
            sampler, sample = self._sampler, self._drawn(inputs)
            self._source.lay_over(sample.latent, source, params.source_amount)
        else:
            sampler, sample = self._sample_source(inputs, source)
        timer.enter(HOST)
        self._keep(sample)
        return sampler, sample, request.source if source is not None or request.laid_over else None

    @property
    def times(self) -> StageTimes:
        """How long the stages of the newest frames took."""
        return self._timer.times

    @property
    def busy_s(self) -> float:
        """Seconds for which the newest frame kept the device; on a card, the one before it (see `StageTimer`)."""
        return self._timer.busy_s

    def keep_in_flight(self, on: bool) -> None:
        """Switch the stream batch, several frames in flight, on or off from the next frame on."""
        self.stream_batch = StreamBatchSampler(self.request, self._options.wait_for_compile) if on else None
        self._set_backend(self.backend)

    def reset(self) -> None:
        """Forget the last frame (latent feedback and momentum start again) and count from 0."""
        self.reset_feedback()
        self.index = 0

    def reset_feedback(self) -> None:
        """Draw the next frame from noise alone, and discard frames in flight."""
        self._feedback.reset()
        self.conditioner.reset()
        self._eager.reset()
        if self.stream_batch is not None:
            self.stream_batch.reset()

    def use(self, backend: Backend) -> None:
        """Draw with another backend from the next frame on. Call it on the render thread."""
        self._set_backend(backend)
        if self.on_card:
            torch.cuda.empty_cache()  # frees the memory of the old backend's graphs
        self.settle()

    def settle(self) -> None:
        """Set the number of torch threads, use a low-priority CUDA stream, and prepare the batch size of a fade. Call
        it once on the render thread."""
        # With a card, the work on the host is too small for several threads: they would only wait for each other.
        alone = 1 if self.on_card else self._threads
        torch.set_num_threads(self.backend.torch_threads or alone)
        use_low_priority_stream(self.engine.device)
        if not self._options.wait_for_compile and not self.engine.draws_pairs and not self._in_turn:
            self.backend.prepare_batch_size(2)  # for the first change of the prompt

    def _set_backend(self, backend: Backend) -> None:
        self.backend = self._eager.backend = backend
        self._sampler = self._eager
        if isinstance(backend, CapturedBackend):
            self._sampler = CapturedSampler(backend, self._options.wait_for_compile)
        if self.stream_batch is not None:
            self.stream_batch.backend = backend

    def _draft(self, inputs: SamplerInputs) -> torch.Tensor:
        """The latent drawn from these inputs, for the latent feedback; called while the inputs are prepared."""
        self._timer.enter(UNET)
        latent = self._eager.sample(inputs).latent
        self._timer.enter(HOST)
        return latent

    def _sample_source(self, inputs: SamplerInputs, source: torch.Tensor) -> tuple[Sampler, Sample]:
        """The latent drawn from the source's latent; with a mask also one from the inputs, by a second UNet pass."""
        if self.stream_batch is not None:
            self.stream_batch.reset()
        text = self._drawn(inputs).latent.clone() if self._source.masked else None
        strength = strength_beside(inputs.params.source_amount)
        plan = self.engine.schedule.plan(len(inputs.plan.steps), strength).with_rcfg(inputs.conditioning.rcfg)
        sample = self._drawn(replace(inputs, plan=plan, last=source))
        if text is not None:
            self._source.keep_inside(sample.latent, text)
        return self._sampler, sample

    def _sample(self, inputs: SamplerInputs) -> tuple[Sampler, Sample]:
        """The latent, and the sampler that holds it."""
        stream = self.stream_batch
        if stream is not None:
            if len(inputs.plan.steps) > 1 and not feeds_back(inputs.params) and inputs.conditioning.edit is None:
                finished = stream.sample(inputs)
                if finished is not None:
                    return stream, finished
            else:
                stream.reset()
        return self._sampler, self._drawn(inputs)

    def _drawn(self, inputs: SamplerInputs) -> Sample:
        """The latent by the sampler without a stream batch."""
        sample = self._sampler.sample(inputs)
        assert sample is not None
        self._prepare_batch(inputs)
        return sample

    def _prepare_batch(self, inputs: SamplerInputs) -> None:
        """Prepare the batch size for one more prompt, and log why semantic guidance is slow."""
        composition, pairs = inputs.conditioning.composition, self.engine.draws_pairs
        later = self._options.wait_for_compile or (self._in_turn and len(inputs.plan.steps) == 1)
        if not later and (pairs or 1 < composition.regions < MAX_REGIONS):
            # For a new prompt while the sound has a region. Pairs seldom need a third row, and each row takes 65 MB.
            self.backend.prepare_batch_size(2 if pairs else composition.regions + 1)
        if not composition.sounds:  # a fade is too short to log its cost; semantic guidance may last for hours
            return
        reason = self._sampler.batch_reason
        if self.stream_batch is not None and not reason:
            reason = "semantic guidance draws each frame for itself, without the stream batch"
        if reason and reason != self._batch_reason:
            log.warning(reason)
        self._batch_reason = reason

    def _keep(self, sample: Sample) -> None:
        """Keep the latent for the next frame. Raises NotFiniteError."""
        if not self.on_card and not bool(torch.isfinite(sample.latent).all()):  # on a card the test would wait
            self.reset_feedback()
            raise NotFiniteError("the frame is not finite; its weights or what is cached of them are damaged")
        if feeds_back(sample.params):
            self._feedback.keep(sample.latent, sample.params)
        else:
            self._feedback.reset()
