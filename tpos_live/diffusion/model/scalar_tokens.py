"""Scalars as tokens, for global values of the image that cannot be derived from the noise.

The palette, the horizon or the sound's intensity is one number for the whole image. Each becomes one cross-attention
token by fixed sines and cosines, without weights, and with the same code in training and in a show.
"""

from __future__ import annotations

import math

import torch

HARMONICS = 4
WIDTH = 2 * HARMONICS + 1
"""Coordinates of the token that one scalar uses."""
GAIN = 3.0
"""Scales a token to about the length of a layer-normalised text token."""


def scalar_tokens(values: torch.Tensor, cyclic: torch.Tensor, dim: int) -> torch.Tensor:
    """Turn scalars in [0, 1] into tokens.

    values: float [batch, n]; cyclic: bool [n]; returns float [batch, n, dim].
    Scalar j uses coordinates j*WIDTH to (j+1)*WIDTH: a 1 that identifies it, then sin(k*a) and cos(k*a) for
    k = 1..HARMONICS, with a = 2*pi*v where it is cyclic, else pi*v.
    Raises ValueError if dim is too small for n scalars.
    """
    batch, n = values.shape
    if n * WIDTH > dim:
        raise ValueError(f"{n} scalars need a token dimension of {n * WIDTH}, the engine has {dim}")
    angle = values * torch.where(cyclic, 2 * math.pi, math.pi).to(values)
    k = torch.arange(1, HARMONICS + 1, device=values.device, dtype=values.dtype)
    waves = angle[..., None] * k
    parts = torch.cat([torch.ones_like(values)[..., None], waves.sin(), waves.cos()], dim=-1)
    tokens = values.new_zeros(batch, n, dim)
    for j in range(n):
        tokens[:, j, j * WIDTH : (j + 1) * WIDTH] = parts[:, j]
    return tokens * GAIN
