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
    """The untrained UNet: attention at 1/2 and 1/4 of the latents' size, none at the top, where it costs most.

    Tokens also reach every layer pooled, beside the time ("text" embedding, scale and shift): family,
    palette and intensity are facts of the whole picture, and attention alone learns them slowly.
    """
    from diffusers import UNet2DConditionModel

    from tpos_live.training.text_encoder import DIM

    unet = UNet2DConditionModel(
        sample_size=32, in_channels=4, out_channels=4, block_out_channels=channels, layers_per_block=1,
        down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * (len(channels) - 1),
        up_block_types=("CrossAttnUpBlock2D",) * (len(channels) - 1) + ("UpBlock2D",),
        cross_attention_dim=DIM, attention_head_dim=4, norm_num_groups=16,
        resnet_time_scale_shift="scale_shift", addition_embed_type="text", addition_embed_type_num_heads=4,
    )  # fmt: skip
    with torch.no_grad():
        _start_from_noise(unet)
    return unet


def _start_from_noise(unet: Any) -> None:
    """Set the weights so that the untrained UNet gives back its noise, and listens to its words.

    The velocity is noise minus latents: half of it is a copy, and a net that has to find the copy first
    loses its first thousand steps. x = silu(x) - silu(-x), so pairs of channels carry it past the last
    activation. Attention starts spread over some thirty tokens: values are made as much louder.
    """
    from diffusers.models.attention_processor import Attention

    pairs = [(c, sign) for c in range(4) for sign in (1.0, -1.0)] + [(0, 1.0)]
    last = unet.up_blocks[-1].resnets[-1]
    width = unet.conv_in.out_channels
    skip = last.conv_shortcut.in_channels - width
    n = len(pairs)
    for module in (unet.conv_in, last.conv_shortcut, last.conv2):
        module.weight[:n] = 0
        module.bias[:n] = 0
    unet.conv_out.weight.mul_(0.2)
    unet.conv_out.weight[:, :n] = 0
    unet.conv_out.bias.zero_()
    for row, (channel, sign) in enumerate(pairs):
        unet.conv_in.weight[row, channel, 1, 1] = sign
        last.conv_shortcut.weight[row, skip + row] = 1
        if row < 8:
            unet.conv_out.weight[channel, row, 1, 1] = sign
    for module in unet.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            module.to_v.weight.mul_(4)


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


def corrupt(noise: torch.Tensor, latents: torch.Tensor, late: float = 0.33) -> tuple[torch.Tensor, torch.Tensor]:
    """Where training starts from: x_t [batch, 4, h, w] and t [batch].

    All but a part `late` start at pure noise. The rest start on the way, some with fresh noise mixed in and some
    from latents moved by a cell, as image to image and feedback from the last frame will do.
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
    velocity = unet(x, t * TRAIN_STEPS, encoder_hidden_states=tokens).sample.float()
    return x - t.view(-1, 1, 1, 1) * velocity
