"""An extra lesson, in training alone: tell, at every level of the UNet, where in the picture a cell lies.

A convolution looks the same everywhere; it can know places only from the zeros beyond the border, and
left to itself a small UNet takes hours to find that out: suns stay smears long after clouds are clouds.
Asked for places directly, by a linear reading of its own features, it learns them in minutes. (That
zero padding is enough to tell them: Islam et al., ICLR 2020, "How Much Position Information Do
Convolutional Neural Networks Encode?")
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

FINENESS = 3
"""Of what is asked for: 0 for the coarsest level, one more for each that is twice as fine."""


@lru_cache(maxsize=32)
def places(h: int, w: int, fine: int = 0, device: torch.device | None = None) -> torch.Tensor:
    """What is asked for: waves along x and y and around the middle, float [K, h, w] in [-1, 1].

    x and y are a scene's own (y from -1 to 1, x as wide as the picture is); rings are waves in the logarithm of
    the radius, as a tunnel has them. fine: 0 to FINENESS - 1, more and shorter waves, of which a UNet can
    build what always lies in one place, as a chip or a petal does (as Fourier features do: Tancik et al., NeurIPS
    2020). Kept for the sizes that come again at every step; not to be written.
    """
    y, x = torch.meshgrid(
        (torch.arange(h, device=device) + 0.5) / h * 2 - 1,
        ((torch.arange(w, device=device) + 0.5) / w * 2 - 1) * (w / h),
        indexing="ij",
    )
    depth = -torch.log(torch.sqrt(x * x + y * y) + 0.1)
    angle = torch.atan2(y, x)
    along = (1, 2, 4, 8, 16)[: 3 + fine]
    around = (1, 2, 4, 6)[: 2 + fine]
    rings = (1, 2.5, 5, 8)[: 2 + fine]
    rows = [wave(torch.pi * k * axis / 2) for k in along for axis in (x, y) for wave in (torch.sin, torch.cos)]
    rows += [wave(k * angle) for k in around for wave in (torch.sin, torch.cos)]
    rows += [wave(k * depth) for k in rings for wave in (torch.sin, torch.cos)]
    return torch.stack(rows)


class Whereabouts(nn.Module):
    """Linear readings of the places from the middle of a UNet and from its way up.

    Listens to the UNet's blocks while it runs; `loss()` is the mean squared error of the last run.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        blocks = [unet.mid_block, *unet.up_blocks[:-1]]
        widths = [unet.config.block_out_channels[-1], *list(reversed(unet.config.block_out_channels))[:-1]]
        self.fine = [min(level, FINENESS - 1) for level in range(len(widths))]
        self.heads = nn.ModuleList(
            nn.Conv2d(width, len(places(2, 2, fine)), 1) for width, fine in zip(widths, self.fine, strict=True)
        )
        self._heard: list[torch.Tensor] = []
        for block in blocks:
            block.register_forward_hook(lambda _m, _i, out: self._heard.append(out))

    def forget(self) -> None:
        """Leave out what the UNet did since the last `loss`."""
        self._heard.clear()

    def loss(self) -> torch.Tensor:
        """Mean squared error of all readings; forgets what was heard."""
        total = torch.zeros(())
        for head, features, fine in zip(self.heads, self._heard, self.fine, strict=True):
            h, w = features.shape[-2:]
            want = places(h, w, fine, features.device)
            have = head(F.group_norm(features.float(), 1))
            total = total.to(have.device) + F.mse_loss(have, want.expand_as(have))
        self.forget()
        return total / len(self.heads)
