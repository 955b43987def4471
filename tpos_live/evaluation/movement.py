"""How pictures change: smoothness in time, and what lies halfway between two prompts."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import torch

from tpos_live.conditioning.prompts import slerp
from tpos_live.evaluation.figures import Figure
from tpos_live.evaluation.quality import Trial
from tpos_live.evaluation.statistics import difference, sharpness, small
from tpos_live.training.captions import PHRASES
from tpos_live.training.recipe import PLAIN

FPS = 30
RAMP = 2 * FPS
"""Frames of a blend from one prompt to another while the intensity rises."""
WALK = 1.0
"""Distance along the noise walk in a second of normal motion."""


def smoothness(trial: Trial, prompts: int, frames: int) -> list[Figure]:
    """Differences of pictures at 64 by 64, over that of two random seeds of the same prompt.

    Each prompt walks for `frames` frames of 1/30 s. In the last RAMP of these (the last third and the ramp's beginning,
    if there are few) it blends to another prompt while the intensity goes from 0.2 to 0.9.
    """
    artist, rng = trial.artist, random.Random(trial.seed + 5)
    names = list(trial.families)
    steps, seconds, jumps, ramps = [], [], [], []
    for k in trial.progress("smoothness", range(prompts)):
        first = names[k % len(names)]
        second = rng.choice([name for name in names if name != first])
        here, there = (trial.states(rng.choice(PHRASES[name])) for name in (first, second))
        seed, start = rng.randrange(2**31), rng.uniform(0, 500)
        ramp = min(RAMP, frames // 3)
        shown = []
        for frame in range(frames):
            share = max(frame - (frames - ramp) + 1, 0) / RAMP
            states = slerp(here, there, share)
            noise, scalars = artist.moment(seed, start + WALK * frame / FPS, 0.2 + 0.7 * share)
            shown.append(small(artist.draw(states, scalars, noise)))
        others = [artist.draw(here, scalars, artist.moment(rng.randrange(2**31), start, 0.2)[0]) for _ in range(6)]
        apart = max(float(np.mean([difference(a, b) for a, b in pairwise(others)])), 1e-6)
        moved = np.array([np.abs(a - b).mean() for a, b in pairwise(shown)])
        quiet, busy = moved[: frames - ramp], moved[frames - ramp :]
        steps.append(float(quiet.mean()) / apart)
        ramps.append(float(busy.mean()) / apart)
        jumps.append(max(float(part.max() / max(np.median(part), 1e-6)) for part in (quiet, busy) if len(part)))
        gap = min(FPS, frames - ramp - 1)
        far = [np.abs(shown[i + gap] - shown[i]).mean() for i in range(frames - ramp - gap)]
        seconds.append(float(np.mean(far)) / apart)
    count = prompts * frames
    return [
        Figure("one frame on, worst prompt (two seeds = 1)", max(steps), 0.1, least=False, n=count,
               note=f"median {np.median(steps):.3f}"),
        Figure("the same while blend and intensity ramp in 2 s", max(ramps), 0.1, least=False, n=count,
               note=f"median {np.median(ramps):.3f}"),
        Figure("one second on, stillest prompt (two seeds = 1)", min(seconds), 0.3, n=count,
               note=f"median {np.median(seconds):.2f}"),
        Figure("largest step / median step, worst prompt", max(jumps), 3.0, least=False, n=count),
    ]  # fmt: skip


def blends(trial: Trial, pairs: int) -> list[Figure]:
    """Halfway between two prompts, against an opacity dissolve of the two pictures, from the same noise."""
    artist, rng = trial.artist, random.Random(trial.seed + 7)
    generator = torch.Generator().manual_seed(trial.seed + 7)
    mixed, faded, ends, parents = [], [], [], []
    for _ in trial.progress("blends", range(pairs)):
        one, two = rng.sample(range(len(trial.families)), 2)
        a, b = (trial.states(PHRASES[trial.families[at]][0]) for at in (one, two))
        noise, scalars = artist.noise(generator), (0.7, *(rng.random() for _ in PLAIN[1:]))
        first, last = artist.draw(a, scalars, noise), artist.draw(b, scalars, noise)
        mixed.append(artist.draw(slerp(a, b, 0.5), scalars, noise))
        faded.append(((first.astype(np.float32) + last) / 2).round().astype(np.uint8))
        ends.append((first, last))
        parents.append({one, two})
    found = []
    for pictures in (mixed, faded):
        best = np.argsort(trial.look(pictures)[1], axis=1)[:, -2:]
        found.append(float(np.mean([set(row.tolist()) == want for row, want in zip(best, parents, strict=True)])))
    whole = (sharpness(np.stack([a for a, _ in ends])) + sharpness(np.stack([b for _, b in ends]))) / 2
    keen = [float(np.mean(sharpness(np.stack(p)) / np.maximum(whole, 1e-6))) for p in (mixed, faded)]
    return [
        Figure("blends in which the judge finds both parents", found[0], 0.8, unit="%", n=pairs,
               note=f"dissolve: {100 * found[1]:.0f} %"),
        Figure("more than a dissolve shows, in points", found[0] - found[1], 0.01, unit="%", n=pairs),
        Figure("sharpness of blends / of their ends", keen[0], 0.9, unit="%", n=pairs,
               note=f"dissolve: {100 * keen[1]:.0f} %"),
        Figure("sharper than a dissolve, in points", keen[0] - keen[1], 0.01, unit="%", n=pairs),
    ]  # fmt: skip
