"""The loops that ours is compared with, written from public descriptions; on the same weights, size, steps and tokens.

- stock: diffusers' StableDiffusionPipeline (or that of Stable Diffusion XL), prompt embeddings given, guidance off,
  output_type="np". Not for an engine whose UNet has inputs of its own (`unet_inputs`), as Ember.
- apart: the same backend as ours for UNet and decoder apart, noise from the CPU, a wait for the device and an
  image object each frame, no graph over the whole; how StreamDiffusion (Kodaira et al. 2023) runs.
- apart, recorded: the same with a CUDA graph of the UNet and one of the decoder, as an engine of TensorRT may have:
  a harder comparison than StreamDiffusion, which has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.backend import write_pixels
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend


def stream_diffusion_like(generator: FrameGenerator, steps: int, recorded: bool = False) -> Callable[[int], object]:
    """The StreamDiffusion-shaped loop on our backend. recorded: with a CUDA graph for each network."""
    from PIL import Image

    engine = generator.engine
    plan = engine.schedule.plan(steps)
    shape = engine.latent_shape(generator.size)
    tokens = torch.zeros(1, generator.request.sequence_length, engine.token_dim, device=engine.device)
    backend = GraphedNetworks(generator, shape, tokens) if recorded else generator.backend

    def draw(_n: int) -> object:
        x = plan.noise * torch.randn(shape).to(engine.device)
        x0 = x
        for step in plan.steps:
            timestep = torch.tensor([step.timestep], device=engine.device)
            x0 = step.c_skip * x + step.c_out * backend.predict(x, timestep, tokens)
            x = step.x_coef * x + step.x0_coef * x0
            if step.noise_coef:
                x = x + step.noise_coef * torch.randn(shape).to(engine.device)
        out = np.empty((generator.size[1], generator.size[0], 3), np.uint8)
        backend.decode(x0, out)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        return Image.fromarray(out)

    return draw


class GraphedNetworks:
    """UNet and decoder of a generator's backend, each as a CUDA graph of its own."""

    def __init__(self, generator: FrameGenerator, shape: tuple[int, ...], tokens: torch.Tensor) -> None:
        assert isinstance(generator.backend, CapturedBackend)
        self._networks = generator.backend.networks
        device = generator.engine.device
        self._latent, self._x0, self._timestep = (torch.zeros(sides, device=device) for sides in (shape, shape, (1,)))
        self._found, self._tokens = torch.zeros_like(self._latent), tokens
        self._image = torch.zeros(1, 3, *generator.size[::-1], device=device)
        self._recordings = GraphCache(device)

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, _tokens: torch.Tensor) -> torch.Tensor:
        self._latent.copy_(latent)
        self._timestep.copy_(timestep)
        self._recordings.run("unet", self._predict)
        return self._found

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        self._x0.copy_(latent)
        self._recordings.run("decoder", self._decode)
        write_pixels(self._image, out)

    def _predict(self) -> None:
        self._found.copy_(self._networks[0](self._latent, self._timestep, self._tokens))

    def _decode(self) -> None:
        self._image.copy_(self._networks[1](self._x0))


def stock(path: Path, generator: FrameGenerator, steps: int) -> Callable[[int], object]:
    """The stock pipeline on a second copy of the same weights."""
    import diffusers

    engine = load_engine(path)
    config = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    tokens = torch.zeros(
        1, generator.request.sequence_length, engine.token_dim, device=engine.device, dtype=engine.dtype
    )
    parts = {"vae": engine.vae, "scheduler": scheduler, "feature_extractor": None}
    parts |= {"text_encoder": None, "tokenizer": None}  # what is said comes as embeddings
    if len(engine.texts.readers) > 1:
        pipe = diffusers.StableDiffusionXLPipeline(
            **parts,
            text_encoder_2=None,
            tokenizer_2=None,
            unet=engine.unet.unet,
            add_watermarker=False,
        )
        said = {"prompt_embeds": tokens[:, 1:], "pooled_prompt_embeds": tokens[:, 0, : engine.texts.pooled]}
    else:
        pipe = diffusers.StableDiffusionPipeline(
            **parts, unet=engine.unet, safety_checker=None, requires_safety_checker=False
        )
        said = {"prompt_embeds": tokens}
    pipe.set_progress_bar_config(disable=True)
    width, height = generator.size

    def draw(_n: int) -> object:
        return pipe(
            **said,
            num_inference_steps=steps,
            guidance_scale=1.0,
            width=width,
            height=height,
            output_type="np",
        ).images

    return draw
