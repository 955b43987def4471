"""The CPU compositor: turns an engine frame into an output frame.

The reference for `gl_compositor.py`; the formula is in `tone_mapping.py`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.core.frame import Frame
from tpos_live.display.bloom import make_bloom_map
from tpos_live.display.enlarge import enlarge
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import (
    DETAIL_TILE,
    FAINT,
    GRAIN_STEP,
    KNEE,
    LUMA,
    SPILL,
    TILE,
    TOE,
    Detail,
    ImagePlacement,
    ToneMapping,
    detail_of,
    detail_tile,
    noise_offset,
    noise_tile,
    place_image,
    upscale_factor,
)

LIGHT = 2 * TOE / (1 + 2 * TOE)
"""Factor from v * v / (2 TOE) + v to light. In that unit each pixel needs one operation less."""
BAND, PIXELS = 32, 57_600
"""Smallest number of rows, and of pixels, that are composed at once (a band): few enough for a core's cache, and enough
that the overhead of the calls is small (with PIXELS a preview of 320x180 takes two thirds of the time)."""


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
        out = np.zeros((height, width, 3), np.uint8)
        white = 255 * postfx.shown_level
        if newest is None or white <= 0:
            return out
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
        band = max(BAND, PIXELS // max(placement.width, 1))
        for first in range(0, placement.height, band):
            rows = min(band, placement.height - first)
            work = self._work(rows, placement.width)
            work.begin(first)
            displacement = None if field is None or detail is None else work.turbulence(placement, detail, field)
            v = _blended(work, placement, postfx, displacement, new, old)
            light = _saturated(v, tone.saturation, work)
            if tone.bloom > 0:
                spilled = _sample(bloom_map, work.grid_for(placement, postfx.pan_new))
                light.addcmul_(light, spilled, value=-tone.bloom).add_(spilled, alpha=tone.bloom / LIGHT)
            light = _colour(light, tone.colour, work.light)
            if tone.shoulder > 0:
                _shoulder(light, tone.shoulder, work.spare)
            v = light.clamp_(0, 1).mul_((1 + 2 * TOE) * white**2).add_((TOE * white) ** 2).sqrt_().sub_(TOE * white)
            here = noise[:, first : first + rows]
            if postfx.grain > 0:
                soft = torch.mul(v, 8 / white, out=work.spare[0]).clamp_(max=1).mul_(here[3])
                v.add_(soft, alpha=postfx.grain * white).clamp_(0, 255)
            np.copyto(work.bytes, v.add_(here[:3]).numpy(), casting="unsafe")
            top = placement.top + first
            for channel in range(3):
                out[top : top + rows, across, channel] = work.bytes[channel]
        return out

    def _upscale(self, frame: Frame) -> _UpscaledFrame:
        for upscaled in self._upscaled:
            if upscaled.frame is frame:
                return upscaled
        return _UpscaledFrame(frame, self.size)

    def _work(self, rows: int, width: int) -> _Buffers:
        if (rows, width) not in self._buffers:
            if len(self._buffers) > 1:  # of an old placement; each has full bands and a shorter last one
                self._buffers.clear()
            self._buffers[rows, width] = _Buffers(rows, width)
        return self._buffers[rows, width]

    def _field(self, detail: Detail) -> torch.Tensor:
        """The displacement at this moment, x and y, as grid_sample expects them: float [1, 2, DETAIL_TILE + 2,
        DETAIL_TILE + 2], padded by one texel on each side."""
        if self._tile is None:
            self._tile = F.pad(torch.from_numpy(detail_tile()).permute(2, 0, 1)[None], (1, 1, 1, 1), mode="circular")
        reach = 2 * torch.tensor(detail.reach).view(2, 1, 1)  # grid_sample counts from -1 to 1
        return (self._tile[:, :2] * (detail.cos * reach)).addcmul_(self._tile[:, 2:], detail.sin * reach)

    def _noise_at(self, seed: int, placement: ImagePlacement) -> torch.Tensor:
        """Float [4, height, width] of the drawn area: three channels of dither in [0, 1), one of grain."""
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
        self.spare = torch.empty(2, 3, height, width)
        self.bytes = np.empty((3, height, width), np.uint8)
        self._grid = torch.empty(2, height, width)
        self._positions = self._grid.permute(1, 2, 0)[None]
        self._x = torch.arange(width).float()[None, :] + 0.5
        self._centres = torch.arange(height).float()[:, None] + 0.5
        self._y = self._centres.clone()

    def begin(self, first: int) -> None:
        """Begin the band whose first row is row `first` of the drawn area."""
        torch.add(self._centres, first, out=self._y)

    def turbulence(self, placement: ImagePlacement, detail: Detail, field: torch.Tensor) -> torch.Tensor:
        """Displacement of each pixel: [2, height, width], x and y, as grid_sample expects them."""
        side = DETAIL_TILE + 2
        a, b, c, d = placement.matrix
        axes = ((a, b, placement.shift[0]), (c, d, placement.shift[1]))
        for axis, (along, down, shift) in enumerate(axes):
            scale, at = detail.scale[axis], self._grid[axis]
            torch.add(
                self._x * (along * scale) + (shift * scale - detail.start[axis]), self._y * (down * scale), out=at
            )
            # The padding texel on each side lets positions between the last and the first texel be interpolated.
            at.sub_(torch.floor(at, out=self.spare[0][0])).mul_(2 * DETAIL_TILE / side).add_(2 / side - 1)
        return F.grid_sample(field, self._positions, align_corners=False)[0]

    def grid_for(
        self, placement: ImagePlacement, pan: tuple[float, float], displacement: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Sampling positions [1, height, width, 2] from -1 to 1, as grid_sample expects them, displaced by
        `displacement`."""
        a, b, c, d = placement.matrix
        x, y = placement.shift
        torch.add(self._x * (2 * a) + (2 * (x - pan[0]) - 1), self._y * (2 * b), out=self._grid[0])
        torch.add(self._x * (2 * c) + (2 * (y - pan[1]) - 1), self._y * (2 * d), out=self._grid[1])
        if displacement is not None:
            self._grid.add_(displacement)
        return self._positions


def _blended(
    work: _Buffers,
    placement: ImagePlacement,
    postfx: PostFxParams,
    displacement: torch.Tensor | None,
    new: _UpscaledFrame,
    old: _UpscaledFrame | None,
) -> torch.Tensor:
    """The band of the newest frame, or of the blend of both: coded float [3, rows, width], at least 0."""
    v = _sample(new.light, work.grid_for(placement, postfx.pan_new, displacement))
    if old is not None:
        v = torch.lerp(_sample(old.light, work.grid_for(placement, postfx.pan_old, displacement)), v, postfx.mix)
        mean = torch.tensor(postfx.mean).view(3, 1, 1)
        v = v.mul_(postfx.contrast).add_(mean * (1 - postfx.contrast))
    return v.clamp_(min=0)


def _sample(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Bilinear, mirrored at the edges: float [3, height, width]."""
    return F.grid_sample(image, grid, padding_mode="reflection", align_corners=False)[0]


def _colour(light: torch.Tensor, matrix: tuple[float, ...], out: torch.Tensor) -> torch.Tensor:
    """A 3x3 matrix on the colours in units of LIGHT, at least 0. (Three multiplications are faster than a thin matrix
    product.)"""
    if matrix[1] == 0:
        return light.mul_(matrix[0] * LIGHT)
    for i in range(3):
        torch.mul(light[0], matrix[3 * i] * LIGHT, out=out[i])
        out[i].add_(light[1], alpha=matrix[3 * i + 1] * LIGHT).add_(light[2], alpha=matrix[3 * i + 2] * LIGHT)
    return out.clamp_(min=0)


def _saturated(v: torch.Tensor, saturation: float, work: _Buffers) -> torch.Tensor:
    """Light, in units of LIGHT, of coded values [3, height, width] with another saturation and the same luminance. v:
    its memory is used."""
    if saturation == 1.0:
        return _light(v, v)
    light, grey, scale, faint = work.light, work.spare[0, 0], work.spare[0, 1], FAINT / LIGHT
    before = _luma(_light(v, light), work.spare[0, 2]).add_(faint)
    _luma(v, grey)
    v.mul_(saturation).add_(grey, alpha=1.0 - saturation).clamp_(0, 1)
    torch.div(before, _luma(_light(v, v), scale).add_(faint), out=scale)
    return v.mul_(scale)


def _light(v: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(v, v, v, value=1 / (2 * TOE), out=out)


def _luma(colours: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    torch.mul(colours[0], LUMA[0], out=out)
    return out.add_(colours[1], alpha=LUMA[1]).add_(colours[2], alpha=LUMA[2])


def _shoulder(light: torch.Tensor, strength: float, spare: torch.Tensor) -> None:
    """Compress what is brighter than the knee, and desaturate it, in place. spare: memory [2, 3, height, width]."""
    top, over, keep = spare[0]
    scale = spare[1, 0]
    torch.maximum(torch.maximum(light[0], light[1], out=top), light[2], out=top)
    torch.sub(top, KNEE, out=over).clamp_(min=0)
    # lost = o * o * shoulder / (1 + o * shoulder) = o - o / (1 + o * shoulder)
    lost = over.sub_(torch.div(over, torch.mul(over, strength, out=keep).add_(1), out=keep))
    torch.mul(lost, SPILL, out=keep).add_(1).reciprocal_()
    torch.clamp(top, min=KNEE, out=scale)
    torch.div(lost, scale, out=scale).neg_().add_(1).mul_(keep)
    light.mul_(scale).add_(top.sub_(lost).mul_(keep.neg_().add_(1))).clamp_(max=1)
