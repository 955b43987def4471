"""Reads a LoRA file of any tool, and sorts its tensors by layer. `lora.py` finds the layers and changes them.

The two matrices have different names in each tool: kohya's flattened "lora_unet_…lora_down", diffusers' dotted names
with "lora.down", "lora_A" or "processor.to_q_lora", and PEFT's "base_model.model.…". The UNet's layers have names as in
diffusers or as in Stability's own code ("input_blocks"), which `lora.py` resolves.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tpos_live.core.errors import EngineError

_ROLES = {"down": "down", "A": "down", "up": "up", "B": "up"}
_SUFFIX = re.compile(
    r"(?:\.lora_(?P<flat>down|up)|\.lora_linear_layer\.(?P<layer>down|up)|(?P<old>_lora)\.(?P<way>down|up)"
    r"|\.lora\.(?P<dotted>down|up)|\.lora_(?P<letter>[AB])(?:\.default)?)\.weight$|\.(?P<alpha>alpha)$"
)
_PREFIXES = {
    "lora_unet_": "unet", "unet.": "unet", "model.diffusion_model.": "unet", "diffusion_model.": "unet",
    "lora_te_": "text_encoder", "lora_te1_": "text_encoder", "text_encoder.": "text_encoder",
    "lora_te2_": "text_encoder_2", "text_encoder_2.": "text_encoder_2",
}  # fmt: skip
_BARE = ("down_blocks.", "mid_block.", "up_blocks.")
"""Prefixes of a UNet's layers in files without names of parts."""
_OTHERS = {
    "LoHa": (".hada_",), "LoKr": (".lokr_",), "LoCon with a third matrix": (".lora_mid.",),
    "DoRA": (".dora_scale.", ".lora_magnitude_vector."), "OFT": (".oft_",), "IA3": (".on_input.",),
    "full difference": (".diff.", ".diff_b."), "set of changed norms": (".w_norm.", ".b_norm."),
}  # fmt: skip
"""Kinds of adapters other than LoRA, by words in the names of their tensors."""
_WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
_LARGEST_ALPHA = 1e30
_METADATA = "lora_adapter_metadata"
"""Entry of the file's header in which diffusers writes PEFT's settings."""


@dataclass
class Piece:
    """The matrices of one layer. alpha: 0-dimensional; None = the rank."""

    up: torch.Tensor | None = None
    down: torch.Tensor | None = None
    alpha: torch.Tensor | None = None


@dataclass(frozen=True)
class LoraContent:
    """The content of a LoRA file. pieces: by part ("unet", "text_encoder", "text_encoder_2") and the layer's name with
    "_" for dots. settings: PEFT's, as diffusers writes them ("unet.lora_alpha" …)."""

    pieces: dict[tuple[str, str], Piece]
    settings: Mapping[str, object] = field(default_factory=dict)

    def scale(self, part: str, piece: Piece, rank: int) -> float:
        """Factor on the product of the two matrices: alpha / rank, or alpha / sqrt(rank) for PEFT's rslora."""
        if piece.alpha is not None:
            return float(piece.alpha.real.sum()) / rank
        alpha = self.settings.get(f"{part}.lora_alpha")
        if not isinstance(alpha, int | float):
            return 1.0
        size = float(alpha) if abs(alpha) < _LARGEST_ALPHA else math.inf
        return size / (rank**0.5 if self.settings.get(f"{part}.use_rslora") else rank)

    def made_for(self) -> str:
        """The generation of Stable Diffusion by the width of the cross-attention; "" if that is not clear."""
        for (part, name), piece in self.pieces.items():
            if part == "unet" and name.endswith(("attn2_to_k", "attn2_to_v")) and piece.down is not None:
                return _WIDTHS.get(piece.down.shape[-1], "")
        return ""


def flat(name: str) -> str:
    """A layer's name as in LoRA files, without the prefix that newer versions of transformers have removed."""
    return name.replace(".", "_").removeprefix("text_model_")


def read_file(path: Path) -> LoraContent:
    """Read a LoRA file. Raises EngineError for one that is missing, damaged, a pickle, or no LoRA."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise EngineError(f"{path}: LoRA files must be safetensors; a pickle can run code")
    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise EngineError(f"{path}: missing or damaged; fetch the engine again") from error
    _refuse_others(path, tensors)
    pieces: dict[tuple[str, str], Piece] = {}
    for key, tensor in tensors.items():
        part, name, role = _place(path, key)
        setattr(pieces.setdefault((part, name), Piece()), role, tensor)
    return LoraContent(pieces, _settings(path, header))


def _refuse_others(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    for kind, words in _OTHERS.items():
        if any(word in f"{key}." for key in tensors for word in words):
            remedy = "merge it into a checkpoint, or choose another file"
            raise EngineError(f"{path}: is a {kind}, as LyCORIS or PEFT writes it, and no plain LoRA; {remedy}")


def _place(path: Path, key: str) -> tuple[str, str, str]:
    """Part, flat name and role of a tensor."""
    plain = key.removeprefix("base_model.model.")
    found = _SUFFIX.search(plain)
    prefix = next((prefix for prefix in _PREFIXES if plain.startswith(prefix)), None)
    bare = plain.startswith(_BARE)
    if found is None or (prefix is None and not bare):
        raise EngineError(f"{path}: {key} is not of a LoRA for Stable Diffusion; use another file")
    part = _PREFIXES[prefix] if prefix else "unet"
    name = flat(plain[len(prefix or "") : found.start()])
    if found["old"]:
        name = _old_name(part, name)
    if found["alpha"]:
        return part, name, "alpha"
    way = next(filter(None, (found[group] for group in ("flat", "layer", "way", "dotted", "letter"))))
    return part, name, _ROLES[way]


def _old_name(part: str, name: str) -> str:
    """The layer's name for diffusers' oldest names, such as "attn1.processor.to_q_lora" and "self_attn.to_q_lora"."""
    layer, _, word = name.replace("_processor_", "_").rpartition("_to_")
    if part == "unet":
        return f"{layer}_to_{word}" + ("_0" if word == "out" else "")
    return f"{layer}_{word}_proj"


def _settings(path: Path, header: Mapping[str, str]) -> Mapping[str, object]:
    try:
        settings = json.loads(header.get(_METADATA, "{}"))
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path}: its header is damaged; fetch the file again") from error
    if not isinstance(settings, dict):
        return {}
    if any(settings.get(f"{part}.alpha_pattern") for part in set(_PREFIXES.values())):
        raise EngineError(f"{path}: its layers have an alpha each (alpha_pattern), which is not read; use another file")
    return settings
