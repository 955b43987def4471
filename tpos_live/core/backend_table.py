"""The table of backends. It is here, and not in `diffusion/backends`, so that settings and options check a name before
PyTorch is imported, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackendEntry:
    """A backend in the table.

    module: in `diffusion/backends`, with `is_available(name, device)` and `load(name, request)`, and for a backend that
    is compiled in advance `is_prepared(request)` and `prepare(request)`. auto: kinds of device on which "auto" may use
    it. auto_prepares: whether "auto" also prepares it, or uses it only if it is prepared. interim: the backend that
    draws on a card while this one is loading, which takes half a minute.
    """

    module: str
    auto: tuple[str, ...] = ()
    auto_prepares: bool = False
    interim: str = ""


BACKENDS = {
    "eager": BackendEntry("eager", auto=("cpu", "cuda")),
    "openvino": BackendEntry("openvino", auto=("cpu",), auto_prepares=True),
    "cuda-graph": BackendEntry("cuda_graph", auto=("cuda",)),
    "compile": BackendEntry("torch_compile", auto=("cuda",), interim="cuda-graph"),
    "tensorrt-rtx": BackendEntry("tensorrt"),
    "tensorrt": BackendEntry("tensorrt"),
}
"""Simplest first: "auto" takes the last one that is ready for the kind of device.

"auto" never takes TensorRT, which has not been run on a card yet, nor `compile` on a CPU, which needs a C++ compiler
and is slower than OpenVINO; both can be chosen by name."""
NAMES = tuple(BACKENDS)
INTERIM = ("eager", *{entry.interim for entry in BACKENDS.values() if entry.interim})
"""Backends that draw until a faster one is ready (see `diffusion/backends/registry.py::prepare_better`)."""
AUTO = "auto"
CHOICES = (AUTO, *NAMES)
"""What a user may choose."""


def parse_accelerator(text: str) -> str:
    """One of CHOICES: "OpenVINO" is "openvino". Raises ValueError."""
    name = text.strip().lower()
    if name not in CHOICES:
        raise ValueError(f'there is no accelerator "{text[:60]}"; choose {", ".join(CHOICES)}')
    return name
