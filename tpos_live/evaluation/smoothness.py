"""Smoothness of an engine's images over time, and quality of blends halfway between two prompts."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tpos_live.core.envelope import fade_weight
from tpos_live.core.spherical import slerp
from tpos_live.evaluation.accuracy import any_scalars
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import WorkerPool, item_rng
from tpos_live.evaluation.harness.sampler import as_tensor
from tpos_live.evaluation.metrics.report import Figure
from tpos_live.evaluation.metrics.statistics import difference, sharpness, small
from tpos_live.evaluation.reference_stats import ReferenceStats
from tpos_live.training.text.captions import PHRASES

FPS = 30
RAMP = 2 * FPS
"""Frames of a crossfade between two prompts during which the intensity rises."""
WALK = 1.0
"""Distance along the noise walk per second of normal motion."""


class Walk(NamedTuple):
    """Figures of one prompt's walk, relative to the difference between two seeds. step, ramp: mean difference of
    neighbouring frames without and with the crossfade. straight: the same for linear interpolation between the
    crossfade's ends. second: mean difference over one second. jump: largest step over the median step."""

    step: float
    ramp: float
    straight: float
    second: float
    jump: float


def smoothness(pool: WorkerPool, prompts: int, frames: int) -> list[Figure]:
    """Differences of images at 64 by 64 pixels, relative to the difference of two random seeds of the same prompt.

    Each prompt runs for `frames` frames of 1/30 s. In the last RAMP of them it fades to another prompt while the
    intensity rises from 0.2 to 0.9; with few frames, only the beginning of this ramp is in the last third.
    """
    names = pool.context.families
    chosen = [names[k * len(names) // prompts if prompts < len(names) else k % len(names)] for k in range(prompts)]
    walks = pool.map("smoothness", _walk, [(k, name, frames) for k, name in enumerate(chosen)])
    steps, ramps, straight, seconds, jumps = (np.array(column) for column in zip(*walks, strict=True))
    count = prompts * frames

    def noted(values: np.ndarray, worst: int, digits: int) -> str:
        return f"{prompts} prompts, {frames} frames each; median {np.median(values):.{digits}f}; worst: {chosen[worst]}"

    return [
        Figure("one frame on, worst prompt (two seeds = 1)", float(steps.max()), 0.1, least=False, n=count,
               note=noted(steps, int(steps.argmax()), 3)),
        Figure("the same while blend and intensity ramp in 2 s", float(ramps.max()), 0.1, least=False, n=count,
               note=f"{noted(ramps, int(ramps.argmax()), 3)}, where the straight way from end to end is "
               f"{straight[ramps.argmax()]:.2f} a frame"),
        Figure("one second on, stillest prompt (two seeds = 1)", float(seconds.min()), 0.3, n=count,
               note=noted(seconds, int(seconds.argmin()), 2)),
        Figure("largest step / median step, worst prompt", float(jumps.max()), 3.0, least=False, n=count,
               note=noted(jumps, int(jumps.argmax()), 2)),
    ]  # fmt: skip


def _walk(context: EvaluationContext, item: tuple[int, str, int]) -> Walk:
    number, first, frames = item
    harness = context.harness
    rng, _ = item_rng(context.seed, "walk", number)
    other = rng.choice([name for name in context.families if name != first])
    here, there = (context.states(rng.choice(PHRASES[name])) for name in (first, other))
    seed, start = rng.randrange(2**31), rng.uniform(0, 500)
    ramp = min(RAMP, frames // 3)
    shown = []
    for frame in range(frames):
        share = max(frame - (frames - ramp) + 1, 0) / RAMP
        noise, scalars = harness.moment(seed, start + WALK * frame / FPS, 0.2 + 0.7 * share)
        coming = fade_weight(share)  # as a show fades
        shown.append(small(harness.blend([(here, 1 - coming), (there, coming)], scalars, noise)))
    others = [harness.draw(here, scalars, harness.moment(rng.randrange(2**31), start, 0.2)[0]) for _ in range(6)]
    apart = max(float(np.mean([difference(a, b) for a, b in pairwise(others)])), 1e-6)
    moved = np.array([np.abs(a - b).mean() for a, b in pairwise(shown)])
    quiet, busy = moved[: frames - ramp], moved[frames - ramp :]
    jump = max(float(part.max() / max(np.median(part), 1e-6)) for part in (quiet, busy) if len(part))
    gap = min(FPS, frames - ramp - 1)
    far = [np.abs(shown[i + gap] - shown[i]).mean() for i in range(frames - ramp - gap)]
    straight = np.abs(shown[-1] - shown[frames - ramp - 1]).mean() / ramp
    step, way, second = (float(np.mean(moves)) / apart for moves in (quiet, busy, far))
    return Walk(step, way, float(straight) / apart, second, jump)


class Half(NamedTuple):
    """Figures of one pair of prompts. blend, dissolve, mixed: whether the classifier finds both scenes in the blend, in
    an opacity dissolve, and in an image of the interpolated conditioning. keen, faded: sharpness of blend and dissolve,
    relative to the mean of the two images. alarm: share of the two images in which it finds the other's scene."""

    blend: bool
    dissolve: bool
    mixed: bool
    keen: float
    faded: float
    alarm: float


def blends(pool: WorkerPool, renders: ReferenceStats, pairs: int) -> list[Figure]:
    """Compare the blend halfway between two prompts, as a show draws it, with an opacity dissolve of the two images
    from the same noise.

    The classifier finds a family if it recognises it in a part of the image, a quarter of the area.
    """
    found = pool.map("blends", _half, range(pairs))
    blend, dissolve, mixed, keen, faded, alarm = (float(np.mean(column)) for column in zip(*found, strict=True))
    ceiling = renders.both(pool, pool.context.families, pairs)
    return [
        Figure("both parents found in blends / in renders of both", blend / max(ceiling, 1e-6), 0.8, unit="%", n=pairs,
               note=f"found in {100 * blend:.0f} % of blends and {100 * ceiling:.0f} % of renders; dissolve: "
               f"{100 * dissolve:.0f} %; mean conditioning: {100 * mixed:.0f} %; "
               f"not there, and found: {100 * alarm:.0f} %"),
        Figure("more than a dissolve shows, in points", blend - dissolve, 0.01, unit="%", n=pairs),
        Figure("sharpness of blends / of their ends", keen, 0.9, unit="%", n=pairs,
               note=f"dissolve: {100 * faded:.0f} %"),
        Figure("sharper than a dissolve, in points", keen - faded, 0.01, unit="%", n=pairs),
    ]  # fmt: skip


def _half(context: EvaluationContext, number: int) -> Half:
    harness = context.harness
    rng, generator = item_rng(context.seed, "blend", number)
    names = rng.sample(context.families, 2)
    a, b = (context.states(PHRASES[name][0]) for name in names)
    noise, scalars = harness.noise(generator), any_scalars(rng, 0.7)
    first, last = harness.draw(a, scalars, noise), harness.draw(b, scalars, noise)
    blend = harness.blend([(a, 0.5), (b, 0.5)], scalars, noise)
    mixed = harness.draw(slerp(a, b, 0.5), scalars, noise)
    faded = ((first.astype(np.float32) + last) / 2).round().astype(np.uint8)
    found = context.families_in_parts(as_tensor([blend, faded, first, last, mixed]))
    keen = sharpness(np.stack([blend, faded, first, last]))
    whole = max(float(keen[2:].mean()), 1e-6)
    both, alarm = set(names), (names[1] in found[2]) + (names[0] in found[3])
    blended, dissolved, meant = (both <= found[n] for n in (0, 1, 4))
    return Half(blended, dissolved, meant, float(keen[0]) / whole, float(keen[1]) / whole, alarm / 2)
