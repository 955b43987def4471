"""Backend `eager`: PyTorch without a compiler, the reference for all other backends."""

from __future__ import annotations

import numpy as np
import torch

from tpos_live.core.heap import keep_pages
from tpos_live.diffusion.backends.cpu_features import bfloat16_is_faster
from tpos_live.diffusion.model.backend import Backend, BackendRequest, write_pixels
from tpos_live.diffusion.model.engine import Engine


def is_available(_name: str, _device: str) -> tuple[bool, str]:
    """Always available."""
    return True, ""


def load(name: str, request: BackendRequest) -> Backend:
    """The backend for an engine."""
    return EagerBackend(request.engine)


class EagerBackend(Backend):
    """PyTorch without a compiler; works everywhere.

    On a CPU the decoder runs channels-last, and in bfloat16 where that is faster. The UNet stays in float32, because
    small batches gain nothing from either (measured; see `bench`).
    """

    name = "eager"

    def __init__(self, engine: Engine, fallback_reason: str = "") -> None:
        self.fallback_reason = fallback_reason
        self._engine = engine
        self._dtype = engine.dtype
        self._scale = 1.0 / float(engine.vae.config.scaling_factor)
        self._decoder_dtype = engine.vae.dtype
        engine.vae.to(memory_format=torch.channels_last)
        if engine.device.type == "cpu":
            keep_pages()
        if engine.device.type == "cpu" and bfloat16_is_faster():
            torch.nn.Module.to(engine.vae, torch.bfloat16)  # diffusers' own `to` would warn
            self._decoder_dtype = torch.bfloat16
        elif engine.device.type == "cuda":
            engine.unet.to(memory_format=torch.channels_last)

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output = self._engine.unet(
            latent.to(self._dtype), timestep, encoder_hidden_states=tokens.to(self._dtype), return_dict=False
        )[0]
        return output.float()

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        scaled = (latent * self._scale).to(self._decoder_dtype, memory_format=torch.channels_last)
        image = self._engine.vae.decode(scaled, return_dict=False)[0]
        write_pixels(image, out)
