"""Checks and loads a network of an engine's folder, without changes to PyTorch's global state.

The libraries' `from_pretrained` replaces functions of PyTorch for the whole process while it creates a network. A
module that another thread creates in that moment has no memory ("Cannot copy out of meta tensor"), and tensors of the
render thread may get half precision. `torch.device("meta")` affects one thread only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.tensor_file import read_tensors

_UNUSED: dict[str, tuple[str, ...]] = {"unet": (), "vae": ("encoder.", "quant_conv.")}
"""Prefixes of weights that are not used here, so that a file may lack them."""
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(\.fp16)?(-\d+-of-\d+)?(\.fp16)?\.safetensors")
_OLDER = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
"""Names of a decoder's attention in files of diffusers before 0.13."""
_PREFIX = "text_model."
"""Prefix of the names of CLIP's weights in all files, and in the modules of some versions of transformers."""
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


def load_part(folder: Path, part: str, cls: Any, unused: tuple[str, ...] | None = None) -> Any:
    """One part of an engine, in evaluation mode, on the CPU, in its files' precision. Any thread may call it.

    cls: a model class of diffusers or transformers. unused: prefixes of weights that the files may lack, and which are
    zeros then. Raises EngineError.
    """
    where = folder / part
    try:
        with torch.device("meta"):
            module = _empty(where, cls)
        state = module.state_dict()
        weights = _renamed(read_weights(where), state)
        for name in state.keys() & weights.keys():
            if weights[name].shape != state[name].shape:
                sizes = [" x ".join(map(str, each.shape)) for each in (weights[name], state[name])]
                raise ValueError(f"{name} is {sizes[0]}, its configuration says {sizes[1]}")
        missing = sorted(state.keys() - weights.keys())
        unused = _UNUSED.get(part, ()) if unused is None else unused
        require_tensors(where, [name for name in missing if not name.startswith(unused)])
        weights |= {name: torch.zeros(state[name].shape) for name in missing}
        module.load_state_dict({name: weights[name] for name in state}, assign=True)
        _fill_positions(module)
    except EngineError:
        raise
    except Exception as error:
        first = first_line(error, 200)
        raise EngineError(f"{where}: cannot be loaded ({first}); fetch or install the engine again") from error
    return module.eval()


def read_weights(where: Path) -> dict[str, torch.Tensor]:
    """The tensors of a part's files by name, in full precision where the folder has both. Raises as `read_tensors`."""
    files = [path for path in sorted(where.glob("*.safetensors")) if _WEIGHTS.fullmatch(path.name)]
    weights: dict[str, torch.Tensor] = {}
    for path in [path for path in files if ".fp16" not in path.name] or files:
        weights |= read_tensors(path)
    return weights


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file of an engine. Raises EngineError."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise EngineError(f"{path}: missing or damaged; fetch or install the engine again") from error


def require_tensors(where: Path, missing: Sequence[str]) -> None:
    """Raise EngineError if `missing`, names of tensors that the files of a part lack, is not empty."""
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        what = ", ".join(sorted(missing)[:3])
        raise EngineError(f"{where}: {what}{more} is missing; fetch or install the engine again")


def _empty(where: Path, cls: Any) -> torch.nn.Module:
    """The module that a folder's configuration describes."""
    made: torch.nn.Module
    config = read_json(where / "config.json")  # the libraries would look for a missing one on the hub
    if hasattr(cls, "load_config"):  # of diffusers
        made = cls.from_config(config)
    else:
        made = cls(cls.config_class.from_pretrained(where, local_files_only=True))
    return made


def _renamed(weights: Mapping[str, torch.Tensor], wanted: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights by the names that a module expects; the file may use any of the known spellings."""

    def name(given: str) -> str:
        newer = given
        for old, new in _OLDER.items():
            newer = newer.replace(old, new)
        choices = (given, newer, given.removeprefix(_PREFIX), _PREFIX + given)
        return next((choice for choice in choices if choice in wanted), given)

    return {name(given): value for given, value in weights.items()}


def _fill_positions(module: torch.nn.Module) -> None:
    """Set the position ids 0, 1, 2 … of a text encoder, the only buffer that no file contains."""
    for part in module.modules():
        for name, table in part.named_buffers(recurse=False):
            if table.is_meta:
                if not name.endswith("position_ids"):
                    raise ValueError(f"{name} is in no file")
                setattr(part, name, torch.arange(table.shape[-1]).expand(table.shape))


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
