"""LoRA files, merged into an engine's weights when it is loaded: no cost in a picture.

A LoRA (Hu et al. 2021, eq. 3) adds a product of two thin matrices to a layer: W + weight * alpha / rank * up @ down.
Three spellings of the same are in use: "lora_unet_..." with flattened names, and dotted names with `lora.down`
or with `lora_A`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tpos_live.render.metadata import EngineError

_SUFFIX = re.compile(r"\.(lora_down|lora_up|lora\.down|lora\.up|lora_A|lora_B)\.weight$|\.alpha$")
_ROLES = {"lora_down": "down", "lora.down": "down", "lora_A": "down", "lora_up": "up", "lora.up": "up", "lora_B": "up"}
_PREFIXES = {
    "lora_unet_": "unet", "unet.": "unet",
    "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "text_encoder.": "text_encoder",
    "lora_te2_": "text_encoder_2", "text_encoder_2.": "text_encoder_2",
}  # fmt: skip
_FOREIGN = ("input_blocks_", "middle_block_", "output_blocks_")
"""How layers of a UNet are called in Stability's own code, whose names many LoRAs for Stable Diffusion XL have."""


def merge_lora(parts: Mapping[str, torch.nn.Module], path: Path, weight: float = 1.0) -> int:
    """Add a LoRA file to the weights of parts ("unet", "text_encoder", "text_encoder_2"), in place; the number of
    layers changed.

    path: a .safetensors file. weight: 0 leaves everything as it is, 1 is as trained. Raises EngineError for a
    file that is missing, damaged or made for another architecture; the parts are then unchanged.
    """
    pieces = _read(path)
    layers = {
        part: {_flat(name): layer for name, layer in module.named_modules() if hasattr(layer, "weight")}
        for part, module in parts.items()
    }
    changes: list[tuple[torch.Tensor, torch.Tensor]] = []
    for (part, name), piece in pieces.items():
        layer = layers.get(part, {}).get(name)
        if layer is None and part == "unet" and name.startswith(_FOREIGN):
            remedy = "convert it to diffusers' names"
            raise EngineError(f"{path}: names its layers as Stability's own code does ({name}); {remedy}")
        if layer is None or "down" not in piece or "up" not in piece:
            raise EngineError(f"{path}: has no place in this engine ({part} {name}); it is of another architecture")
        target: Any = layer.weight
        change = _product(piece)
        if change.numel() != target.numel():
            raise EngineError(f"{path}: {part} {name} is {tuple(target.shape)} here; it is of another architecture")
        changes.append((target, change.reshape(target.shape)))
    with torch.no_grad():
        for target, change in changes:
            target.add_((weight * change).to(target.device, target.dtype))
    return len(changes)


def _flat(name: str) -> str:
    """A layer's name as LoRA files have it; transformers has dropped the first word of some."""
    return name.replace(".", "_").removeprefix("text_model_")


def _product(piece: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """alpha / rank * up @ down, float32; kernels of convolutions are kept in the thin matrix's shape."""
    down, up = piece["down"].float(), piece["up"].float()
    rank = down.shape[0]
    alpha = float(piece["alpha"]) if "alpha" in piece else float(rank)
    return alpha / rank * (up.reshape(-1, rank) @ down.reshape(rank, -1))


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
