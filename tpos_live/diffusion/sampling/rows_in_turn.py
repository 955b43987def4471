"""Several rows of the UNet in a live show on a CPU: each frame draws one of them anew, in turn.

Where two prompts fade beside a sound, the UNet has two rows, and on a CPU two rows take twice as long as one: the
frames of a fade came 1.6 times as late as all others. So a frame draws one row, and takes the others from the frames
just before. What is kept of a row is the picture that it leads to, because its prediction belongs to another noise. The
frame before a fade has one row, that of the prompt which goes: its picture is the first that the fade has. A cut during
a fade begins with the row that has most of the picture, and the rest follows a frame later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.diffusion.sampling.sampler import SamplerInputs

OLD = 0.25
"""Seconds of sound between two frames from which on all rows are drawn: the pictures would lie too far apart."""
UNSEEN = 0.1
"""Weight below which a new row has so little of the picture that it can wait for its turn."""
JUMP = 0.25
"""Change of a weight between two frames from which on its row may be that of another prompt: one fade has ended, and
the next one has begun. A frame of one row has the weight 1."""
MOST = 0.5
"""Weight of a row from which on it is enough for the first frame of a cut."""
_LEAST = 1e-2
"""Share of a prediction in the picture from which on it can be computed from the picture."""


class RowsInTurn:
    """The pictures of the rows of one sampler, which it belongs to."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, C, h, w] of the latent."""
        self._pictures = torch.zeros(MAX_REGIONS, *shape[1:], device=device)
        self._kind: bool | None = None
        self._scene: object = None
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

    def note(self, inputs: SamplerInputs, picture: torch.Tensor) -> None:
        """Take the picture [1, C, h, w] of a frame that does not fit; that of one row and one step is of use."""
        self._kind = None
        if inputs.conditioning.composition.batch_size == 1 and len(inputs.plan.steps) == 1:
            self._follow(inputs, (1.0,))
            self._pictures[:1].copy_(picture)

    def predict(self, inputs: SamplerInputs, x: torch.Tensor, draw: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Predictions [K, C, h, w] at x [1, C, h, w] of all rows of a frame that fits.

        draw(n): the prediction [1, C, h, w] of row n, which the next call may overwrite; called for one row, or where
        the frame before is of no use for all that are seen.
        """
        weights, step = inputs.conditioning.weights, inputs.plan.steps[0]
        count, skipped = len(weights), x * step.c_skip
        pictures, cut = self._pictures[:count], inputs.scene != self._scene
        before = self._follow(inputs, weights)
        largest = max(range(count), key=lambda n: weights[n])
        known = len(before) == count and all(abs(a - b) < JUMP for a, b in zip(weights, before, strict=True))

        def take(rows: Sequence[int]) -> None:
            for n in rows:
                torch.add(skipped, draw(n), alpha=step.c_out, out=pictures[n : n + 1])
                self._turn = n

        if known and not cut:
            take([(self._turn + 1) % count])
        elif known and weights[largest] >= MOST:
            take([largest])
        else:
            others = [n for n in range(count) if n != largest and weights[n] >= UNSEEN]
            begins = len(before) == 1 and not cut and before[0] - weights[largest] < JUMP
            if not begins:
                take([largest])
            pictures.copy_(pictures[0 if begins else largest].clone())
            take(others if others or not begins else [largest])
        return (pictures - skipped) / step.c_out

    def _follow(self, inputs: SamplerInputs, weights: tuple[float, ...]) -> tuple[float, ...]:
        """Take the next frame. The weights of the one before; none where it is of another kind, or too old."""
        kind, time = inputs.last is None, inputs.params.time
        before = self._weights if kind == self._kind and 0.0 <= time - self._time <= OLD else ()
        self._kind, self._scene, self._time, self._weights = kind, inputs.scene, time, weights
        return before
