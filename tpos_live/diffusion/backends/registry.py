"""Chooses the backend that runs an engine's networks: one table, a fallback order, and a reason for each fallback."""

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
    """A backend in the table.

    module: in this package, with `is_available(name, device)` and `load(name, request)`, and for a backend that is
    compiled in advance `is_prepared(request)` and `prepare(request)`. auto: kinds of device on which "auto" may use it.
    auto_prepares: whether "auto" also prepares it, or uses it only if it is prepared. interim: the backend that draws
    on a card while this one is loading, which takes half a minute.
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
"""Simplest first: "auto" takes the last one that is ready for the kind of device.

"auto" never takes TensorRT, which has not been run on a card yet, nor `compile` on a CPU, which needs a C++ compiler
and is slower than OpenVINO; both can be chosen by name."""
NAMES = tuple(BACKENDS)
INTERIM = ("eager", *{entry.interim for entry in BACKENDS.values() if entry.interim})
"""Backends that draw until a faster one is ready (see `prepare_better`)."""


def is_available(name: str, engine: Engine | None = None) -> tuple[bool, str]:
    """Whether a backend can run here, and the reason with the remedy if it cannot.

    engine: the engine to run, None = any engine on this machine.
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
    """The backends to try for "auto" or one of NAMES on a kind of device, best first; eager is always the last one."""
    if name == "auto":
        return tuple(each for each in reversed(BACKENDS) if device in BACKENDS[each].auto) or ("eager",)
    interim = BACKENDS[name].interim if device == "cuda" else ""
    return (name, interim) if interim else (name,)


def choose(name: str, request: BackendRequest, fast_start: bool = False) -> Backend:
    """The backend for an engine at a size.

    name: "auto" or one of NAMES. fast_start: leave a backend that takes half a minute to load on a card to
    `prepare_better`. "auto" gives the best backend that is ready; a named backend that is not ready is replaced by a
    simpler one. `fallback_reason` says why each better one is not used. Raises EngineError for an unknown name.
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
    """The name of the backend that `prepare_better` would prepare; "" where there is none.

    "auto" uses kernels that were compiled before, but never compiles: that takes minutes beside a show.
    """
    for each in fallback_order(name, request.engine.device.type):
        module = BACKENDS[each].load_module()
        if not hasattr(module, "prepare"):
            continue
        if each == name or BACKENDS[each].auto_prepares or module.is_prepared(request):
            return each
    return ""


def load(name: str, request: BackendRequest) -> Backend:
    """The backend of this name. Raises NotReady, or whatever its library raises."""
    made = BACKENDS[name].load_module().load(name, request)
    assert isinstance(made, Backend)
    return made


def prepare_better(name: str, request: BackendRequest) -> Backend | None:
    """Prepare and load the backend that `choose` would have preferred; None if there is no better one.

    Takes seconds to minutes, mostly in a child process: call it on a worker thread while one of INTERIM draws, then
    pass the result to `RenderThread.swap`. Raises EngineError with the reason if that fails, or if a backend that was
    chosen by name cannot run here.
    """
    engine, better = request.engine, preparable(name, request)
    if not better or not is_available(better, engine)[0]:
        able, why = (True, "") if name == "auto" else is_available(name, engine)
        if able:
            return None
        raise EngineError(f"--accelerator {name} is not used: {why}")
    try:
        BACKENDS[better].load_module().prepare(request)
        with engine.networks.live.held():  # weights must not change during the comparison with eager
            return load(better, request)
    except EngineError:
        raise
    except Exception as error:  # of a library, or of the disk
        line = f"{better} cannot be made ready ({first_line(error)}); the show goes on without it"
        raise EngineError(line) from error


def sweep_caches() -> None:
    """Remove partial cache folders of earlier runs; never fails."""
    for name in NAMES:
        remove_partial(cache_dir() / name)
