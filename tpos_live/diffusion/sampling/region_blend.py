"""Regional blend: each of several prompts keeps the part of the frame where its own image has the most contrast.

A mean of two conditionings shows neither prompt, and a dissolve shows both half transparent. Here the model predicts
once for each prompt from the same noise, and the predictions are joined place by place (as MultiDiffusion joins
regions, Bar-Tal et al., ICML 2023), by masks that come from the images themselves, as in the fusion of photographs by
their local contrast (Burt and Kolczynski, ICCV 1993): a sun stays a sun while the clouds of the other prompt close in.

With a prediction's image x_k, blurs B and C, the local contrast of it is c_k = C(|x_k - B(x_k)|), over its mean; the
masks are m = softmax over k of (z_k / SOFT + b_k), z being c over the spread of its differences, and b_k such that the
mean of m_k is the prompt's share. Shares are the weights eased by w * w * (3 - 2 * w), over their sum: a prompt
comes and goes by its most striking place, and has to do so gently. All is continuous in weights and images, so
that nothing appears at once; with a weight of one a prompt has the whole frame, as if it were alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.core.envelope import ease
from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.sampling.semantic_guidance import blur

SOFT = 0.45
"""Softness of the masks' edges, in spreads of contrast."""
FINE, WIDE = 1 / 3, 1 / 4
"""Widths of the blurs C and B, as shares of the latent's shorter side. A narrow C makes a mask around
each single spark, and so a disc of the black that surrounds it; at a third the sparks lie in one region."""
ROUNDS = 8
"""Times that the masks' areas are brought nearer to the weights."""
_TINY = 1e-6


def shares(weights: Sequence[float]) -> list[float]:
    """Parts of the frame's area, by the prompts' weights: eased, one in sum."""
    eased = [ease(weight) for weight in weights]
    return [part / sum(eased) for part in eased]


FADED = 5
"""Positions over which coarse masks are averaged, twice."""


class RegionBlender:
    """Joins the predictions of several prompts. Belongs to the render thread.

    Its numbers lie in buffers that never move, so that a recorded graph can use them, too.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device, coarse: bool = False) -> None:
        """shape: [1, channels, height, width] of the latent. coarse: its positions are large in the frame, so that a
        sharp mask would show them as blocks: masks fade over some of them."""
        _, _, height, width = shape
        self._fine, self._wide = (max(round(part * min(height, width)) // 2 * 2 + 1, 3) for part in (FINE, WIDE))
        self._coarse = coarse
        self._scalars = PinnedScalars(MAX_REGIONS, device=device)
        self._share = self._scalars.on_device.view(-1, 1, 1, 1)
        self._masks = torch.zeros(MAX_REGIONS, 1, height, width, device=device)

    def prepare(self, weights: Sequence[float]) -> None:
        """Set the weights of the next frame: 2 to MAX_REGIONS of them, one in sum."""
        self._scalars.upload([max(share, _TINY) for share in shares(weights)])

    def blend(
        self, first: bool, latent: torch.Tensor, predictions: torch.Tensor, skip: torch.Tensor | float,
        out: torch.Tensor | float,
    ) -> torch.Tensor:  # fmt: skip
        """The joined prediction [1, C, h, w].

        latent: [1, C, h, w], what was predicted from. predictions: [K, C, h, w]. skip, out: of the step, so that
        skip * latent + out * prediction is the frame it leads to. first: whether it is the frame's first step;
        later ones keep its masks.
        """
        count = len(predictions)
        masks = self._masks[:count]
        if first:
            masks.copy_(self._masked(latent * skip + predictions * out, self._share[:count]))
        return (predictions * masks).sum(0, keepdim=True)

    def _masked(self, images: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Masks [K, 1, h, w], one in sum at each place, of images [K, C, h, w]."""
        contrast = blur((images - blur(images, self._wide)).square().sum(1, keepdim=True).sqrt(), self._fine)
        contrast = contrast / contrast.mean((2, 3), keepdim=True).clamp_min(_TINY)
        apart = contrast - contrast.mean(0, keepdim=True)
        scores = apart / (SOFT * apart.square().mean().sqrt().clamp_min(_TINY))
        bias = share.log()
        for _ in range(ROUNDS):
            masks = (scores + bias).softmax(0)
            bias = bias + (share / masks.mean((2, 3), keepdim=True).clamp_min(_TINY)).log()
        masks = (scores + bias).softmax(0)
        return blur(masks, FADED) if self._coarse else masks
