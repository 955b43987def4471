"""Batches of several rows in a live show on a CPU: each frame computes one row, in turn, and reuses the others.

While two prompts fade beside a sound, the UNet's batch has two rows, which take twice as long on a CPU: the interval
between frames of a fade was 1.6 times as long. So each frame computes one row, and takes the others from the frames
before. The predicted image (x0) of a row is kept, because its prediction belongs to another noise. The frame before a
fade has one row, that of the old prompt, and its image is the first one of the fade. A cut during a fade begins with
the row of the largest weight; the others follow in the next frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.diffusion.sampling.sampler import SamplerInputs

OLD = 0.25
"""Seconds of sound between two frames from which all rows are computed: older images would differ too much."""
UNSEEN = 0.1
"""Weight below which a new row is hardly visible, so that it can wait for its turn."""
JUMP = 0.25
"""Change of a weight between two frames from which the row may belong to another prompt, because one fade has ended and
the next one has begun. A frame of one row has the weight 1."""
MOST = 0.5
"""Weight from which a single row is enough for the first frame of a cut."""
_LEAST = 1e-2
"""Smallest |c_out| for which a prediction can be computed back from the image."""


class RowsInTurn:
    """Keeps the predicted image of each row of a batch. Belongs to one sampler."""

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, C, h, w] of the latent."""
        self._pictures = torch.zeros(MAX_REGIONS, *shape[1:], device=device)
        self._kind: bool | None = None
        self._scene: object = None
        self._weights: tuple[float, ...] = ()
        self._time, self._turn = 0.0, 0

    def forget(self) -> None:
        """Discard the images: the next frame computes all visible rows."""
        self._kind = None

    @staticmethod
    def fits(inputs: SamplerInputs) -> bool:
        """Whether a frame can be drawn in turn: one step, several regions, no guidance and no edits."""
        steps, composition = inputs.plan.steps, inputs.conditioning.composition
        alone = composition.regions == composition.batch_size
        return composition.regions > 1 and alone and len(steps) == 1 and abs(steps[0].c_out) > _LEAST

    def note(self, inputs: SamplerInputs, picture: torch.Tensor) -> None:
        """Take the image [1, C, h, w] of a frame that does not fit. It is kept if it has one row and one step."""
        self._kind = None
        if inputs.conditioning.composition.batch_size == 1 and len(inputs.plan.steps) == 1:
            self._follow(inputs, (1.0,))
            self._pictures[:1].copy_(picture)

    def predict(self, inputs: SamplerInputs, x: torch.Tensor, draw: Callable[[int], torch.Tensor]) -> torch.Tensor:
        """Predictions [K, C, h, w] at x [1, C, h, w] for all rows of a frame that fits.

        draw(n): computes the prediction [1, C, h, w] of row n, which the next call may overwrite. It is called for one
        row, or for all visible rows where the frame before cannot be reused.
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
        """Note the next frame. Returns the weights of the frame before; () where it cannot be reused, because it is too
        old or only one of the two starts from a last latent."""
        kind, time = inputs.last is None, inputs.params.time
        before = self._weights if kind == self._kind and 0.0 <= time - self._time <= OLD else ()
        self._kind, self._scene, self._time, self._weights = kind, inputs.scene, time, weights
        return before
