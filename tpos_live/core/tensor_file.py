"""Reads a safetensors file into memory.

The library's own `load_file` maps the file, so pages are read at their first use. If the file is overwritten during a
show, or its disk is removed, the process would end with SIGBUS.
"""

from __future__ import annotations

import json
import math
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from tpos_live.core.errors import first_line

if TYPE_CHECKING:  # listing engines must not import torch
    import torch

_MOST = 100 << 20
"""Most bytes of a header, as in the library."""


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, on the CPU, in the file's precision.

    Raises OSError, and ValueError for a file that is damaged or has an unknown data type.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (KeyError, TypeError, AttributeError, RuntimeError, RecursionError) as error:
        raise ValueError(f"no safetensors file ({first_line(error)})") from error


def _read(file: BufferedReader) -> dict[str, torch.Tensor]:
    import torch

    kinds = {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }  # fmt: skip
    tensors: dict[str, torch.Tensor] = {}
    length = int.from_bytes(file.read(8), "little")
    if length > _MOST:
        raise ValueError("no safetensors file")
    header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if (kind := kinds.get(entry["dtype"])) is None:
            raise ValueError(f"{name} is {entry['dtype']}, a kind that is not read")
        if math.prod(entry["shape"]) * kind.itemsize != end - begin:
            raise ValueError(f"{name} has {end - begin} bytes, which is not its size")
        tensor = torch.empty(entry["shape"], dtype=kind)
        file.seek(8 + length + begin)
        if tensor.nbytes and file.readinto(tensor.view(-1).view(torch.uint8).numpy().data) != tensor.nbytes:
            raise ValueError(f"{name} is cut short")
        tensors[name] = tensor
    return tensors
