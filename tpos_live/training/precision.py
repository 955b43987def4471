"""Whether a device trains in bfloat16 or in float32."""

from __future__ import annotations

import torch

from tpos_live.diffusion.backends.cpu_features import bfloat16_is_faster


def trains_in_bfloat16(device_type: str) -> bool:
    """Whether a device ("cpu", "cuda", ...) trains faster in bfloat16 than in single precision."""
    return device_type != "cpu" or bfloat16_is_faster()


def autocast(device_type: str) -> torch.autocast:
    """Autocast to bfloat16 where the device trains faster in it; otherwise a context that changes nothing."""
    return torch.autocast(device_type, torch.bfloat16, enabled=trains_in_bfloat16(device_type))
