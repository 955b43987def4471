"""The CPU compositor: turns an engine frame into an output frame.

The reference for `gl_compositor.py`; the formula is in `tone_mapping.py`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.core.frame import Frame
from tpos_live.display.bloom import make_bloom_map
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import (
    DETAIL_TILE,
    GRAIN_STEP,
    KNEE,
    SPILL,
    TILE,
    TOE,
    Detail,
    ImagePlacement,
    ToneMapping,
    cubic_weights,
    detail_of,
    detail_tile,
    noise_offset,
    noise_tile,
    place_image,
    upscale_factor,
)

BAND = 32
"""Rows that are composed together: few enough to keep all intermediate values in a core's cache."""


class CpuCompositor:
    """Composes frames of one output size. State: the enlarged versions of the two newest engine frames.

    Thread contract: one thread at a time.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """size: (width, height) of the output in pixels."""
        self.size = size
        self._upscaled: list[_UpscaledFrame] = []
        self._noise: torch.Tensor | None = None
        self._tile: torch.Tensor | None = None
        self._buffers: dict[tuple[int, int], _Buffers] = {}

    def compose(self, postfx: PostFxParams, newest: Frame | None, previous: Frame | None = None) -> np.ndarray:
        """The composed frame: uint8 [height, width, 3], sRGB, row 0 on top, new memory.

        newest None gives black. previous is used only while postfx.mix is below 1.
        """
        width, height = self.size
        out = torch.zeros(height, width, 3, dtype=torch.uint8)
        level = postfx.shown_level
        if newest is None or level <= 0:
            return out.numpy()
        blended = previous is not None and postfx.mix < 1
        new = self._upscale(newest)
        old = self._upscale(previous) if previous is not None and blended else None
        self._upscaled = [p for p in (old, new) if p is not None]

        placement = place_image(postfx, new.size, self.size)
        tone, detail = ToneMapping.of(postfx), detail_of(postfx, new.size, self.size)
        field = self._field(detail) if detail is not None else None
        bloom_map = new.bloom_map if old is None else torch.lerp(old.bloom_map, new.bloom_map, postfx.mix)
        noise = self._noise_at(postfx.seed, placement)
        across = slice(placement.left, placement.left + placement.width)
        for first in range(0, placement.height, BAND):
            rows = min(BAND, placement.height - first)
            work = self._work(rows, placement.width)
            work.begin(first)
            aside = None if field is None or detail is None else work.turbulence(placement, detail, field)
            v = _blended(work, placement, postfx, aside, new, old)
            light = v.addcmul_(v, v, value=1 / (2 * TOE)).mul_(2 * TOE / (1 + 2 * TOE))
            if tone.bloom > 0:
                light.add_(_sample(bloom_map, work.grid_for(placement, postfx.pan_new)), alpha=tone.bloom)
            light = _colour(light, tone.colour, work.light)
            if tone.shoulder > 0:
                _shoulder(light, tone.shoulder, work.spare)
            v = light.clamp_(0, 1).mul_(1 + 2 * TOE).add_(TOE * TOE).sqrt_().sub_(TOE)
            here = noise[:, first : first + rows]
            if postfx.grain > 0:
                soft = torch.mul(v, 8, out=work.spare).clamp_(max=1).mul_(here[3])
                v.add_(soft, alpha=postfx.grain)
            v.mul_(255 * level).clamp_(0, 255).add_(here[:3])
            work.bytes.copy_(v)
            top = placement.top + first
            out[top : top + rows, across].copy_(work.bytes.permute(1, 2, 0))
        return out.numpy()

    def _upscale(self, frame: Frame) -> _UpscaledFrame:
        for upscaled in self._upscaled:
            if upscaled.frame is frame:
                return upscaled
        return _UpscaledFrame(frame, self.size)

    def _work(self, rows: int, width: int) -> _Buffers:
        if (rows, width) not in self._buffers:
            if len(self._buffers) > 1:  # of another size: a placement has full bands and a shorter last one
                self._buffers.clear()
            self._buffers[rows, width] = _Buffers(rows, width)
        return self._buffers[rows, width]

    def _field(self, detail: Detail) -> torch.Tensor:
        """The turbulence at this moment: float [1, 2, DETAIL_TILE + 2, DETAIL_TILE + 2], padded by one texel on each
        side."""
        if self._tile is None:
            self._tile = F.pad(torch.from_numpy(detail_tile()).permute(2, 0, 1)[None], (1, 1, 1, 1), mode="circular")
        return self._tile[:, :2] * detail.cos + self._tile[:, 2:] * detail.sin

    def _noise_at(self, seed: int, placement: ImagePlacement) -> torch.Tensor:
        """Float [4, height, width] of the drawn area: dither in [0, 1) three times, grain."""
        if self._noise is None:
            tile = torch.from_numpy(noise_tile()).permute(2, 0, 1).float()
            tile[:3] /= 256
            tile[3] = (tile[3] - 128) / GRAIN_STEP
            down, across = self.size[1] // TILE + 2, self.size[0] // TILE + 2
            self._noise = tile.repeat(1, down, across)
        x, y = noise_offset(seed)
        x, y = x + placement.left, y + placement.top
        return self._noise[:, y : y + placement.height, x : x + placement.width]


class _UpscaledFrame:
    """An enlarged engine frame with its bloom map. light: coded float [1, 3, k*h, k*w]; bloom_map: [1, 3, ., .]."""

    def __init__(self, frame: Frame, output: tuple[int, int]) -> None:
        self.frame = frame
        pixels = frame.pixels
        self.size = (pixels.shape[1], pixels.shape[0])
        coded = torch.from_numpy(pixels).permute(2, 0, 1).float().div_(255)
        factor = upscale_factor(self.size, output)
        self.light = enlarge(coded, factor)[None]
        self.bloom_map = make_bloom_map(pixels)[None].contiguous()


class _Buffers:
    """Memory for one band of the drawn area, reused for every band and frame."""

    def __init__(self, height: int, width: int) -> None:
        self.light = torch.empty(3, height, width)
        self.spare = torch.empty(3, height, width)
        self.bytes = torch.empty(3, height, width, dtype=torch.uint8)
        self._grid = torch.empty(2, height, width)
        self._positions = self._grid.permute(1, 2, 0)[None]
        self._x = torch.arange(width).float()[None, :] + 0.5
        self._centres = torch.arange(height).float()[:, None] + 0.5
        self._y = self._centres.clone()

    def begin(self, first: int) -> None:
        """The band begins at this row of the drawn area."""
        torch.add(self._centres, first, out=self._y)

    def turbulence(self, placement: ImagePlacement, detail: Detail, field: torch.Tensor) -> torch.Tensor:
        """Displacement of each pixel: [2, height, width], x and y, as grid_sample expects them."""
        a, b, c, d = placement.matrix
        axes = ((a, b, placement.shift[0]), (c, d, placement.shift[1]))
        for axis, (along, down, shift) in enumerate(axes):
            scale, at = detail.scale[axis], self._grid[axis]
            torch.add(
                self._x * (along * scale) + (shift * scale - detail.start[axis]), self._y * (down * scale), out=at
            )
            # The padding texel on each side lets positions between the last and the first texel be interpolated.
            at.sub_(at.floor()).mul_(2 * DETAIL_TILE).add_(2).div_(DETAIL_TILE + 2).sub_(1)
        aside = F.grid_sample(field, self._positions, align_corners=False)[0]
        aside[0].mul_(2 * detail.reach[0])
        aside[1].mul_(2 * detail.reach[1])
        return aside

    def grid_for(
        self, placement: ImagePlacement, pan: tuple[float, float], aside: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sampling positions [1, height, width, 2] from -1 to 1, as grid_sample expects them, displaced by `aside`."""
        a, b, c, d = placement.matrix
        x, y = placement.shift
        torch.add(self._x * (2 * a) + (2 * (x - pan[0]) - 1), self._y * (2 * b), out=self._grid[0])
        torch.add(self._x * (2 * c) + (2 * (y - pan[1]) - 1), self._y * (2 * d), out=self._grid[1])
        if aside is not None:
            self._grid.add_(aside)
        return self._positions


def _blended(
    work: _Buffers,
    placement: ImagePlacement,
    postfx: PostFxParams,
    aside: torch.Tensor | None,
    new: _UpscaledFrame,
    old: _UpscaledFrame | None,
) -> torch.Tensor:
    """The band of the newest frame, or of the blend of both: coded float [3, rows, width], at least 0."""
    v = _sample(new.light, work.grid_for(placement, postfx.pan_new, aside))
    if old is not None:
        v = torch.lerp(_sample(old.light, work.grid_for(placement, postfx.pan_old, aside)), v, postfx.mix)
        mean = torch.tensor(postfx.mean).view(3, 1, 1)
        v = v.mul_(postfx.contrast).add_(mean * (1 - postfx.contrast))
    return v.clamp_(min=0)


def enlarge(image: torch.Tensor, factor: int) -> torch.Tensor:
    """Cubic convolution by an integer factor: float [3, h, w] to [3, factor*h, factor*w].

    Edges repeat; results are clipped to 0..1.
    """
    if factor == 1:
        return image.contiguous()
    for dim in (2, 1):
        n = image.shape[dim]
        padded = F.pad(image, (0, 0, 2, 2) if dim == 1 else (2, 2, 0, 0), mode="replicate")
        shape = list(image.shape)
        larger = image.new_empty([*shape[: dim + 1], factor, *shape[dim + 1 :]])
        total = torch.empty_like(image)
        for phase, (first, weights) in enumerate(cubic_weights(factor)):
            taps = [padded.narrow(dim, 2 + first + tap, n) for tap in range(4)]
            torch.mul(taps[0], weights[0], out=total)
            for tap, weight in zip(taps[1:], weights[1:], strict=True):
                total.add_(tap, alpha=weight)
            larger.select(dim + 1, phase).copy_(total.clamp_(0, 1))
        image = larger.flatten(dim, dim + 1)
    return image


def _sample(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Bilinear, mirrored at the edges: float [3, height, width]."""
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)[0]


def _colour(light: torch.Tensor, matrix: tuple[float, ...], out: torch.Tensor) -> torch.Tensor:
    """A 3x3 matrix on the colours, at least 0. (Three multiplications are faster than a thin matrix product.)"""
    if matrix[1] == 0:
        return light.mul_(matrix[0])
    for i in range(3):
        torch.mul(light[0], matrix[3 * i], out=out[i])
        out[i].add_(light[1], alpha=matrix[3 * i + 1]).add_(light[2], alpha=matrix[3 * i + 2])
    return out.clamp_(min=0)


def _shoulder(light: torch.Tensor, strength: float, spare: torch.Tensor) -> None:
    """Compress what is brighter than the knee, and desaturate it, in place."""
    over = torch.sub(light, KNEE, out=spare).clamp_(min=0)
    part = over * strength
    lost = over.mul_(part).div_(part.add_(1))
    light.sub_(lost).clamp_(max=1)
    keep = lost.sum(0).mul_(SPILL).add_(1).reciprocal_()
    brightest = light.amax(0)
    light.mul_(keep).addcmul_(brightest, keep.neg_().add_(1))
