"""From a FrameRequest to a sampler's inputs: conditioning (prompts, negative prompt, edits), schedule and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS, Conditioning, Regions, fill_rows
from tpos_live.conditioning.words import without_syntax
from tpos_live.core.envelope import ease
from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.diffusion.cuda.stage_timer import StageTimer
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.sampler import Edit, FrameConditioning, SamplerInputs
from tpos_live.diffusion.sampling.scene_place import ScenePlace
from tpos_live.diffusion.sampling.semantic_guidance import SemanticGuide, warm_steps
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens, paired, rows_of_pairs

CONDITIONING, NOISE, UNET = "conditioning", "noise", "unet"
"""Stages of the timer. conditioning: includes encoding the negative prompt."""


@dataclass(frozen=True)
class FrameRequest:
    """One frame to generate.

    conditioning: from the conditioning builder, with `UnetTokens.prompt_length` rows. source: the newest image of the
    source, None without a source.
    """

    params: FrameParams
    conditioning: Conditioning
    snapshot: Snapshot
    source: SourceImage | None = None

    @property
    def laid_over(self) -> bool:
        """Whether a masked source is laid over the image of the text, so that one UNet pass is enough."""
        return self.source is not None and self.source.mask is not None and bool(self.snapshot["source.mask.over"])


class FrameConditioner:
    """Makes the conditioning of each frame. Belongs to the render thread."""

    def __init__(
        self, engine: Engine, latent_shape: tuple[int, int, int, int], unet_tokens: UnetTokens, residual: bool
    ) -> None:
        """residual: guidance by `SamplingSchedule.with_rcfg`, which works with every engine."""
        self._engine, self._unet_tokens, self._draws_pairs = engine, unet_tokens, engine.draws_pairs
        self.residual = residual
        """As the argument; may be changed between two frames."""
        self.tokens = torch.zeros(1, unet_tokens.sequence_length, engine.token_dim, device=engine.device)
        """The newest frame's conditioning without regions, [1, sequence length, dim]."""
        self._negative = torch.zeros_like(self.tokens)
        self._negative_text: str | None = None
        self._regions = self.tokens.repeat(MAX_REGIONS, 1, 1)
        self._guide = SemanticGuide(latent_shape, engine.device)

    def reset(self) -> None:
        """Reset the momentum of semantic guidance."""
        self._guide.reset()

    def update(self, request: FrameRequest, steps: int, share_frame: bool) -> FrameConditioning:
        """The conditioning of a frame with `steps` steps. share_frame: whether regions are allowed."""
        params, regions = request.params, request.conditioning.regions
        in_one_pass = regions is not None and self._draws_pairs and len(regions.weights) == 2
        if regions is not None and in_one_pass:
            first, second = regions.prompt_embeds
            self._write(self.tokens, request, *paired(first, second, regions.weights[1]))
        else:
            self._write(self.tokens, request, request.conditioning.prompt_embeds)
        found = FrameConditioning(
            self.tokens, rcfg=params.guidance if self.residual else 1.0, edit=self._edit(request, steps)
        )
        if not self.residual and self._engine.metadata.guidance and params.guidance > 1.0:
            found = replace(found, negative=self._avoid(request.snapshot), guidance=params.guidance)
        if regions is not None and share_frame and not in_one_pass:
            prompts, weights = self._in_pairs(request, regions) if self._draws_pairs else self._one_each(regions)
            found = replace(found, prompts=prompts, weights=weights)
        return found

    def _one_each(self, regions: Regions) -> tuple[torch.Tensor, tuple[float, ...]]:
        """One row of the batch for each region, and the regions' weights."""
        count = len(regions.weights)
        self._regions[:count] = self.tokens  # the engine's scalars, in the last rows
        self._regions[:count, : self._unet_tokens.prompt_length].copy_(regions.prompt_embeds)
        return self._regions[:count], regions.weights

    def _in_pairs(self, request: FrameRequest, regions: Regions) -> tuple[torch.Tensor, tuple[float, ...]]:
        """Rows of the batch with two prompts each, and the rows' weights (see `rows_of_pairs`)."""
        rows, weights = rows_of_pairs(list(regions.prompt_embeds), regions.weights, regions.heard)
        for number, row in enumerate(rows):
            self._write(self._regions[number : number + 1], request, *row)
        return self._regions[: len(rows)], weights

    def _write(
        self,
        out: torch.Tensor,
        request: FrameRequest,
        embeds: torch.Tensor,
        second: torch.Tensor | None = None,
        share: float = 0.0,
    ) -> None:
        """Write the tokens of one row of the batch to `out`: of one prompt, or of two that the UNet draws in one pass.
        share: area of the second prompt, 0 to 1."""
        params, scalars, seed = request.params, self._unet_tokens.scalars, int(request.snapshot["seed"])
        values = scalars.at(
            seed, params.cut_index, params.noise_position, params.intensity, share, params.direction.palette,
            request.conditioning.span,
        )  # fmt: skip
        self._unet_tokens.fill(out, embeds, values, second)

    def _avoid(self, snapshot: Snapshot) -> torch.Tensor:
        """Tokens of the negative prompt [1, rows, dim]; its text is encoded only when it has changed."""
        text, length = without_syntax(str(snapshot["prompt.negative"])).text, self._unet_tokens.prompt_length
        if self._negative_text != text:
            states = self._engine.texts.avoid(text)
            fill_rows(self._negative[0, :length], states, self._engine.trained_with_audio)
            self._negative_text = text
        self._negative[:, length:].copy_(self.tokens[:, length:])
        return self._negative

    def _edit(self, request: FrameRequest, steps: int) -> Edit | None:
        """Semantic guidance of this frame; None where the audio edits nothing."""
        params, snapshot, edits = request.params, request.snapshot, request.conditioning.edits
        if edits is None or params.audio_guidance * edits.share <= 0:
            self._guide.reset()
            return None
        self._guide.prepare(
            edits.weights,
            params.audio_guidance * edits.share,
            float(snapshot["audio.guidance.quantile"]),
            float(snapshot["audio.guidance.momentum"]),
            params.time,
            (snapshot["seed"], params.cut_index, steps, snapshot.fired("out.panic"), snapshot.fired("reset")),
        )
        return Edit(self._guide, edits.prompt_embeds, warm_steps(steps, float(snapshot["audio.guidance.warmup"])))


class FrameInputs:
    """Makes the inputs of each frame, except the last frame. Belongs to the generator's thread."""

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
