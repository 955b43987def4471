"""Chooses the backend that runs an engine's networks: a fallback order, and a reason for each fallback."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import torch

from tpos_live.core.backend_table import AUTO, BACKENDS, CHOICES, NAMES
from tpos_live.core.errors import EngineError, NotReady, first_line
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import remove_partial
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.engine import Engine


def _module(name: str) -> Any:
    return importlib.import_module(f"tpos_live.diffusion.backends.{BACKENDS[name].module}")


def is_available(name: str, engine: Engine | None = None) -> tuple[bool, str]:
    """Whether a backend can run here, and the reason with the remedy if it cannot.

    engine: the engine to run, None = any engine on this machine.
    """
    if name not in BACKENDS:
        return False, f"there is no accelerator {name}; choose {', '.join(CHOICES)}"
    if engine is not None:
        device = engine.device.type
    else:
        device = "cuda" if torch.cuda.is_available() and BACKENDS[name].auto != ("cpu",) else "cpu"
    ready, reason = _module(name).is_available(name, device)
    return bool(ready), str(reason)


def fallback_order(name: str, device: str) -> tuple[str, ...]:
    """The backends to try for one of CHOICES on a kind of device, best first; eager is always the last one."""
    if name == AUTO:
        return tuple(each for each in reversed(BACKENDS) if device in BACKENDS[each].auto) or ("eager",)
    interim = BACKENDS[name].interim if device == "cuda" else ""
    return (name, interim) if interim else (name,)


def choose(name: str, request: BackendRequest, fast_start: bool = False) -> Backend:
    """The backend for an engine at a size.

    name: one of CHOICES. fast_start: leave a backend that takes half a minute to load on a card to
    `prepare_better`. "auto" gives the best backend that is ready; a named backend that is not ready is replaced by a
    simpler one. `fallback_reason` says why each better one is not used. Raises EngineError for an unknown name.
    """
    if name not in CHOICES:
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
        module = _module(each)
        if not hasattr(module, "prepare"):
            continue
        if each == name or BACKENDS[each].auto_prepares or module.is_prepared(request):
            return each
    return ""


def load(name: str, request: BackendRequest) -> Backend:
    """The backend of this name. Raises NotReady, or whatever its library raises."""
    made = _module(name).load(name, request)
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
        able, why = (True, "") if name == AUTO else is_available(name, engine)
        if able:
            return None
        raise EngineError(f"--accelerator {name} is not used: {why}")
    try:
        _module(better).prepare(request)
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
