"""Which backend runs an engine's networks: one table, an order to fall back in, never a silent fallback."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import Any

import torch

from tpos_live.core.errors import EngineError, NotReady, first_line
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import remove_partial
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.engine import Engine


@dataclass(frozen=True)
class Entry:
    """A backend that can be asked for by name.

    module: beside this one, with `is_available(name, device)` and `load(name, request)`, and where something must be
    made ready first `is_prepared(request)` and `prepare(request)`. auto: kinds of device on which "auto" takes it.
    auto_prepares: whether "auto" also makes it ready; otherwise it takes what is ready. interim: the backend that
    draws on a card while this one is loaded, which takes half a minute.
    """

    module: str
    auto: tuple[str, ...] = ()
    auto_prepares: bool = False
    interim: str = ""

    def load_module(self) -> Any:
        return importlib.import_module(f"tpos_live.diffusion.backends.{self.module}")


BACKENDS = {
    "eager": Entry("eager", auto=("cpu", "cuda")),
    "openvino": Entry("openvino", auto=("cpu",), auto_prepares=True),
    "cuda-graph": Entry("cuda_graph", auto=("cuda",)),
    "compile": Entry("torch_compile", auto=("cuda",), interim="cuda-graph"),
    "tensorrt-rtx": Entry("tensorrt"),
    "tensorrt": Entry("tensorrt"),
}
"""Plainest first: "auto" takes the last one that is ready on its kind of device.

TensorRT is taken by name only: it never ran on a card. On a CPU `compile` can be asked for: it needs a C++ compiler,
and OpenVINO is the faster one."""
NAMES = tuple(BACKENDS)
INTERIM = ("eager", *{entry.interim for entry in BACKENDS.values() if entry.interim})
"""Backends that draw until a better one is ready (see `prepare_better`)."""


def is_available(name: str, engine: Engine | None = None) -> tuple[bool, str]:
    """Whether a backend can run here, and the reason, with the remedy, if it cannot.

    engine: the one to draw with; None = on this machine at all.
    """
    if name not in BACKENDS:
        return False, f"there is no accelerator {name}; choose {', '.join(('auto', *NAMES))}"
    entry = BACKENDS[name]
    if engine is not None:
        device = engine.device.type
    else:
        device = "cuda" if torch.cuda.is_available() and entry.auto != ("cpu",) else "cpu"
    ready, reason = entry.load_module().is_available(name, device)
    return bool(ready), str(reason)


def fallback_order(name: str, device: str) -> tuple[str, ...]:
    """The backends to try for "auto" or one of NAMES on a kind of device, best first; eager is behind all of them."""
    if name == "auto":
        return tuple(each for each in reversed(BACKENDS) if device in BACKENDS[each].auto) or ("eager",)
    interim = BACKENDS[name].interim if device == "cuda" else ""
    return (name, interim) if interim else (name,)


def choose(name: str, request: BackendRequest, fast_start: bool = False) -> Backend:
    """The backend for an engine at a size.

    name: "auto" or one of NAMES. fast_start: leave to `prepare_better` what takes a card half a minute to load. With
    "auto" the best backend that is ready is taken, where a named one is not ready a plainer one runs;
    `fallback_reason` says of each better one why not. Raises EngineError for a name that does not exist.
    """
    if name not in ("auto", *NAMES):
        raise EngineError(is_available(name)[1])
    engine = request.engine
    engine.networks.live.rest()
    if name == "eager":
        return EagerBackend(engine, "chosen by --accelerator")
    reasons: list[str] = []
    later = preparable(name, request) if fast_start and engine.device.type == "cuda" else ""
    for each in fallback_order(name, engine.device.type):
        if each == "eager":
            break
        ready, reason = is_available(each, engine)
        if ready and each == later:
            ready, reason = False, f"{each} is on its way"
            request = replace(request, minimal_capture=True)
        if ready:
            try:
                made = load(each, request)
                made.fallback_reason = "; ".join(filter(None, [*reasons, made.fallback_reason]))
                return made
            except NotReady as error:
                reason = str(error)
            except Exception as error:  # a library that fails must not keep the show from starting
                reason = f"{each} failed: {first_line(error)}"
        reasons.append(reason)
    return EagerBackend(engine, "; ".join(reasons))


def preparable(name: str, request: BackendRequest) -> str:
    """The backend that `prepare_better` makes ready; "" where there is none.

    "auto" takes kernels that were compiled before, and never compiles: that is minutes of work beside a show.
    """
    for each in fallback_order(name, request.engine.device.type):
        module = BACKENDS[each].load_module()
        if not hasattr(module, "prepare"):
            continue
        if each == name or BACKENDS[each].auto_prepares or module.is_prepared(request):
            return each
    return ""


def load(name: str, request: BackendRequest) -> Backend:
    """One backend by its name. Raises NotReady, or whatever its library raises."""
    made = BACKENDS[name].load_module().load(name, request)
    assert isinstance(made, Backend)
    return made


def prepare_better(name: str, request: BackendRequest) -> Backend | None:
    """Make the backend ready that `choose` would have taken had it been there; None if there is no better one.

    Takes seconds to minutes, most of them in a child process: call it on a worker while one of INTERIM draws, then
    hand the result to `RenderThread.swap`. Raises EngineError with the reason if it cannot be made, whatever
    failed, and where one that was asked for by its name cannot run here.
    """
    engine, better = request.engine, preparable(name, request)
    if not better or not is_available(better, engine)[0]:
        able, why = (True, "") if name == "auto" else is_available(name, engine)
        if able:
            return None
        raise EngineError(f"--accelerator {name} is not used: {why}")
    try:
        BACKENDS[better].load_module().prepare(request)
        with engine.networks.live.held():  # it is compared with eager
            return load(better, request)
    except EngineError:
        raise
    except Exception as error:  # of a library, or of the disk
        line = f"{better} cannot be made ready ({first_line(error)}); the show goes on without it"
        raise EngineError(line) from error


def sweep_caches() -> None:
    """Remove what earlier runs have left half made; never fails."""
    for name in NAMES:
        remove_partial(cache_dir() / name)
