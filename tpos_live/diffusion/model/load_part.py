"""Loads a network of an engine's folder, without changes to PyTorch's global state.

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
