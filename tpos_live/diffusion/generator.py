"""The painter: one moment of the show in, one picture out."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS, EditDirections, Regions
from tpos_live.conditioning.prompt_syntax import plain
from tpos_live.core.errors import EngineError
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.timing import StageTimes
from tpos_live.diffusion.backends.registry import choose
from tpos_live.diffusion.cuda.streams import DeviceTime, queue_last
from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.schedule import Plan
from tpos_live.diffusion.sampling.captured import CapturedBackend, Edit
from tpos_live.diffusion.sampling.cfg_batch import Batch
from tpos_live.diffusion.sampling.latent_feedback import LEAST_STRENGTH, Feedback
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.region_blend import Growth, shares
from tpos_live.diffusion.sampling.sampler import Loop
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide, warm_steps
from tpos_live.diffusion.sampling.stream_batch import Flight
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens

STAGES = ("host", "noise", "unet", "decode", "total")
"""host: Python beside the networks, the noise in it."""
_POOL = 6
"""Pictures in the pool; Frame promises that the three newest are never written."""
_FEEDBACK_BELOW = 0.999


class NotFiniteError(EngineError):
    """A frame that must not be shown: it has values that are no numbers."""


class Painter:
    """Draws frames of one size with one engine. Belongs to one thread, except `size` and `notice`.

    The same engine, accelerator, thread count and sequence of calls give the same bytes; with strength 1
    and without semantic guidance a picture depends on its own arguments alone, but for live LoRAs on their way.
    """

    def __init__(
        self,
        engine: Engine,
        size: tuple[int, int] | None = None,
        accelerator: str = "auto",
        threads: int = 0,
        audio_tokens: int | None = None,
        patient: bool = False,
        stream_batch: bool = False,
        residual: bool = False,
        soon: bool = False,
    ) -> None:
        """size: (width, height) in pixels, the engine's own if None; the nearest it can do is taken, and
        `notice` says so. threads: of the CPU, 0 = torch's choice. audio_tokens: rows that the mixer appends
        to the prompt's (default: what the engine's metadata says). patient: wait until the accelerator is ready
        for semantic guidance, for pictures made offline. stream_batch: keep the pictures of several steps in flight
        (see `stream_batch`). residual: guidance by `Plan.led`, which every engine has. soon: draw with what is loaded
        soon, where a better accelerator will be swapped in (see `choose`). Raises EngineError.
        """
        if threads > 0:
            torch.set_num_threads(threads)
        self.engine = engine
        self._threads = threads or torch.get_num_threads()
        wanted = size or engine.metadata.size
        self.size = engine.nearest_size(wanted)
        self.notice = ""
        """One line to tell once, or ""."""
        if self.size != wanted:
            self.notice = "{} cannot draw {}x{}; drawing {}x{}".format(engine.name, *wanted, *self.size)
        self._rows = UnetTokens(engine, audio_tokens)
        self.token_rows = self._rows.given
        """Rows that `draw` wants in its tokens."""
        rows = self._rows.count
        self._tokens = torch.zeros(1, rows, engine.token_dim, device=engine.device)
        self._without = torch.zeros_like(self._tokens)
        self._negative: str | None = None
        self.rows = rows
        """Rows of all tokens together."""
        self.request = BackendRequest(engine, self.size, rows, threads)
        """What its backend is chosen for, for `prepare_better`."""
        self.accelerator: Backend = choose(accelerator, self.request, soon)
        shape = engine.latent_shape(self.size)
        self._field, self._fresh = (NoiseField(*shape[1:], stream, engine.device, engine.packing) for stream in (0, 1))
        self._noise = torch.empty(shape, device=engine.device)
        self._loop = Loop(shape, engine.device)
        self.flight = Flight(engine, self.size, rows, patient) if stream_batch else None
        self.residual = residual
        """Whether guidance is by `Plan.led`; may be changed between two pictures."""
        self._led = 1.0
        self._feedback = Feedback(shape, engine.device)
        self._guidance = 1.0
        self._guide = SemanticGuide(shape, engine.device)
        self._growth = Growth(shape, engine.device)
        self.on_card = engine.device.type == "cuda"
        """Whether a card draws, and Python has time meanwhile."""
        self._scenes = torch.zeros(MAX_REGIONS, rows, engine.token_dim, device=engine.device)
        self._weights: tuple[float, ...] = (1.0,)
        self._plan: Plan = engine.schedule.plan(1)
        self._batch = Batch(shape, rows, engine.token_dim, engine.device)
        self._patient = patient
        self._sounds = 0
        self._warm = 0
        self._step = 0
        self._remark = self._why = ""
        sides = self.size[1], self.size[0], 3  # pinned: the card writes the pictures where they are read
        pool = (torch.zeros(sides, dtype=torch.uint8, pin_memory=self.on_card) for _ in range(_POOL))
        self._pool: list[np.ndarray] = [picture.numpy() for picture in pool]
        self._index = 0
        self._unet_seconds = 0.0
        self._device_time = DeviceTime(engine.device)
        self.times = StageTimes(STAGES)
        self._steps = sorted(set(engine.metadata.steps) & {1, 2, 3, 4}) or [1]

    @torch.inference_mode()
    def draw(
        self,
        params: FrameParams,
        tokens: torch.Tensor,
        snapshot: Snapshot,
        directions: EditDirections | None = None,
        scenes: Regions | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Frame:
        """Draw the picture of one moment.

        tokens: float [token_rows, token_dim], prompt and sound; directions: where semantic guidance leads, None for
        nowhere; scenes: the prompts that share the picture, None for one or for their mixture (all from the mixer).
        meanwhile: called once the card has all its work, and not at all where there is none.
        The frame's pixels stay untouched for at least three more frames.
        """
        began = time.perf_counter()
        self._move(params)
        self._unet_seconds = 0.0
        seed = int(snapshot["seed"])
        steps = min(self._steps, key=lambda allowed: abs(allowed - int(snapshot["steps"])))
        self._condition(tokens, params, seed, scenes)
        self._sounds, self._weights = 0, (1.0,)
        self._lead_away(params, snapshot)
        self._device_time.begin()
        self._noise = self._field.at(seed, params.cut_index, params.noise_position, params.pan_x, params.pan_y)
        strength = max(params.strength, LEAST_STRENGTH)
        last = None
        if strength < _FEEDBACK_BELOW:
            if self._feedback.wants_draft(self._tokens):
                draft = self._run(self.engine.schedule.plan(1).led(self._led))
                self._feedback.refer(draft, self._tokens)
            if self._feedback.ready(params):
                last = self._feedback.start(params)
        sampled = time.perf_counter()

        def fresh(n: int) -> torch.Tensor:
            return self._fresh.at(seed + n, params.cut_index, params.noise_position, params.pan_x, params.pan_y)

        plan = self.engine.schedule.plan(steps, strength if last is not None else 1.0).led(self._led)
        self._lead_to(directions, params, snapshot, steps)
        self._share(scenes, directions)
        whole = self.accelerator if isinstance(self.accelerator, CapturedBackend) else None
        without = self._without if self._guidance > 1.0 else None
        flown = None
        if self.flight is not None and len(plan.steps) > 1 and strength >= _FEEDBACK_BELOW and not self._sounds:
            scene = (seed, params.cut_index)
            flown = self.flight.tick(
                self.accelerator, plan, self._noise, self._tokens, params, scene, fresh, without, self._guidance
            )
        elif self.flight is not None:
            self.flight.reset()
        if flown is not None:
            params, latent = flown
        elif whole is not None:
            edit = Edit(self._guide, self._batch.sounds, self._warm) if self._sounds else None
            prompts, weights = self._prompts, self._weights
            whole.whole.draw(plan, self._noise, prompts, last, fresh, without, self._guidance, edit, weights)
            latent = whole.whole.latent
        else:
            latent = self._run(plan, last, fresh)
        if not self.on_card and not bool(torch.isfinite(latent).all()):  # on a card the look would wait for it
            self.reset_feedback()
            raise NotFiniteError("the frame is not finite; its weights or what is cached of them are damaged")
        if strength < _FEEDBACK_BELOW:
            self._feedback.keep(latent, params)
        else:
            self._feedback.reset()
        pixels = self._pool[self._index % _POOL]
        sender = whole if flown is None else None
        if sender is not None:
            sender.send(pixels)
        if self.on_card:
            self._field.look_ahead()
            if meanwhile is not None:
                meanwhile()
        decoding = time.perf_counter()
        if sender is not None:
            sender.wait()
        elif flown is not None and self.flight is not None:
            self.flight.fetch(self.accelerator, pixels)
        else:
            self.accelerator.decode(latent, pixels)
        done = time.perf_counter()
        self.times.add("host", decoding - began - self._unet_seconds)
        self.times.add("noise", max(sampled - began, 0.0))
        self.times.add("unet", self._unet_seconds)
        self.times.add("decode", done - decoding)
        self.times.add("total", done - began)
        self._device_time.end(done - began)
        self._index += 1
        return Frame(
            pixels=pixels,
            index=self._index - 1,
            time=params.time,
            heard_at=params.heard_at,
            drawn_at=done,
            pan_x=params.pan_x,
            pan_y=params.pan_y,
            cut_index=params.cut_index,
            detail=self.engine.metadata.detail,
        )

    @property
    def took(self) -> float:
        """Seconds for which the newest picture kept the device; on a card, the one before it (see `DeviceTime`)."""
        return self._device_time.took

    def reset(self) -> None:
        """Forget the last picture (feedback and momentum start anew) and count from 0."""
        self.reset_feedback()
        self._index = 0

    def reset_feedback(self) -> None:
        """Draw the next picture from noise alone, and forget what is in flight."""
        self._feedback.reset()
        self._guide.reset()
        if self.flight is not None:
            self.flight.reset()

    def use(self, accelerator: Backend) -> None:
        """Go on with another accelerator from the next picture on. Call from the drawing thread."""
        self.accelerator = accelerator
        if self.on_card:
            torch.cuda.empty_cache()  # what the recordings of the one before held goes back to the card
        self.settle()

    def settle(self) -> None:
        """Give PyTorch the right number of threads, and the card's other users the way; call once on the thread that
        draws."""
        # Beside a card nothing is large enough for several threads: they would only wait for each other.
        alone = 1 if self.on_card else self._threads
        torch.set_num_threads(self.accelerator.torch_threads or alone)
        queue_last(self.engine.device)
        if not self._patient and not self._rows.pairs:
            self.accelerator.prepare_batch_size(2)  # for the first change of the prompt

    def _move(self, params: FrameParams) -> None:
        """Bring the weights of live LoRAs nearer to the drive's; in the first picture, and offline, to them."""
        fixed = self.accelerator.name if self.accelerator.weights_frozen else ""
        if self.engine.networks.live.follow(params.loras, fixed, whole=self._patient or not self._index):
            self._feedback.doubt()

    def _condition(self, tokens: torch.Tensor, params: FrameParams, seed: int, scenes: Regions | None) -> None:
        """All rows of the conditioning; two prompts at once, where the engine can."""
        second, share = None, 0.0
        if scenes is not None and self._in_one_pass(scenes):
            tokens, second = scenes.prompt_embeds[0], scenes.prompt_embeds[1]
            share = shares(scenes.weights)[1]
        values = self._rows.scalars.at(seed, params.cut_index, params.noise_position, params.intensity, share)
        self._rows.fill(self._tokens, tokens, values, second)

    def _in_one_pass(self, scenes: Regions) -> bool:
        return self._rows.pairs and len(scenes.weights) == 2

    def _lead_away(self, params: FrameParams, snapshot: Snapshot) -> None:
        """Prepare guidance (Ho and Salimans 2022) where the engine has it and it is on."""
        self._led = params.guidance if self.residual else 1.0
        self._guidance = params.guidance if self.engine.metadata.guidance and not self.residual else 1.0
        if self._guidance <= 1.0:
            return
        text = plain(str(snapshot["prompt.negative"])).text
        if self._negative != text:
            states = self.engine.avoid(text)
            rows = len(states)
            self._without[0, :rows].copy_(states)
            if not self.engine.hears:
                self._without[0, rows : self.token_rows].copy_(states[rows - (self.token_rows - rows) :])
            self._negative = text
        self._without[:, self.token_rows :].copy_(self._tokens[:, self.token_rows :])

    def _lead_to(self, directions: EditDirections | None, params: FrameParams, snapshot: Snapshot, steps: int) -> None:
        """Prepare semantic guidance where the sound leads somewhere."""
        if directions is None or params.audio_guidance * directions.share <= 0:
            self._guide.reset()
            return
        self._sounds = len(directions.prompt_embeds)
        self._warm = warm_steps(steps, float(snapshot["audio.guidance.warmup"]))
        self._guide.prepare(
            directions.weights,
            params.audio_guidance * directions.share,
            float(snapshot["audio.guidance.quantile"]),
            float(snapshot["audio.guidance.momentum"]),
            params.time,
            (snapshot["seed"], params.cut_index, steps, snapshot.fired("out.panic"), snapshot.fired("reset")),
        )

    def _share(self, scenes: Regions | None, directions: EditDirections | None) -> None:
        """Prepare the rows of prompts that share the picture, and of sounds that lead. Pictures in flight are one
        mixture instead: the masks of one would lie over the other."""
        if scenes is not None and self.flight is None and not self._in_one_pass(scenes):
            self._weights, count = scenes.weights, len(scenes.weights)
            self._scenes[:count] = self._tokens  # the engine's scalars, in the last rows
            self._scenes[:count, : self.token_rows].copy_(scenes.prompt_embeds)
            if not isinstance(self.accelerator, CapturedBackend):  # which has masks of its own
                self._growth.prepare(self._weights)
        if len(self._weights) == 1 and not self._sounds:
            return
        leading = directions.prompt_embeds if self._sounds and directions is not None else None
        self._batch.fill(self._prompts, self._without if self._guidance > 1.0 else None, leading)
        why = self._batch.ready(self.accelerator, self._patient)
        if 1 < len(self._weights) < MAX_REGIONS and not self._patient:
            self.accelerator.prepare_batch_size(len(self._weights) + 1)  # for a prompt that comes while a sound grows
        if self.flight is not None and not why:
            why = "semantic guidance draws each picture for itself, without the stream batch"
        # A fade is over before a line about its cost is read; a sound may lead all night.
        if self._sounds and why != self._why:
            self._remark = self._why = why

    @property
    def _prompts(self) -> torch.Tensor:
        """The conditionings that share the picture, [scenes, rows, dim]."""
        return self._scenes[: len(self._weights)] if len(self._weights) > 1 else self._tokens

    def remark(self) -> str:
        """One line about how the newest pictures are drawn, told once; "" where there is nothing to tell."""
        told, self._remark = self._remark, ""
        told = told or self.engine.networks.live.remark()
        return told or (self.flight.remark() if self.flight is not None else "")

    def _run(
        self, plan: Plan, last: torch.Tensor | None = None, fresh: Callable[[int], torch.Tensor] | None = None
    ) -> torch.Tensor:
        self._plan, self._step = plan, 0
        return self._loop.run(plan, self._predict, self._noise, last, fresh)

    def _predict(self, latent: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        before = time.perf_counter()
        n, self._step = self._step, self._step + 1
        count = len(self._weights)
        sounds = self._sounds if n >= self._warm else 0
        if sounds or count > 1:
            predictions = self._batch.predict(self.accelerator, latent, timestep)
            if count > 1:
                step = self._plan.steps[n]
                joined = self._growth.join(n == 0, latent, predictions[:count], step.skip, step.out)
                predictions = torch.cat([joined, predictions[count:]])
            guided = self._guidance > 1.0
            if sounds:
                prediction = self._guide.apply(n, predictions, self._guidance if guided else None)
            elif guided:
                prediction = torch.lerp(predictions[1:2], predictions[:1], self._guidance)
            else:
                prediction = predictions[:1]
            self._unet_seconds += time.perf_counter() - before
            return prediction
        prediction = self.accelerator.predict(latent, timestep, self._tokens)
        if self._guidance > 1.0:
            prediction = prediction.clone()
            without = self.accelerator.predict(latent, timestep, self._without)
            prediction = torch.lerp(without, prediction, self._guidance)
        self._unet_seconds += time.perf_counter() - before
        return prediction
