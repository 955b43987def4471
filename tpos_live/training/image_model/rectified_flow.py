"""Rectified flow on coupled pairs: the UNet, its scheduler and the training inputs.

x_t = (1 - t) * latents + t * noise (Liu et al. 2022, "Flow Straight and Fast"). The scene is a function of the noise,
so the pairs are coupled, paths do not cross and one step is enough. The UNet predicts the latents. If it predicted the
velocity, noise - latents, half of its last layer would only pass the noise through.
"""

from __future__ import annotations

from typing import Any

import torch

from tpos_live.diffusion.model.unet_inputs import VECTORS, ExtendedUnet, ExtraInputs, extra_channels
from tpos_live.scenes.base import FIELDS
from tpos_live.training.image_model.dataset import LATENT_CHANNELS, LAYOUT, PACKING

TRAIN_STEPS = 1000
"""The scheduler's number of training steps; the UNet's timestep is 1000 t."""
T_MAX = 0.999
"""The scheduler's first sigma."""
BLURS = (1.0, 2.0, 4.0, (4.5, 1.2), (4.5, 0.4), (2.1, 1.0), (2.4, 0.3), (0.5, 2.0))
"""Standard deviations of the Gaussian blurs whose results are extra inputs of the UNet (see `unet_inputs`), in latent
positions; a pair is (vertical, horizontal). Scenes use the last five: ridges, rays, flames and curtains, skylines,
waves and bands of cloud.
"""


def build_unet(channels: tuple[int, ...] = (128, 256)) -> Any:
    """The untrained UNet: wide convolutions on few positions, attention in the middle block only.

    This suits CPUs: on AVX2 it reaches twice the share of peak throughput of narrow layers on many positions with
    attention at two levels. Conditions for the whole image (family, palette, intensity, a second scene) act on every
    layer as scale and shift; single words act by cross-attention.
    """
    from diffusers import UNet2DConditionModel

    from tpos_live.training.text.text_encoder import DIM

    latent = LATENT_CHANNELS
    levels = len(channels)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=latent + extra_channels(FIELDS, BLURS), out_channels=latent,
        block_out_channels=channels, layers_per_block=1, down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels, mid_block_type="UNetMidBlock2DCrossAttn",
        cross_attention_dim=DIM, attention_head_dim=8, norm_num_groups=16, resnet_time_scale_shift="scale_shift",
        class_embed_type="projection", projection_class_embeddings_input_dim=VECTORS * DIM,
    )  # fmt: skip
    with torch.no_grad():
        unet.conv_out.weight.mul_(0.2)
    return ExtendedUnet(unet, ExtraInputs(PACKING, FIELDS, BLURS), LAYOUT)


def scheduler() -> Any:
    """A scheduler of diffusers that follows a straight flow exactly in any number of steps."""
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(
        num_train_timesteps=TRAIN_STEPS,
        use_flow_sigmas=True,
        prediction_type="sample",
        solver_order=1,
        steps_offset=1,
    )


def corrupt(noise: torch.Tensor, latents: torch.Tensor, late: float = 0.33) -> tuple[torch.Tensor, torch.Tensor]:
    """Training inputs: x_t [batch, C, h, w] and t [batch].

    Most rows start at pure noise. A share `late` starts at t of 0.15 to 1: some of these with fresh noise mixed in,
    some from latents shifted by one position, as image-to-image and feedback from the last frame do in a show.
    """
    batch = len(noise)
    device = noise.device
    t = torch.where(torch.rand(batch, device=device) >= late, 1.0, 0.15 + 0.85 * torch.rand(batch, device=device))
    t = t.clamp(max=T_MAX)
    early = (t < T_MAX).view(-1, 1, 1, 1)
    fresh = torch.rand(batch, 1, 1, 1, device=device) * (torch.rand(batch, 1, 1, 1, device=device) < 0.5) * early
    mixed = (1 - fresh * fresh).sqrt() * noise + fresh * torch.randn_like(noise)
    moved = torch.roll(latents, (int(torch.randint(-1, 2, ())), int(torch.randint(-1, 2, ()))), (2, 3))
    there = torch.where(torch.rand(batch, 1, 1, 1, device=device) < 0.4, moved, latents)
    at = t.view(-1, 1, 1, 1)
    return (1 - at) * there + at * mixed, t


def one_step(unet: Any, x: torch.Tensor, t: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The UNet's estimate of the latents from x at time t [batch]."""
    found: torch.Tensor = unet(x, t * TRAIN_STEPS, encoder_hidden_states=tokens)[0].float()
    return found
