"""UNet and decoder as modules with fixed inputs, which OpenVINO can trace and convert."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tpos_live.core.atomic import to_disk
from tpos_live.diffusion.model.engine import Engine


class TracedUnet(torch.nn.Module):
    """The UNet with fixed inputs: latent, timestep, tokens."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.unet = engine.unet

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.unet(latent, timestep, encoder_hidden_states=tokens, return_dict=False)[0]
        return output


class TracedDecoder(torch.nn.Module):
    """From a latent to uint8 [1, H, W, 3]; the conversion to bytes is part of the network."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.vae = engine.vae
        self.scale = 1.0 / float(engine.vae.config.scaling_factor)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        image = self.vae.decode(latent * self.scale, return_dict=False)[0]
        pixels = (image * 127.5 + 127.5).clamp(0, 255).round()
        return pixels.permute(0, 2, 3, 1).to(torch.uint8)


class TracedNetworks:
    """The networks before conversion, in single precision: the reference of `parity`."""

    def __init__(self, unet: TracedUnet, decoder: TracedDecoder) -> None:
        self.predict, self._decoder = unet, decoder

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        np.copyto(out, self._decoder(latent)[0].numpy())


def write_network(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    """Convert a network for inputs of these shapes, unless its file exists."""
    import openvino
    from openvino import PartialShape

    if path.exists():
        return
    model = openvino.convert_model(module, example_input=inputs)
    model.reshape({model.inputs[n]: PartialShape(list(tensor.shape)) for n, tensor in enumerate(inputs)})
    part = path.with_name(f"part-{path.name}")
    openvino.save_model(model, str(part), compress_to_fp16=True)
    for suffix in (".bin", ".xml"):  # .xml last: it marks the network as complete
        to_disk(part.with_suffix(suffix))
        part.with_suffix(suffix).replace(path.with_suffix(suffix))
