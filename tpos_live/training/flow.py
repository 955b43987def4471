"""Rectified flow on coupled pairs.

x_t = (1 - t) * latents + t * noise, the UNet gives the velocity noise - latents, so
latents = x_t - t * velocity (Liu et al. 2022, "Flow Straight and Fast"). The pairs are coupled by
the scene itself, so paths do not cross and one step is enough.
"""

from __future__ import annotations

from typing import Any

import torch

TRAIN_STEPS = 1000
"""The scheduler's number of training steps: time t is told to the UNet as 1000 t."""
T_MAX = 0.999
"""The scheduler's first sigma."""


def build_unet(channels: tuple[int, ...] = (48, 96, 160)) -> Any:
    """The untrained UNet: attention at 1/2 and 1/4 of the latents' size, none at the top, where it costs most."""
    from diffusers import UNet2DConditionModel

    from tpos_live.training.text_encoder import DIM

    return UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=channels, layers_per_block=1,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (len(channels) - 1),
        up_block_types=("CrossAttnUpBlock2D",) * (len(channels) - 1) + ("UpBlock2D",),
        cross_attention_dim=DIM, attention_head_dim=4, norm_num_groups=16,
    )  # fmt: skip


def scheduler() -> Any:
    """Stock scheduler that follows a straight flow exactly in any number of steps."""
    from diffusers import UniPCMultistepScheduler

    return UniPCMultistepScheduler(
        num_train_timesteps=TRAIN_STEPS,
        use_flow_sigmas=True,
        prediction_type="flow_prediction",
        solver_order=1,
        steps_offset=1,
    )


def corrupt(noise: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where training starts from: x_t [batch, 4, h, w] and t [batch].

    Two thirds start at pure noise. The rest start on the way, some with fresh noise mixed in and some
    from latents moved by a cell, as image to image and feedback from the last frame will do.
    """
    batch = len(noise)
    device = noise.device
    t = torch.where(torch.rand(batch, device=device) < 0.67, 1.0, 0.15 + 0.85 * torch.rand(batch, device=device))
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
    velocity = unet(x, t * TRAIN_STEPS, encoder_hidden_states=tokens).sample.float()
    return x - t.view(-1, 1, 1, 1) * velocity
