"""The encoder of an engine's autoencoder, from images to latents, for shows with a source of images."""

from __future__ import annotations

from typing import Any

import torch

from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.networks import load_encoder


class LatentEncoder:
    """Encodes images of one size. Any thread may create it, which takes up to seconds; one thread uses it.

    On a card it runs as one captured graph, on a CPU as eager PyTorch: Ember's encoder is a single matrix.
    """

    def __init__(self, engine: Engine, size: tuple[int, int]) -> None:
        """size: (width, height) of the frames in pixels. Raises EngineError if the folder has no encoder."""
        device = engine.device
        self._vae: Any = load_encoder(engine.networks)
        self._dtype = next(self._vae.encoder.parameters()).dtype
        self._scale = float(engine.networks.configs["vae"]["scaling_factor"])
        self._pixels = torch.zeros(size[1], size[0], 3, dtype=torch.uint8, device=device)
        self._latent = torch.zeros(engine.latent_shape(size), device=device)
        self._graphs = GraphCache(device)

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latent float32 [1, C, h, w], valid until the next call. pixels: uint8 [H, W, 3] sRGB, on any device."""
        self._pixels.copy_(pixels, non_blocking=True)
        self._graphs.run("encoder", self._encode)
        return self._latent

    def _encode(self) -> None:
        image = self._pixels.permute(2, 0, 1)[None].to(self._dtype).div(127.5).sub(1)
        found = self._vae.encode(image.contiguous(memory_format=torch.channels_last))
        # A distribution (AutoencoderKL), an output with a field (AutoencoderTiny), or the tensor itself.
        if hasattr(found, "latent_dist"):
            found = found.latent_dist.mode()
        found = getattr(found, "latents", found)
        self._latent.copy_(found.float() * self._scale)
