"""Tone mapping and placement: the numbers that both compositors (CPU and GL) share, so that they agree.

Below, v is a coded value (0 to 1 as in the file) and L is light: L = v * (v + 2 TOE) / (1 + 2 TOE). It is near the sRGB
curve (0.26 against 0.21 at half), its inverse is one square root, a round trip is exact, and its slope at black is
finite, so that two machines agree there as well.

One pixel:

    v  = mean + (blend - mean) * contrast, at least 0
    d  = grey + (v - grey) * saturation, 0 to 1; grey = luma of v  in coded values ...
    l  = light(d) * Y(light(v)) / Y(light(d))                ... with the luminance Y of before
    l  = l + bloom * bloom map * (1 - l)      a screen: large bright areas keep their colours
    L  = colour * l                                          exposure and hue in one matrix
    m  = the highest channel of L,  o = max(m - KNEE, 0)     the part above the knee ...
    lost = o * o * shoulder / (1 + o * shoulder)
    L  = L * (m - lost) / m                                  ... is compressed, in the same colour,
    L  = min(L + s * (m - lost - L), 1),  s = 1 - 1 / (1 + SPILL * lost)    and a little desaturated
    v  = sqrt(L * (1 + 2 TOE) + TOE * TOE) - TOE
    out = floor(255 * level * (v + grain * noise * min(8 v, 1)) + dither)

The strength of the shoulder follows from the brightest possible light; without light above 1 it is the identity. It
compresses the highest channel and scales the others with it. If each channel were compressed by itself, the channels of
a bright orange would become equal, and a fire at a drop would turn to cream.

Saturation acts on coded values, because lines towards grey in light bend the hue: a pale flame would turn to mustard,
and its blue would be 0.

Dither is in [0, 1) before rounding down: black stays 0 and white 255.

An engine with soft images gives its frames `detail`: where such a frame is enlarged, each pixel is displaced by a field
of fine turbulence (a domain warp; Perlin, "An image synthesizer", SIGGRAPH 1985), which makes soft edges ragged, as
those of clouds, flames and foam. The field drifts with the frame and rotates as fast as the noise position moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from tpos_live.display.postfx import Fit, PostFxParams

TOE = 1 / 64
KNEE = 0.2
SPILL = 0.06
LUMA = (0.2126, 0.7152, 0.0722)
"""Luminance of linear RGB (ITU-R BT.709)."""
FAINT = 1e-3
"""Added to both luminances before their ratio is taken, so that it is steady near black."""
KEPT = 0.25 * np.array(LUMA) + 0.75 / 3.0
"""Weights of the sum of linear RGB that a hue rotation preserves, between two extremes: if it preserves luminance
(LUMA), violet is pale; if it preserves the mean, violet is dark."""
TILE = 512
"""Side of the noise tile in pixels; a power of two."""
GRAIN_STEP = 40.0
"""One standard deviation of the grain, in the tile's units."""
SHARPNESS = -0.6
"""Parameter a of Keys' cubic convolution: -0.5 is the most accurate, lower is sharper."""
LARGEST_UPSCALE = 4
DETAIL_TILE = 512
"""Side of the turbulence tile in texels; it covers DETAIL_SPAN engine pixels and repeats."""
DETAIL_SPAN = 128
DETAIL_CELLS = (16, 32, 64, 128)
"""Cells across the tile, by octave: waves of eight engine pixels to one."""
DETAIL_GAIN = 0.6
"""Strength of an octave relative to the previous one."""
DETAIL_ENLARGED = 2.5
"""Enlargement from which detail has its full strength; without enlargement there is none."""


Part = tuple[float, float]
"""Shares of an image's width and height that the output shows without zoom: above 1 where it is mirrored."""
WHOLE: Part = (1.0, 1.0)


def to_light(v: np.ndarray) -> np.ndarray:
    """Light of a coded value, both 0 to 1."""
    return np.asarray(v) * (np.asarray(v) + 2 * TOE) / (1 + 2 * TOE)


def to_coded(light: np.ndarray) -> np.ndarray:
    """The inverse of `to_light`."""
    return np.asarray(np.sqrt(np.asarray(light) * (1 + 2 * TOE) + TOE * TOE) - TOE)


@dataclass(frozen=True)
class ToneMapping:
    """colour: row-major 3x3 matrix on light. saturation: of coded values. shoulder: 0 = identity."""

    colour: tuple[float, ...]
    saturation: float
    shoulder: float
    bloom: float

    @classmethod
    def of(cls, postfx: PostFxParams) -> ToneMapping:
        exposure = 2.0**postfx.exposure
        matrix = exposure * (hue_matrix(postfx.hue) if postfx.hue else np.eye(3))
        brightest = exposure * max(postfx.bloom, 1.0)
        shoulder = 0.0
        if brightest > 1.0:
            shoulder = (brightest - 1.0) / ((1.0 - KNEE) * (brightest - KNEE))
        return cls(tuple(matrix.ravel().tolist()), postfx.saturation, shoulder, postfx.bloom)


def hue_matrix(degrees: float) -> np.ndarray:
    """3x3 matrix on light: rotates hues from red towards green; preserves grey and the sum weighted by KEPT."""
    angle = math.radians(degrees)
    axis = np.full(3, 1.0 / math.sqrt(3.0))
    across = np.array(((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))) / math.sqrt(3.0)
    turn = math.cos(angle) * np.eye(3) + math.sin(angle) * across + (1.0 - math.cos(angle)) * np.outer(axis, axis)
    upright = np.outer(np.ones(3), KEPT - 1.0 / 3.0)  # shears the plane of equal KEPT to that of equal sums
    return np.asarray((np.eye(3) - upright) @ turn @ (np.eye(3) + upright))


def toned(light: np.ndarray, spilled: np.ndarray, tone: ToneMapping) -> np.ndarray:
    """Coded values of light [..., 3], both 0 to 1, at full level, without grain and dither.

    spilled: the bloom map there, light [..., 3].
    """
    coded = to_coded(light)
    grey = coded @ np.array(LUMA)
    deeper = to_light(np.clip(grey[..., None] + (coded - grey[..., None]) * tone.saturation, 0.0, 1.0))
    ratio = (light @ np.array(LUMA) + FAINT) / (deeper @ np.array(LUMA) + FAINT)
    light = deeper * ratio[..., None]
    light = light + tone.bloom * spilled * (1.0 - light)
    light = np.maximum(light @ np.array(tone.colour).reshape(3, 3).T, 0.0)
    top = light.max(-1, keepdims=True)
    over = np.maximum(top - KNEE, 0.0)
    lost = over * over * tone.shoulder / (1.0 + over * tone.shoulder)
    light = light * (1.0 - lost / np.maximum(top, KNEE))
    light = light + (1.0 - 1.0 / (1.0 + SPILL * lost)) * (top - lost - light)
    return to_coded(np.minimum(light, 1.0))


@dataclass(frozen=True)
class ImagePlacement:
    """Position of the image. left, top, width, height: the drawn part of the output (the rest is black). matrix a, b,
    c, d and shift x, y convert the centre of an output pixel, relative to the drawn part's top left, to image
    fractions: u = a*px + b*py + x, v = c*px + d*py + y."""

    left: int
    top: int
    width: int
    height: int
    matrix: tuple[float, float, float, float]
    shift: tuple[float, float]


def place_image(postfx: PostFxParams, image: tuple[int, int], output: tuple[int, int]) -> ImagePlacement:
    """Fit, zoom and rotate an image of (width, height) pixels into an output of (width, height)."""
    across, down = output[0] / image[0], output[1] / image[1]
    scale = max(across, down) if postfx.fit == "cover" else min(across, down)
    width, height = output
    if postfx.fit == "contain":
        width = min(max(round(image[0] * scale), 1), output[0])
        height = min(max(round(image[1] * scale), 1), output[1])
    angle = math.radians(postfx.rotate)
    cos, sin = math.cos(angle) / (scale * postfx.zoom), math.sin(angle) / (scale * postfx.zoom)
    a, b = cos / image[0], sin / image[0]
    c, d = -sin / image[1], cos / image[1]
    x, y = postfx.place
    shift = (0.5 + x - (a * width + b * height) / 2, 0.5 + y - (c * width + d * height) / 2)
    return ImagePlacement((output[0] - width) // 2, (output[1] - height) // 2, width, height, (a, b, c, d), shift)


@lru_cache(maxsize=16)
def shown_part(fit: Fit, image: tuple[int, int], output: tuple[int, int] | None) -> Part:
    """The part of an image of (width, height) that an output of (width, height) shows; WHOLE if the output is None."""
    if output is None:
        return WHOLE
    placed = place_image(PostFxParams(fit=fit), image, output)
    return placed.matrix[0] * placed.width, placed.matrix[3] * placed.height


@dataclass(frozen=True)
class Detail:
    """The turbulence over an image: the fraction uv maps to the tile's (uv * scale - start) mod 1.

    reach: displacement for a value of 1, in fractions of the image. cos, sin: shares of the tile's two fields.
    """

    scale: tuple[float, float]
    start: tuple[float, float]
    reach: tuple[float, float]
    cos: float
    sin: float


def detail_of(postfx: PostFxParams, image: tuple[int, int], output: tuple[int, int]) -> Detail | None:
    """The turbulence over an image of (width, height) engine pixels in an output of (width, height); None for none."""
    enlarged = max(output[0] / image[0], output[1] / image[1])
    pixels = postfx.detail * min(max((enlarged - 1.0) / (DETAIL_ENLARGED - 1.0), 0.0), 1.0)
    if pixels <= 0.0:
        return None
    across, down = image[0] / DETAIL_SPAN, image[1] / DETAIL_SPAN
    turn = 2.0 * math.pi * (postfx.detail_turn % 1.0)
    return Detail(
        scale=(across, down),
        start=(postfx.detail_at[0] * across % 1.0, postfx.detail_at[1] * down % 1.0),
        reach=(pixels / image[0], pixels / image[1]),
        cos=math.cos(turn),
        sin=math.sin(turn),
    )


def upscale_factor(image: tuple[int, int], output: tuple[int, int]) -> int:
    """Integer factor of the cubic enlargement before placement."""
    scale = max(output[0] / image[0], output[1] / image[1])
    return min(max(math.ceil(scale - 0.1), 1), LARGEST_UPSCALE)


@cache
def cubic_weights(factor: int) -> tuple[tuple[int, tuple[float, float, float, float]], ...]:
    """For each of the `factor` new pixels per old one: offset of the first of four taps, weights.

    Keys, "Cubic convolution interpolation for digital image processing" (1981), equation 4.
    """
    phases = []
    for phase in range(factor):
        at = (phase + 0.5) / factor - 0.5
        first = math.floor(at) - 1
        weights = [_keys(abs(at - (first + tap))) for tap in range(4)]
        total = sum(weights)
        phases.append((first, tuple(w / total for w in weights)))
    return tuple(phases)  # type: ignore[arg-type]


def _keys(s: float) -> float:
    a = SHARPNESS
    if s < 1:
        return ((a + 2) * s - (a + 3)) * s * s + 1
    return (((s - 5) * s + 8) * s - 4) * a if s < 2 else 0.0


def scramble(x: np.ndarray) -> np.ndarray:
    """A 32-bit integer hash, uint32 to uint32 (Wellons, "Hash function prospector", lowbias32)."""
    x = x.astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


@cache
def noise_tile() -> np.ndarray:
    """uint8 [TILE, TILE, 4]: three channels of uniform dither, one of soft, bell-shaped grain about 128."""
    cell = np.arange(TILE * TILE, dtype=np.uint32).reshape(TILE, TILE)
    dither = scramble(cell)
    fine = scramble(cell + np.uint32(TILE * TILE))
    parts = [((fine >> np.uint32(8 * i)) & np.uint32(255)).astype(np.float64) for i in range(4)]
    grain = np.sum(parts, axis=0)
    for axis in (0, 1):
        grain = 0.85 * grain + 0.25 * (np.roll(grain, 1, axis) + np.roll(grain, -1, axis))
    grain = (grain - grain.mean()) / grain.std()
    planes = [(dither >> np.uint32(8 * i)) & np.uint32(255) for i in range(3)]
    planes.append(np.clip(np.rint(grain * GRAIN_STEP) + 128, 0, 255))
    return np.ascontiguousarray(np.stack(planes, -1).astype(np.uint8))


@cache
def detail_tile() -> np.ndarray:
    """float32 [DETAIL_TILE, DETAIL_TILE, 4]: two displacement fields (x, y; x, y) with a standard deviation of 1.
    Seamless."""
    fields = np.zeros((4, DETAIL_TILE, DETAIL_TILE))
    for octave, cells in enumerate(DETAIL_CELLS):
        smooth = _smoothing(cells)
        for field, total in enumerate(fields):
            first = np.uint32((4 * octave + field) << 20)
            code = scramble(np.arange(cells * cells, dtype=np.uint32) + first)
            parts = [((code >> np.uint32(8 * i)) & np.uint32(255)).astype(np.float64) for i in range(4)]
            waves = np.sum(parts, axis=0).reshape(cells, cells) - 2 * 255
            total += DETAIL_GAIN**octave * (smooth @ waves @ smooth.T)
    fields -= fields.mean(axis=(1, 2), keepdims=True)
    fields /= fields.std(axis=(1, 2), keepdims=True)
    return np.ascontiguousarray(fields.transpose(1, 2, 0).astype(np.float32))


def _smoothing(cells: int) -> np.ndarray:
    """float64 [DETAIL_TILE, cells]: cubic convolution from a ring of cells to a ring of texels."""
    matrix = np.zeros((DETAIL_TILE, cells))
    for texel in range(DETAIL_TILE):
        at = (texel + 0.5) * cells / DETAIL_TILE - 0.5
        first = math.floor(at) - 1
        for tap in range(first, first + 4):
            matrix[texel, tap % cells] += _keys(abs(at - tap))
    return matrix


def noise_offset(seed: int) -> tuple[int, int]:
    """Offset (x, y) of the tile for this seed, which animates the grain."""
    code = int(scramble(np.array([seed & 0xFFFFFFFF], dtype=np.uint32))[0])
    return code & (TILE - 1), (code >> 9) & (TILE - 1)
