"""LoRA files of random numbers, and what every backend must draw with a live one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

TEXT = "text_encoder.text_model.encoder.layers.0.mlp.fc1"


def write_lora(engine: Engine, path: Path, seed: int, wanted: Callable[[str], bool], text: bool = False) -> None:
    """A random LoRA of rank 2 for the layers of the UNet whose name is wanted, and for one of the text encoder."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    layers = {f"unet.{name}": layer.weight for name, layer in engine.unet.named_modules() if wanted(name)}
    if text:
        found = engine.text_encoder.named_modules()
        layers[TEXT] = next(layer.weight for name, layer in found if name.endswith("layers.0.mlp.fc1"))
    for name, weight in layers.items():
        kernel = (1,) * (weight.dim() - 2)
        tensors[f"{name}.lora_A.weight"] = torch.randn(2, *weight.shape[1:], generator=generator)
        tensors[f"{name}.lora_B.weight"] = 0.1 * torch.randn(len(weight), 2, *kernel, generator=generator)
    assert len(tensors) > 3
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path)


def attention(name: str) -> bool:
    return name.endswith(("to_q", "to_k", "to_v"))


def convolution(name: str) -> bool:
    return name.endswith(("conv1", "conv_shortcut", "to_q"))


def tokens_of(engine: Engine, rows: int) -> torch.Tensor:
    states = engine.texts.encode("blue sea")
    return torch.cat([states, states[-(rows - len(states)) :]])


def check_backends(generator: FrameGenerator, backends: dict[str, Any]) -> None:
    """Every backend draws the frames of the first, and others where a LoRA has moved."""
    engine, size = generator.engine, generator.size
    tokens, snapshot = tokens_of(engine, generator.prompt_length), ParameterStore().snapshot()
    images: dict[str, list[np.ndarray]] = {}
    for name, backend in backends.items():
        generator.use(backend)
        images[name] = []
        for weight in (1.0, 0.0, 1.0, 1.5):
            generator.reset()
            params = FrameParams(loras=(weight, 1.0, 1.0, 1.0))
            images[name].append(generator.generate(FrameRequest(params, Conditioning(tokens), snapshot)).pixels.copy())
    for found in images.values():
        assert np.array_equal(found[0], found[2]) and found[0].shape == (size[1], size[0], 3)
        assert len({image.tobytes() for image in found}) == 3
        for one, other in zip(found, next(iter(images.values())), strict=True):
            assert np.abs(one.astype(int) - other).max() <= 3
