"""LoRA files, merged into an engine's weights when it is loaded: no cost in a picture. `live_lora` moves some later.

A LoRA (Hu et al. 2021, eq. 3) adds a product of two thin matrices to a layer: W + weight * alpha / rank * up @ down.
Three spellings of the same are in use: "lora_unet_..." with flattened names, and dotted names with `lora.down`
or with `lora_A`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError

_SUFFIX = re.compile(r"\.(lora_down|lora_up|lora\.down|lora\.up|lora_A|lora_B)\.weight$|\.alpha$")
_ROLES = {"lora_down": "down", "lora.down": "down", "lora_A": "down", "lora_up": "up", "lora.up": "up", "lora_B": "up"}
_PREFIXES = {
    "lora_unet_": "unet", "unet.": "unet",
    "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "text_encoder.": "text_encoder",
    "lora_te2_": "text_encoder_2", "text_encoder_2.": "text_encoder_2",
}  # fmt: skip
_FOREIGN = ("input_blocks_", "middle_block_", "output_blocks_")
"""How layers of a UNet are called in Stability's own code, whose names many LoRAs for Stable Diffusion XL have."""


@dataclass(frozen=True)
class Change:
    """What a LoRA of weight 1 adds to one layer: scale * up @ down, two thin matrices.

    part: "unet", "text_encoder" or "text_encoder_2". layer: has the `weight` that is changed, [out, ...]. up:
    [out, rank]. down: [rank, the weight's other sides as one].
    """

    part: str
    layer: Any
    up: torch.Tensor
    down: torch.Tensor
    scale: float

    def like(self, weight: torch.Tensor) -> Change:
        """The same on another device and in another precision."""
        return replace(self, up=self.up.to(weight), down=self.down.to(weight))

    def add_to(self, flat: torch.Tensor, weight: float) -> None:
        """Add it to a layer's weights in place. flat: [out, the other sides as one], of the matrices' device and dtype.

        The product is not kept anywhere, and in half precision the sum is rounded once.
        """
        flat.addmm_(self.up, self.down, alpha=weight * self.scale)


@torch.no_grad()
def merge(changes: Iterable[Change], weight: float) -> None:
    """Add changes to the weights of their layers, in place; 0 changes nothing."""
    for change in changes:
        if weight:
            target: torch.Tensor = change.layer.weight
            change.like(target).add_to(target.view(len(target), -1), weight)


def read_lora(parts: Mapping[str, torch.nn.Module], path: Path) -> list[Change]:
    """What a LoRA file changes in parts ("unet", "text_encoder", "text_encoder_2"); nothing is changed yet. Matrices
    are float32, and lie on the CPU.

    path: a .safetensors file. Raises EngineError for one that is missing, damaged or made for another architecture.
    """
    pieces = _read(path)
    layers = {
        part: {_flat(name): layer for name, layer in module.named_modules() if _has_weight(layer)}
        for part, module in parts.items()
    }
    changes: list[Change] = []
    for (part, name), piece in pieces.items():
        layer = layers.get(part, {}).get(name)
        if layer is None and part == "unet" and name.startswith(_FOREIGN):
            remedy = "convert it to diffusers' names"
            raise EngineError(f"{path}: names its layers as Stability's own code does ({name}); {remedy}")
        if layer is None or "down" not in piece or "up" not in piece:
            raise EngineError(f"{path}: has no place in this engine ({part} {name}); it is of another architecture")
        sides = tuple(layer.weight.shape)
        up, down = (piece[role].float() for role in ("up", "down"))
        if not _fits(up, down, sides):
            raise EngineError(f"{path}: {part} {name} is {sides} here; it is of another architecture")
        scale = float(piece["alpha"].sum()) / len(down) if "alpha" in piece else 1.0
        if not all(torch.isfinite(numbers).all() for numbers in (up, down, torch.tensor(scale))):
            raise EngineError(f"{path}: {part} {name} is damaged, it holds no numbers; fetch the engine again")
        # A convolution's kernel lies in one of the matrices.
        changes.append(Change(part, layer, up.flatten(1), down.flatten(1), scale))
    return changes


def _fits(up: torch.Tensor, down: torch.Tensor, sides: tuple[int, ...]) -> bool:
    """Whether the product of two thin matrices is a change of weights [sides]."""
    if min(up.dim(), down.dim()) < 2 or not down.numel():
        return False
    return (len(up), up[0].numel(), down[0].numel()) == (sides[0], len(down), math.prod(sides[1:]))


def _has_weight(layer: torch.nn.Module) -> bool:
    return isinstance(getattr(layer, "weight", None), torch.Tensor)


def _flat(name: str) -> str:
    """A layer's name as LoRA files have it; transformers has dropped the first word of some."""
    return name.replace(".", "_").removeprefix("text_model_")


def _read(path: Path) -> dict[tuple[str, str], dict[str, torch.Tensor]]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        raise EngineError(f"{path}: LoRA files must be safetensors; a pickle can run code")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise EngineError(f"{path}: missing or damaged; fetch the engine again") from error
    pieces: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        found = _SUFFIX.search(key)
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
        if found is None or prefix is None:
            raise EngineError(f"{path}: {key} is not of a LoRA for Stable Diffusion; use another file")
        name = _flat(key[len(prefix) : found.start()])
        role = _ROLES[found[1]] if found[1] else "alpha"
        pieces.setdefault((_PREFIXES[prefix], name), {})[role] = tensor
    return pieces
