"""The encoder of an AutoencoderPixelShuffle, a single matrix, without diffusers.

With a compiled backend diffusers is not imported. Importing it during a show holds Python's interpreter lock for
seconds: frames took up to ten times as long.
"""

from __future__ import annotations

from pathlib import Path

import torch

from tpos_live.core.errors import EngineError, first_line


class PatchEncoder(torch.nn.Module):
    """`encoder` and `encode` of an AutoencoderPixelShuffle."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """weight: float [latent channels, 3, patch, patch]. bias: float [latent channels]."""
        super().__init__()
        channels, _, patch, _ = weight.shape
        self.encoder = torch.nn.Conv2d(3, channels, patch, stride=patch)
        with torch.no_grad():
            self.encoder.weight.copy_(weight)
            assert self.encoder.bias is not None
            self.encoder.bias.copy_(bias)

    @classmethod
    def read(cls, part: Path, channels: int, patch: int) -> PatchEncoder:
        """Read the encoder from an engine's folder `vae`. channels: of the latent. patch: pixels along one side of a
        position. Raises EngineError where the weights are missing, damaged, or of another shape."""
        from safetensors import SafetensorError, safe_open

        found: dict[str, torch.Tensor] = {}
        try:
            for path in sorted(part.glob("*.safetensors")):
                with safe_open(path, framework="pt") as opened:
                    names = {"encoder.weight", "encoder.bias"} & set(opened.keys())
                    found |= {name: opened.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError) as error:
            why = f"{part}: damaged weights ({first_line(error)}); fetch or install the engine again"
            raise EngineError(why) from error
        shapes = {"encoder.weight": (channels, 3, patch, patch), "encoder.bias": (channels,)}
        for name, shape in shapes.items():
            if name not in found:
                raise EngineError(f"{part}: {name} is missing; fetch or install the engine again")
            if tuple(found[name].shape) != shape:
                raise EngineError(f"{part}: {name} is of another engine; fetch or install the engine again")
        return cls(found["encoder.weight"], found["encoder.bias"])

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """Latents [batch, channels, h, w] of images [batch, 3, patch * h, patch * w] in [-1, 1]."""
        latents: torch.Tensor = self.encoder(image)
        return latents
