"""Merges LoRA files into an engine's weights at loading, so that frames cost nothing more (live ones: `live_lora`).

A LoRA (Hu et al. 2021, eq. 3) adds a product of two low-rank matrices to a layer:
W + weight * alpha / rank * up @ down. `lora_file.py` reads the file formats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.lora_file import LoraContent, flat, read_file
from tpos_live.diffusion.model.stability_names import stability_names

_LARGEST = 2.0**14
"""No trained matrix has larger values."""


@dataclass(frozen=True)
class Change:
    """What a LoRA of weight 1 adds to one layer: scale * up @ down, two low-rank matrices.

    part: "unet", "text_encoder" or "text_encoder_2". layer: the module whose `weight` [out, ...] is changed. up:
    [out, rank]. down: [rank, product of the weight's other dimensions].
    """

    part: str
    layer: Any
    up: torch.Tensor
    down: torch.Tensor
    scale: float

    def like(self, weight: torch.Tensor) -> Change:
        """The same change with the device and precision of `weight`."""
        return replace(self, up=self.up.to(weight), down=self.down.to(weight))

    def add_to(self, flat: torch.Tensor, weight: float) -> None:
        """Add the change, times `weight`, to a layer's weights in place. flat: [out, product of the other dimensions],
        of the matrices' device and dtype.

        The product is not stored, and in half precision the sum is rounded once.
        """
        flat.addmm_(self.up, self.down, alpha=weight * self.scale)


@torch.no_grad()
def merge(changes: Iterable[Change], weight: float) -> None:
    """Add changes, times `weight`, to the weights of their layers, in place."""
    for change in changes:
        if weight:
            target: torch.Tensor = change.layer.weight
            change.like(target).add_to(target.view(len(target), -1), weight)


def read_lora(parts: Mapping[str, torch.nn.Module], path: Path) -> list[Change]:
    """The changes of a LoRA file to `parts` ("unet", "text_encoder", "text_encoder_2"), not applied yet. Matrices are
    float32 on the CPU.

    path: a .safetensors file. Raises EngineError for one that is missing, damaged or made for another architecture.
    """
    content = read_file(path)
    layers = {part: _layers(module) for part, module in parts.items()}
    changes: list[Change] = []
    for (part, name), piece in content.pieces.items():
        layer = layers.get(part, {}).get(name)
        if layer is None or piece.down is None or piece.up is None:
            raise EngineError(f"{path}: has no place in this engine ({part} {name}); {_another(content)}")
        sides = tuple(layer.weight.shape)
        up, down = _numbers(piece.up), _numbers(piece.down)
        if not _fits(up, down, sides):
            raise EngineError(f"{path}: {part} {name} is {sides} here; {_another(content)}")
        scale = content.scale(part, piece, len(down))
        if not all(float(numbers.abs().max()) < _LARGEST for numbers in (up, down, torch.tensor(scale))):
            raise EngineError(
                f"{path}: {part} {name} is damaged, it holds no numbers or huge ones; fetch the engine again"
            )
        # For a convolution, one of the matrices has the kernel's dimensions too.
        changes.append(Change(part, layer, up.flatten(1), down.flatten(1), scale))
    return changes


def _numbers(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor as float32; NaN for a complex one, which cannot be a weight."""
    return torch.full(tensor.shape, torch.nan) if tensor.is_complex() else tensor.float()


def _layers(module: torch.nn.Module) -> dict[str, Any]:
    """Layers with weights, by their flat names in diffusers and in Stability's code."""
    found = {name: layer for name, layer in module.named_modules() if _has_weight(layer)}
    theirs = {flat(name): found[ours] for name, ours in stability_names(module).items() if ours in found}
    return theirs | {flat(name): layer for name, layer in found.items()}


def _another(content: LoraContent) -> str:
    base = content.made_for()
    return f"it is of another architecture{f', made for {base}' if base else ''}; choose a LoRA for this engine"


def _fits(up: torch.Tensor, down: torch.Tensor, sides: tuple[int, ...]) -> bool:
    """Whether the product of two low-rank matrices has the shape `sides` of a layer's weight."""
    if min(up.dim(), down.dim()) < 2 or not (up.numel() and down.numel()):
        return False
    return (len(up), up[0].numel(), down[0].numel()) == (sides[0], len(down), math.prod(sides[1:]))


def _has_weight(layer: torch.nn.Module) -> bool:
    return isinstance(getattr(layer, "weight", None), torch.Tensor)
