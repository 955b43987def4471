"""Checks the files of one part of an engine before a library loads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.load_part import read_json

_COUNTS = (
    "layers_per_block", "transformer_layers_per_block", "num_encoder_blocks", "num_decoder_blocks", "decoder_blocks",
    "num_hidden_layers",
)  # fmt: skip
"""Entries, numbers or lists, that determine how many layers a library creates."""
_LENGTHS = (
    "block_out_channels", "decoder_block_out_channels", "decoder_channels",
    "cross_attention_dim", "hidden_size", "intermediate_size",
)  # fmt: skip
"""Entries, numbers or lists, that are a dimension of some weight."""


def check_files(part: Path) -> None:
    """Raise EngineError for pickles, damaged files, and a configuration that does not fit the weights."""
    from safetensors import SafetensorError, safe_open

    files = sorted(part.glob("*.safetensors"))
    if not files:
        if any(part.glob("*.bin")) or any(part.glob("*.ckpt")) or any(part.glob("*.pt")):
            raise EngineError(f"{part}: its weights are pickles, which can run code; convert them to safetensors")
        raise EngineError(f"{part}: no safetensors weights; fetch or install the engine again")
    tensors = longest = 0
    for path in files:
        try:
            with safe_open(path, framework="pt") as opened:
                names = list(opened.keys())
                tensors += len(names)
                longest = max([longest, *(side for name in names for side in opened.get_slice(name).get_shape())])
        except (SafetensorError, OSError, ValueError) as error:
            raise EngineError(f"{path}: damaged weights ({error}); fetch or install the engine again") from error
    if (part / "config.json").exists():
        _check_counts(part, read_json(part / "config.json"), tensors, longest)


def _check_counts(part: Path, config: Mapping[str, Any], tensors: int, longest: int) -> None:
    """Refuse a configuration with more layers than tensors, or larger dimensions: a library would create the layers for
    minutes before it finds that weights are missing. tensors: number in the files. longest: their largest dimension."""
    for names, most, what in ((_COUNTS, tensors, "layers"), (_LENGTHS, longest, "numbers")):
        for name in names:
            largest = max((abs(value) for value in _numbers(config.get(name))), default=0)
            if largest > most:
                raise EngineError(
                    f"{part}: its config.json says {name} {largest:.6g}, its weights have {most} {what} at most; "
                    "fetch or install the engine again"
                )


def _numbers(value: object) -> list[float]:
    """All numbers in a value or in nested lists."""
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []
