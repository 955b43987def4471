"""Baseline loops for `bench engine`, written from public descriptions, with the same weights, size, steps and tokens.

- stock: diffusers' StableDiffusionPipeline (or the one of Stable Diffusion XL), with prompt embeddings, guidance off,
  and output_type="np". Not for an engine whose UNet has extra inputs (`unet_inputs`), such as Ember.
- apart: our backend with separate calls of UNet and decoder, noise from the CPU, and one device synchronisation and one
  PIL image per frame; no graph of the whole frame. This is how StreamDiffusion (Kodaira et al. 2023) runs.
- apart, recorded: the same with one CUDA graph for the UNet and one for the decoder, as a TensorRT engine may have. It
  is a stronger baseline than StreamDiffusion, which has none.
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
    """The StreamDiffusion-like loop on our backend, as a function of the frame number. recorded: with a CUDA graph for
    each network."""
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
    """UNet and decoder of a generator's backend, each in its own CUDA graph."""

    def __init__(self, generator: FrameGenerator, shape: tuple[int, ...], tokens: torch.Tensor) -> None:
        assert isinstance(generator.backend, CapturedBackend)
        self._networks = generator.backend.networks
        device = generator.engine.device
        self._latent, self._x0, self._timestep = (torch.zeros(sides, device=device) for sides in (shape, shape, (1,)))
        self._prediction, self._tokens = torch.zeros_like(self._latent), tokens
        self._image = torch.zeros(1, 3, *generator.size[::-1], device=device)
        self._graphs = GraphCache(device)

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, _tokens: torch.Tensor) -> torch.Tensor:
        self._latent.copy_(latent)
        self._timestep.copy_(timestep)
        self._graphs.run("unet", self._predict)
        return self._prediction

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        self._x0.copy_(latent)
        self._graphs.run("decoder", self._decode)
        write_pixels(self._image, out)

    def _predict(self) -> None:
        self._prediction.copy_(self._networks[0](self._latent, self._timestep, self._tokens))

    def _decode(self) -> None:
        self._image.copy_(self._networks[1](self._x0))


def stock(path: Path, generator: FrameGenerator, steps: int) -> Callable[[int], object]:
    """The stock pipeline on a second copy of the weights in `path`, as a function of the frame number."""
    import diffusers

    engine = load_engine(path)
    config = json.loads((path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    tokens = torch.zeros(
        1, generator.request.sequence_length, engine.token_dim, device=engine.device, dtype=engine.dtype
    )
    parts = {"vae": engine.vae, "scheduler": scheduler, "feature_extractor": None}
    parts |= {"text_encoder": None, "tokenizer": None}  # prompts are given as embeddings
    if len(engine.texts.readers) > 1:
        pipe = diffusers.StableDiffusionXLPipeline(
            **parts,
            text_encoder_2=None,
            tokenizer_2=None,
            unet=engine.unet.unet,
            add_watermarker=False,
        )
        prompt = {"prompt_embeds": tokens[:, 1:], "pooled_prompt_embeds": tokens[:, 0, : engine.texts.pooled]}
    else:
        pipe = diffusers.StableDiffusionPipeline(
            **parts, unet=engine.unet, safety_checker=None, requires_safety_checker=False
        )
        prompt = {"prompt_embeds": tokens}
    pipe.set_progress_bar_config(disable=True)
    width, height = generator.size

    def draw(_n: int) -> object:
        return pipe(
            **prompt,
            num_inference_steps=steps,
            guidance_scale=1.0,
            width=width,
            height=height,
            output_type="np",
        ).images

    return draw
