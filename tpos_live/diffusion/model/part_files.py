"""The files of one part of an engine, looked at before a library loads them."""

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
"""Values, or lists of them, that say how many layers a library makes."""
_LENGTHS = (
    "block_out_channels", "decoder_block_out_channels", "decoder_channels",
    "cross_attention_dim", "hidden_size", "intermediate_size",
)  # fmt: skip
"""Values, or lists of them, that are a side of some weight."""


def check_files(part: Path) -> None:
    """Refuse pickles, and find damage before a library stumbles over it. Raises EngineError."""
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
    """Refuse more layers than there are weights, and larger ones: a library would make them for minutes, and only then
    find that their weights are missing. tensors: in the files. longest: their longest side."""
    for names, most, what in ((_COUNTS, tensors, "layers"), (_LENGTHS, longest, "numbers")):
        for name in names:
            largest = max((abs(value) for value in _numbers(config.get(name))), default=0)
            if largest > most:
                raise EngineError(
                    f"{part}: its config.json says {name} {largest:.6g}, its weights have {most} {what} at most; "
                    "fetch or install the engine again"
                )


def _numbers(value: object) -> list[float]:
    """All that are in a value or a list of lists."""
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) else []
