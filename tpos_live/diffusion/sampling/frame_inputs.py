"""The inputs of a sampler for one frame, except the last frame: conditioning, schedule, noise."""

from __future__ import annotations

import torch

from tpos_live.core.envelope import ease
from tpos_live.diffusion.cuda.stage_timer import StageTimer
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameConditioner, FrameRequest
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.sampler import SamplerInputs
from tpos_live.diffusion.sampling.scene_place import ScenePlace

CONDITIONING, NOISE, UNET = "conditioning", "noise", "unet"
"""Stages of the timer. conditioning: includes encoding the negative prompt."""


class FrameInputs:
    """Makes the inputs of each frame. Belongs to the generator's thread."""

    def __init__(
        self, engine: Engine, shape: tuple[int, int, int, int], conditioner: FrameConditioner, timer: StageTimer
    ) -> None:
        """shape: of the latent, [1, C, h, w]."""
        self._engine, self._conditioner, self._timer = engine, conditioner, timer
        self.noise_field, self._fresh_field = (
            NoiseField(*shape[1:], stream, engine.device, engine.packing) for stream in (0, 1)
        )
        self._place = ScenePlace(shape, engine.packing, engine.device) if engine.draws_pairs else None
        self._steps = sorted(set(engine.metadata.steps) & {1, 2, 3, 4}) or [1]

    def of(self, request: FrameRequest, share_frame: bool) -> SamplerInputs:
        """The inputs for a request, in buffers that are valid until the next call. share_frame: whether regions are
        allowed."""
        params, seed, asked = request.params, int(request.snapshot["seed"]), int(request.snapshot["steps"])
        steps = min(self._steps, key=lambda allowed: abs(allowed - asked))
        self._timer.enter(CONDITIONING)
        conditioning = self._conditioner.update(request, steps, share_frame=share_frame)
        self._timer.enter(NOISE)
        moment = params.cut_index, params.noise_position, params.pan_x, params.pan_y
        noise = self.noise_field.at(seed, *moment)
        regions = request.conditioning.regions
        if self._place is not None and share_frame and regions is not None and regions.heard:
            self._place.apply(noise, params.direction, ease(regions.weights[-1]))

        def fresh(n: int) -> torch.Tensor:
            self._timer.enter(NOISE)
            found = self._fresh_field.at(seed + n, *moment)
            self._timer.enter(UNET)
            return found

        plan = self._engine.schedule.plan(steps).with_rcfg(conditioning.rcfg)
        return SamplerInputs(plan, noise, conditioning, fresh=fresh, params=params, scene=(seed, params.cut_index))
