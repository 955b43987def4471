"""A discriminator of images: it learns to tell what UNet and decoder draw from renders, and both learn from it.

Regression alone leaves a smear wherever the UNet cannot place a thin line exactly; a discriminator prefers a line
that is a little off. It looks at pixels and not at latents: a patch of a latent can be right by itself and not
continue into the next one. Beside the image it sees a low-pass of the render, so it asks for the detail that belongs
there. (Patches: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks"; hinge loss and
spectral norm: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks".)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

CROP = 128
"""Pixels along one side of what is looked at, at most: a random place in the image."""
BLUR = 16
"""Pixels along one side over which the render beside the image is averaged."""


class Discriminator(nn.Module):
    """Says for every patch, at two scales, how much it looks like a render."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.stem = spectral_norm(nn.Conv2d(6, width, 4, stride=2, padding=1))
        self.fine = spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1))
        self.coarse = nn.Sequential(
            spectral_norm(nn.Conv2d(2 * width, 3 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(3 * width, 3 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
        )
        self.says_fine = spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1))
        self.says_coarse = spectral_norm(nn.Conv2d(3 * width, 1, 3, padding=1))

    def forward(self, image: torch.Tensor, blurred: torch.Tensor) -> list[torch.Tensor]:
        """Verdicts [batch, 1, h/4, w/4] and [batch, 1, h/8, w/8], high for a render.

        image, blurred: [batch, 3, h, w] about [0, 1]; blurred: of `low_pass`.
        """
        x = F.leaky_relu(self.stem(torch.cat([image, blurred], 1) * 2 - 1), 0.2)
        x = F.leaky_relu(self.fine(x), 0.2)
        return [self.says_fine(x), self.says_coarse(self.coarse(x))]


def low_pass(render: torch.Tensor) -> torch.Tensor:
    """Means over BLUR by BLUR pixels, interpolated back to the size of `render` [batch, 3, h, w]."""
    return F.interpolate(F.avg_pool2d(render, BLUR), size=render.shape[-2:], mode="bilinear", align_corners=False)


def crop(*images: torch.Tensor) -> list[torch.Tensor]:
    """The same random place of images [batch, channels, h, w] of one size, at most CROP pixels along each side."""
    h, w = images[0].shape[-2:]
    top, left = (int(torch.randint(max(side - CROP, 0) + 1, ())) for side in (h, w))
    return [image[..., top : top + CROP, left : left + CROP] for image in images]


def discriminator_loss(
    discriminator: nn.Module, render: torch.Tensor, drawn: torch.Tensor, blurred: torch.Tensor
) -> torch.Tensor:
    """Hinge loss of the discriminator; all [batch, 3, h, w]."""
    real, fake = discriminator(render, blurred), discriminator(drawn.detach(), blurred)
    return torch.stack(
        [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)]
    ).mean()


def adversarial_loss(discriminator: nn.Module, drawn: torch.Tensor, blurred: torch.Tensor) -> torch.Tensor:
    """What UNet and decoder minimise: minus the discriminator's verdict on what they drew."""
    return -torch.stack([verdict.float().mean() for verdict in discriminator(drawn, blurred)]).mean()


def balanced(loss: torch.Tensor, adversarial: torch.Tensor, drawn: torch.Tensor, share: float) -> torch.Tensor:
    """loss + weight * adversarial, the weight such that both pull on `drawn` in the ratio 1 : share.

    As Esser et al. 2021 ("Taming Transformers", eq. 7) balance them, but at the image itself.
    """
    (pull,) = torch.autograd.grad(loss, drawn, retain_graph=True)
    (push,) = torch.autograd.grad(adversarial, drawn, retain_graph=True)
    weight = share * pull.norm() / push.norm().clamp(min=1e-8)
    return loss + weight.clamp(max=100.0) * adversarial


class DiscriminatorTraining:
    """A discriminator with its optimizer, which learns beside the UNet.

    weight: the gradient's norm of its verdict, over that of the other errors of pixels. ahead: steps in which it
    learns alone.
    """

    def __init__(self, device: torch.device, weight: float, ahead: int) -> None:
        self.network = Discriminator().to(device)
        self.weight, self.ahead, self.steps = weight, ahead, 0
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=4e-4, weight_decay=0.0, betas=(0.5, 0.98))

    def step(self, loss: torch.Tensor, drawn: torch.Tensor, render: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Learn from images of the decoder and their renders [batch, 3, h, w], once.

        The `loss` of the images, to which the discriminator's verdict is added after the first steps, and the
        discriminator's own loss, detached.
        """
        mine, real, blurred = crop(drawn, render, low_pass(render))
        own = discriminator_loss(self.network, real, mine, blurred)
        self._optimizer.zero_grad(set_to_none=True)
        own.backward()
        self._optimizer.step()
        self.steps += 1
        if self.steps < self.ahead:
            return loss, own.detach()
        self.network.requires_grad_(False)
        adversarial = adversarial_loss(self.network, mine, blurred)
        self.network.requires_grad_(True)
        return balanced(loss, adversarial, drawn, self.weight), own.detach()
