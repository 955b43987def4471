"""Backend `compile`: torch.compile fuses the networks' kernels, for CUDA cards and for CPUs with a C++ compiler.

Compiling takes a minute or more, so it is done once, in a child process, into a folder of the user's cache for one
engine, size, card and version of PyTorch. A show loads the kernels from there.

The mode is PyTorch's default, inside our own CUDA graph of the whole frame (see `captured`). "reduce-overhead" captures
one graph for each network, which cannot be part of another graph and copies inputs and outputs.
"max-autotune-no-cudagraphs" tries many kernels for each matrix product, which takes minutes although the libraries are
tuned already; TPOS_LIVE_COMPILE_MODE selects it, for measurements.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from tpos_live.core.errors import NotReady, exit_status
from tpos_live.diffusion.backends.cache import CompileCache, damaged_file, remove, sources, sums
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import Draws, verify_captured
from tpos_live.diffusion.model.backend import BackendRequest, Decoder, Unet
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend

FORMAT = 1
"""Version of the compiled code; part of the cache key."""
CACHE = CompileCache("compile", "compile.json", __name__, limit=3600.0)
ROOM = 64 << 20
"""Bytes on the disk that are required before compiling: more than most engines' kernels need."""
_MAKER = "compiled-by"
_MODES = ("default", "max-autotune-no-cudagraphs")


def is_available(_name: str, device: str) -> tuple[bool, str]:
    """Whether torch.compile can run on a kind of device, and the remedy if not. Compiles nothing."""
    if device not in ("cpu", "cuda"):
        return False, f"compile is for CUDA cards and CPUs; this runs on the {device}"
    if mode() not in _MODES:
        return False, f"TPOS_LIVE_COMPILE_MODE is {mode()!r}; choose {' or '.join(_MODES)}"
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return False, "torch.compile needs Triton on a card; pip install triton (on Windows triton-windows)"
    if device == "cuda" and sys.platform == "win32":
        return True, ""  # triton-windows brings its own compiler
    name = os.environ.get("CXX") or {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    if shutil.which(name) is None:
        return False, f"torch.compile needs a C++ compiler, and there is no {name} here; install one (or set CXX)"
    return True, ""


def mode() -> str:
    """The mode of torch.compile; TPOS_LIVE_COMPILE_MODE changes it, for measurements."""
    return os.environ.get("TPOS_LIVE_COMPILE_MODE", "default")


def folder(request: BackendRequest) -> Path:
    """The cache folder of the kernels; it may not exist."""
    engine = request.engine
    where: Any = request.threads or torch.get_num_threads()  # kernels depend on the number of threads
    if engine.device.type == "cuda":
        where = [torch.cuda.get_device_name(), *torch.cuda.get_device_capability(), torch.version.cuda]
    parts = [FORMAT, mode(), engine.weights_hash, *request.size, request.sequence_length, where]
    return CACHE.folder([*parts, torch.__version__, sys.version_info[:2]])


def is_prepared(request: BackendRequest) -> bool:
    """Whether the kernels of an engine are in the cache."""
    return CACHE.is_whole(folder(request))


def prepare(request: BackendRequest) -> None:
    """Compile an engine in a child process, unless done before. Raises NotReady with the reason."""
    engine = request.engine
    ready, reason = is_available("compile", engine.device.type)
    if not ready:
        raise NotReady(reason)
    place = folder(request)
    if CACHE.is_whole(place):
        return
    threads = request.threads or torch.get_num_threads()
    arguments = [engine.folder, engine.device, *request.size, request.sequence_length, threads, place]
    CACHE.build(place, engine, arguments, "torch.compile failed ({}); the show goes on without it", ROOM)


def load(_name: str, request: BackendRequest) -> CompiledBackend:
    """The backend with kernels from the cache, after comparing its first frame with eager's.

    Takes seconds, because PyTorch traces the networks again. Raises NotReady if it was not prepared or its frame
    differs.
    """
    place = folder(request)
    if not CACHE.is_whole(place):
        raise NotReady(
            "torch.compile would be faster, but this engine is not compiled yet; "
            "`tpos-live engines compile NAME --accelerator compile`"
        )
    try:
        if damaged := damaged_file(place, CACHE.sidecar, dict(CACHE.read(place).get("files", {}))):
            raise ValueError(damaged)
    except (OSError, ValueError, TypeError) as error:  # PyTorch loads libraries unchecked, and a damaged one may crash
        CACHE.discard(place)
        raise NotReady(
            "the compiled kernels of this engine are damaged; `tpos-live engines compile NAME --accelerator compile` "
            "makes them again"
        ) from error
    made, eager = make(request, place)
    verify_captured(made, eager, request)
    return made


def make(request: BackendRequest, place: Path) -> tuple[CompiledBackend, Draws]:
    """The backend with its kernels in `place`, compiled on its first calls if they are missing, and eager as its
    reference."""
    if request.threads > 0:
        torch.set_num_threads(request.threads)
    eager = EagerBackend(request.engine)  # first, because it changes the networks' memory format
    return CompiledBackend(request, place), eager


class CompiledBackend(CapturedBackend):
    """Compiled networks, on a card inside captured CUDA graphs.

    Batch sizes that were not compiled at the start are computed row by row, because a show must not wait for a
    compiler. Belongs to the render thread, which must have `torch_threads` threads.
    """

    def __init__(self, request: BackendRequest, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place / "inductor")
        os.environ["TRITON_CACHE_DIR"] = str(place / "triton")
        super().__init__("compile", request, self._compile(request))
        # PyTorch would compile again for another number of threads, which must not happen in a frame.
        self.torch_threads = torch.get_num_threads() if request.engine.device.type == "cpu" else 0

    def _compile(self, request: BackendRequest) -> tuple[Unet, Decoder]:
        """The networks, compiled on their first call. Inputs are copied to buffers first, because PyTorch would compile
        again for a tensor of another type or layout."""
        engine = request.engine
        unet, decoder = networks(engine)
        options: dict[str, Any] = {"fullgraph": True, "dynamic": False, "mode": mode()}
        fast_unet, fast_decoder = torch.compile(unet, **options), torch.compile(decoder, **options)
        # Batch size 1: one prompt. 2: a fade, or a prompt with guidance. 3: a fade with guidance.
        self._counts = {1, 2, 3} if engine.metadata.guidance else {1, 2}
        shape = engine.latent_shape(request.size)
        sides = (shape[1:], (), (request.sequence_length, engine.token_dim))
        with torch.inference_mode(False):
            inputs = {n: [torch.zeros(n, *each, device=engine.device) for each in sides] for n in self._counts}
            decoded = torch.zeros(shape, device=engine.device)

        def predict(latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            count = len(latent)
            if count not in inputs:
                rows_of = zip(latent.split(1), timestep.split(1), tokens.split(1), strict=True)
                return torch.cat([predict(*row).clone() for row in rows_of])
            for buffer, given in zip(inputs[count], (latent, timestep, tokens), strict=True):
                buffer.copy_(given)
            return fast_unet(*inputs[count])

        def decode(latent: torch.Tensor) -> torch.Tensor:
            return fast_decoder(decoded.copy_(latent))

        return predict, decode

    def prepare_batch_size(self, count: int, wait: bool = False) -> str:
        """As `Backend.prepare_batch_size`, but compiles nothing, because a show is running."""
        return "" if count in self._counts else f"compile was not made for {count} rows at once; they go one by one"


def begin(place: Path) -> Path:
    """Write and return the file that names the process which compiles into `place`. The remains of a killed process are
    removed first: the compiler writes libraries in place, and PyTorch assumes that they are complete."""
    maker = place / _MAKER
    with suppress(OSError, ValueError):
        if not psutil.pid_exists(int(maker.read_text())):
            remove(place)
    place.mkdir(parents=True, exist_ok=True)
    maker.write_text(str(os.getpid()))
    return maker


def _compile_into(path: str, device: str, size: tuple[int, int], rows: int, threads: int, place: Path) -> None:
    request = BackendRequest(load_engine(Path(path), device), size, rows, threads)
    maker = begin(place)
    made, eager = make(request, place)
    facts = {"parity_db": round(verify_captured(made, eager, request), 2), "mode": mode()}
    facts |= {"torch": torch.__version__, "size": list(size), "rows": rows}
    maker.unlink(missing_ok=True)
    facts["files"] = sums(place, CACHE.sidecar)
    CACHE.write(place, facts | sources(request.engine))  # marks the kernels as complete


def main(arguments: list[str]) -> int:
    """Entry of the child process: FOLDER DEVICE WIDTH HEIGHT ROWS THREADS PLACE."""
    path, device, place = arguments[0], arguments[1], Path(arguments[-1])
    width, height, rows, threads = map(int, arguments[2:6])
    if hasattr(os, "nice"):
        os.nice(10)  # a show may be using the same cores
    return exit_status(lambda: _compile_into(path, device, (width, height), rows, threads, place))
