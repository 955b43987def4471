"""Several rows of the UNet in a live show on a CPU: each frame draws one of them anew, in turn.

Where two prompts fade beside a sound, the UNet has two rows, and on a CPU two rows take twice as long as one: the
frames of a fade came 1.6 times as late as all others. So a frame draws one row, and takes the others from the frames
just before. What is kept of a row is the picture that it leads to, because its prediction belongs to another noise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.diffusion.sampling.sampler import SamplerInputs

OLD = 0.25
"""Seconds of sound between two frames from which on all rows are drawn: the pictures would lie too far apart."""
UNSEEN = 0.1
"""Weight below which a new row has so little of the picture that it can wait for its turn."""
JUMP = 0.25
"""Change of a weight between two frames from which on its row may be that of another prompt: one fade has ended, and
the next one has begun."""
_LEAST = 1e-2
"""Share of a prediction in the picture from which on it can be computed from the picture."""


class RowsInTurn:
    """The pictures of the rows of one sampler, which it belongs to."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, C, h, w] of the latent."""
        self._pictures = torch.zeros(MAX_REGIONS, *shape[1:], device=device)
        self._kind: tuple[object, ...] | None = None
        self._weights: tuple[float, ...] = ()
        self._time, self._turn = 0.0, 0

    def forget(self) -> None:
        """Keep nothing: a frame without rows in turn lies between."""
        self._kind = None

    @staticmethod
    def fits(inputs: SamplerInputs) -> bool:
        """Whether a frame is one step of several regions, and nothing else."""
        steps, composition = inputs.plan.steps, inputs.conditioning.composition
        alone = composition.regions == composition.batch_size
        return composition.regions > 1 and alone and len(steps) == 1 and abs(steps[0].c_out) > _LEAST

    def predict(self, inputs: SamplerInputs, x: torch.Tensor, draw: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Predictions [K, C, h, w] at x [1, C, h, w] of all rows of a frame that fits.

        draw(n): the prediction [1, C, h, w] of row n, which the next call may overwrite; called for one row, or in the
        first frame of a scene for all that are seen.
        """
        weights, step, time = inputs.conditioning.weights, inputs.plan.steps[0], inputs.params.time
        count, skipped = len(weights), x * step.c_skip
        kind = inputs.scene, count, inputs.last is None
        known, apart = kind == self._kind, time - self._time
        known = known and all(abs(a - b) < JUMP for a, b in zip(weights, self._weights, strict=True))
        self._kind, self._time, self._weights = kind, time, weights
        pictures, rows = self._pictures[:count], list(range(count))
        if not known:
            self._turn = max(rows, key=lambda n: weights[n])
            rows = [n for n in rows if n == self._turn or weights[n] >= UNSEEN]
        elif 0.0 <= apart <= OLD:
            self._turn = (self._turn + 1) % count
            rows = [self._turn]
        for n in rows:
            torch.add(skipped, draw(n), alpha=step.c_out, out=pictures[n : n + 1])
        if not known:
            for n in set(range(count)).difference(rows):
                pictures[n] = pictures[self._turn]
        return (pictures - skipped) / step.c_out
