"""Audio semantic guidance: sounds edit the model's prediction, only at the positions where they change it most.

TPoS (Jeong et al., ICCV 2023, "audio semantic guidance") after SEGA (Brack et al., NeurIPS 2023). With the model's
prediction e(c) for a conditioning c, the prompt p, sounds a with their weights, and a reference r:

    psi_a = e(a) - e(r)                                   the direction of a sound
    gamma = (1 - s_m) * sum_a s_a * M(psi_a) + s_m * v    the edit, with momentum
    v'    = b * v + (1 - b) * gamma
    e     = e(r) + s_g * (e(p) - e(r)) + gamma            classifier-free guidance, and the edit

M keeps the positions of a direction whose magnitude is in the upper quantile, and sets the others to 0. The reference
is the prediction without a prompt where the engine runs classifier-free guidance; few-step engines do not, and there it
is the prompt's own prediction. In both cases each sound costs one row in the same UNet call. Everything is linear in
the prediction, so flow, epsilon and v engines need no difference: the mask is the same for e and for the image x0.

Three things differ from TPoS and SEGA, which draw 50 steps for one frame. Momentum runs from frame to frame, in
seconds, with one buffer for each step, because there are few steps and many frames. The factor 1 - s_m, which they do
not have, keeps a constant edit as strong as without momentum: at scale 1 the edited positions become the sound's own
frame, and no more. Warm-up is a share of the steps that is rounded down, so that a single step is edited too. And one
mask with soft edges serves all channels: a hard mask for each channel, as in the papers, leaves broken edges that no
later step can repair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.model.schedule import MAX_STEPS

MAX_EDITS = 3
"""Most sounds that can edit one frame."""
MEMORY = 0.25
"""Time constant of the momentum in seconds: after it, 1/e of a frame's edit is left."""
GAP = 1.0
"""Seconds without a frame after which the momentum is reset."""
FEATHER = 1 / 8
"""Width of the mask's soft edge, as a share of the latent's shorter side."""


def mask(directions: torch.Tensor, first: torch.Tensor, feather: int = 0) -> torch.Tensor:
    """The mask of each direction, 0 to 1, that broadcasts to `directions`, float [K, C, h, w].

    first: int64 [1], how many of the h * w positions are below the quantile; a tensor, so that a CUDA graph can hold
    it. feather: 0 = a hard mask for each channel (TPoS: |psi| at its quantile over h and w); otherwise the odd width of
    the blur of magnitudes and mask, with one mask for all channels.
    """
    size = directions.abs() if not feather else blur(directions.square().sum(1, keepdim=True).sqrt(), feather)
    flat = size.flatten(2)
    order = flat.sort(-1).values
    threshold = order.gather(-1, first.expand(*flat.shape[:2], 1))
    kept = (flat >= threshold).to(directions.dtype).view_as(size)
    return blur(kept, feather) if feather else kept


def blur(x: torch.Tensor, width: int) -> torch.Tensor:
    """Two box blurs in sequence: nearly a Gaussian. A constant stays the same."""
    for _ in range(2):
        x = F.avg_pool2d(x, width, 1, width // 2, count_include_pad=False)
    return x


class SemanticGuide:
    """Edits the predictions of frames of one size. Belongs to the render thread.

    Its scalars and its momentum lie in buffers with fixed addresses, so that a captured graph can use them.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """shape: [1, channels, height, width] of the latent."""
        _, channels, height, width = shape
        self._places = height * width
        self._feather = max(round(FEATHER * min(height, width)) // 2 * 2 + 1, 3)
        self._scalars = PinnedScalars(MAX_EDITS + 3, device=device)
        there = self._scalars.on_device
        self._scales = there[:MAX_EDITS].view(-1, 1, 1, 1)
        self._first, self._momentum, self._keep = there[MAX_EDITS:].split(1)
        self._speed = torch.zeros(MAX_STEPS, 1, channels, height, width, device=device)
        self._last: float | None = None
        self._scene: object = None

    def reset(self) -> None:
        """Reset the momentum at the next frame with an edit. Cheap, because each frame without an edit calls it."""
        self._last = None

    def undo(self) -> None:
        """Reset all momentum, after steps that only ran to capture a graph."""
        self._speed.zero_()

    def prepare(
        self, weights: Sequence[float], scale: float, quantile: float, momentum: float, now: float, scene: object
    ) -> None:
        """Set the scalars of the next frame.

        weights: of the directions, at most MAX_EDITS. scale: s_a for a weight of 1. quantile: share of the frame that
        is not edited, 0 to below 1. momentum: s_m, 0 to below 1. now: seconds of sound; the same `now` again gives the
        same frame. scene: the momentum is reset when it changes.
        """
        if self._last is None or scene != self._scene or not 0.0 <= now - self._last <= GAP:
            self.reset()
            self._speed.zero_()
        elapsed = 0.0 if self._last is None else now - self._last
        self._last, self._scene = now, scene
        scales = [scale * weight for weight in weights] + [0.0] * (MAX_EDITS - len(weights))
        first = min(int(quantile * self._places), self._places - 1)
        self._scalars.upload([*scales, first, momentum, math.exp(-elapsed / MEMORY)])

    def apply(self, n: int, predictions: torch.Tensor, guidance: torch.Tensor | float | None = None) -> torch.Tensor:
        """The edited prediction [1, C, h, w] of step `n`.

        predictions: [rows, C, h, w]: first the prompt's, then the one without a prompt if `guidance` (s_g) is given,
        then those of 1 to MAX_EDITS sounds.
        """
        reference = base = predictions[:1]
        heard = predictions[1:]
        if guidance is not None:
            reference, heard = predictions[1:2], predictions[2:]
            base = torch.lerp(reference, base, guidance)
        directions = heard - reference
        kept = mask(directions, self._first.long(), self._feather)
        edit = (directions * kept * self._scales[: len(directions)]).sum(0, keepdim=True)
        speed = self._speed[n]
        edit = torch.lerp(edit, speed, self._momentum)
        speed.mul_(self._keep).add_((1.0 - self._keep) * edit)
        return base + edit


def warm_steps(steps: int, share: float) -> int:
    """Number of first steps without edits (SEGA's warm-up): a share of `steps`, rounded down, never all."""
    return min(int(share * steps), steps - 1)
