"""A discriminator of latents: it learns to tell the UNet's latents from a scene's, and the UNet learns from it.

Regression alone leaves a smear wherever the UNet cannot place a thin line exactly; a discriminator prefers a line
that is a little off. (Hinge loss and projection: Miyato and Koyama 2018, "cGANs with Projection
Discriminator"; spectral norm: Miyato et al. 2018; in latents, for one-step models: Sauer et al. 2024, "Fast
High-Resolution Image Synthesis with Latent Adversarial Diffusion Distillation".)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Says for every patch, at three scales, how much it looks like a scene that fits the words."""

    def __init__(self, width: int = 64, words: int = 128, latent: int = 32) -> None:
        """words: size of a token. latent: channels of what is judged."""
        super().__init__()
        widths = (width, 2 * width, 2 * width)
        self.stem = spectral_norm(nn.Conv2d(latent, width, 3, padding=1))
        self.first, self.second, self.says, self.fits = (nn.ModuleList() for _ in range(4))
        before = width
        for level, here in enumerate(widths):
            down = nn.Conv2d(before, here, 4, stride=2, padding=1) if level else nn.Conv2d(before, here, 3, padding=1)
            self.first.append(spectral_norm(down))
            self.second.append(spectral_norm(nn.Conv2d(here, here, 3, padding=1)))
            self.says.append(spectral_norm(nn.Conv2d(here, 1, 1)))
            self.fits.append(nn.Linear(words, here, bias=False))
            before = here

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Verdicts [batch, 1, h, w], [batch, 1, h/2, w/2], [batch, 1, h/4, w/4], high for a scene.

        latents: [batch, latent, h, w]; tokens: [batch, n, words].
        """
        meant = F.layer_norm(tokens.mean(1), tokens.shape[-1:])
        x = F.leaky_relu(self.stem(latents), 0.2)
        verdicts = []
        for first, second, says, fits in zip(self.first, self.second, self.says, self.fits, strict=True):
            x = F.leaky_relu(first(x), 0.2)
            x = x + F.leaky_relu(second(x), 0.2)
            verdicts.append(says(x) + (x * fits(meant)[:, :, None, None]).sum(1, keepdim=True) / x.shape[1] ** 0.5)
        return verdicts


def discriminator_loss(
    discriminator: nn.Module, scene: torch.Tensor, drawn: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Hinge loss of the discriminator; scene, drawn: latents [batch, latent, h, w]."""
    real, fake = discriminator(scene, tokens), discriminator(drawn.detach(), tokens)
    return torch.stack(
        [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)]
    ).mean()


def adversarial_loss(discriminator: nn.Module, drawn: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """What the UNet minimises: minus the discriminator's verdict on what it drew."""
    return -torch.stack([verdict.float().mean() for verdict in discriminator(drawn, tokens)]).mean()


def balanced(loss: torch.Tensor, praised: torch.Tensor, drawn: torch.Tensor, share: float) -> torch.Tensor:
    """loss + weight * praised, the weight such that both pull on `drawn` in the ratio 1 : share.

    As Esser et al. 2021 ("Taming Transformers", eq. 7) balance them, but at the drawn latents.
    """
    (pull,) = torch.autograd.grad(loss, drawn, retain_graph=True)
    (push,) = torch.autograd.grad(praised, drawn, retain_graph=True)
    weight = share * pull.norm() / push.norm().clamp(min=1e-8)
    return loss + weight.clamp(max=100.0) * praised
