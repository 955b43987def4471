"""Regional blend: each of several prompts keeps the part of the frame where its own image has the most contrast.

The mean of two conditionings shows neither prompt, and a dissolve shows both half transparent. Here the model predicts
once for each prompt from the same noise, and masks join the predictions at each position (as MultiDiffusion joins
regions, Bar-Tal et al., ICML 2023). The masks come from the images themselves, as in the fusion of photographs by local
contrast (Burt and Kolczynski, ICCV 1993): a sun stays a sun while the clouds of the other prompt come in around it.

With the predicted image x_k and the blurs B and C, the local contrast is c_k = C(|x_k - B(x_k)|), divided by its mean.
The masks are m = softmax over k of (z_k / SOFT + b_k). z is c minus its mean over k, divided by the root mean square of
that difference; b_k is chosen so that the mean of m_k is the prompt's share. Shares are the weights eased by
w * w * (3 - 2 * w), divided by their sum, because the positions with the most contrast come first and go last. All is
continuous in weights and images, so nothing appears suddenly. With weight 1 a prompt has the whole frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.core.envelope import ease
from tpos_live.diffusion.cuda.pinned_scalars import PinnedScalars
from tpos_live.diffusion.sampling.semantic_guidance import blur

SOFT = 0.45
"""Softness of the masks' edges: temperature of the softmax, in units of the contrast's root mean square."""
FINE, WIDE = 1 / 3, 1 / 4
"""Widths of the blurs C and B, as shares of the latent's shorter side. A narrow C makes a mask around each single
spark, which shows as a disc of the black around it; with a third, all sparks lie in one region."""
ROUNDS = 8
"""Iterations that fit the masks' areas to the shares."""
_TINY = 1e-6


def shares(weights: Sequence[float]) -> list[float]:
    """Shares of the frame's area, sum 1, from the prompts' weights."""
    eased = [ease(weight) for weight in weights]
    return [part / sum(eased) for part in eased]


FADED = 5
"""Width in positions of the blur of coarse masks."""


class RegionBlender:
    """Joins the predictions of several prompts. Belongs to the render thread.

    Its numbers lie in buffers with fixed addresses, so that a captured graph can use them.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device, coarse: bool = False) -> None:
        """shape: [1, channels, height, width] of the latent. coarse: a position covers many pixels, so a sharp mask
        would show as blocks; masks are blurred over FADED positions."""
        _, _, height, width = shape
        self._fine, self._wide = (max(round(part * min(height, width)) // 2 * 2 + 1, 3) for part in (FINE, WIDE))
        self._coarse = coarse
        self._scalars = PinnedScalars(MAX_REGIONS, device=device)
        self._share = self._scalars.on_device.view(-1, 1, 1, 1)
        self._masks = torch.zeros(MAX_REGIONS, 1, height, width, device=device)

    def prepare(self, weights: Sequence[float]) -> None:
        """Set the weights of the next frame: 2 to MAX_REGIONS, sum 1."""
        self._scalars.upload([max(share, _TINY) for share in shares(weights)])

    def blend(
        self, first: bool, latent: torch.Tensor, predictions: torch.Tensor, skip: torch.Tensor | float,
        out: torch.Tensor | float,
    ) -> torch.Tensor:  # fmt: skip
        """The joined prediction [1, C, h, w].

        first: whether this is the frame's first step, which makes the masks; later steps use the same ones. latent:
        [1, C, h, w], the UNet's input. predictions: [K, C, h, w]. skip, out: the step's c_skip and c_out, so that
        skip * latent + out * prediction is the predicted image.
        """
        count = len(predictions)
        masks = self._masks[:count]
        if first:
            masks.copy_(self._masked(latent * skip + predictions * out, self._share[:count]))
        return (predictions * masks).sum(0, keepdim=True)

    def _masked(self, images: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """Masks [K, 1, h, w] for images [K, C, h, w]; at each position their sum is 1."""
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
