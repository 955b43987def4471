"""Backend `cuda-graph`: PyTorch's own networks in captured CUDA graphs, two launches a frame (see `captured`)."""

from __future__ import annotations

import torch

from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.fuse_projections import fuse_projections
from tpos_live.diffusion.backends.parity import verify_captured
from tpos_live.diffusion.model.backend import BackendRequest, Decoder, Unet
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.captured import CapturedBackend


def is_available(name: str, device: str) -> tuple[bool, str]:
    """Whether graphs can be captured on a kind of device, and the reason if not."""
    return (True, "") if device == "cuda" else (False, f"{name} is for CUDA cards; this runs on the {device}")


def load(name: str, request: BackendRequest) -> CapturedBackend:
    """The backend, after comparing its first frame with eager's. Raises NotReady with one line."""
    eager = EagerBackend(request.engine)  # first, because it changes the networks' memory format
    made = CapturedBackend(name, request, networks(request.engine))
    verify_captured(made, eager, request)
    return made


def networks(engine: Engine) -> tuple[Unet, Decoder]:
    """The engine's networks as functions for CapturedPipeline, in the precision in which they were loaded.

    On a card the UNet's projections are fused, permanently (see `fuse_projections`).
    """
    if engine.device.type == "cuda":
        fuse_projections(getattr(engine.unet, "unet", engine.unet))
    scale = 1.0 / float(engine.vae.config.scaling_factor)
    dtype, module, vae = engine.dtype, engine.unet, engine.vae

    def unet(latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output = module(latent.to(dtype), timestep, encoder_hidden_states=tokens.to(dtype), return_dict=False)[0]
        return output.float()  # type: ignore[no-any-return]

    def decoder(latent: torch.Tensor) -> torch.Tensor:
        half = next(vae.decoder.parameters()).dtype  # eager may have changed the decoder's dtype
        return vae.decode((latent * scale).to(half), return_dict=False)[0]  # type: ignore[no-any-return]

    return unet, decoder
