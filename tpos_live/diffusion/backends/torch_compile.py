"""torch.compile: the networks as fused kernels, for CUDA cards and for CPUs with a C++ compiler.

Compiling takes a minute or more, so it is done once, in a child process, into a folder of the user's cache that
belongs to one engine, size, card and version of PyTorch; a show that finds it there reads the kernels from it.

The mode is PyTorch's default one, under our own recording of the whole picture (see `graph`). "reduce-overhead" records
graphs of its own, one for each network, which cannot lie in another recording and copy what goes in and comes out. And
"max-autotune-no-cudagraphs" tries many kernels for each matrix product, minutes of work for products whose libraries
are tuned already: TPOS_LIVE_COMPILE_MODE chooses it, to measure.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.child_process import ChildError, run_module
from tpos_live.core.errors import NotReady, exit_status
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import check_writable, mark_used, tidy
from tpos_live.diffusion.backends.cuda_graph import Decoder, Unet, WholeAccelerator, networks, prove
from tpos_live.diffusion.model.engine import Engine, load_engine

FORMAT = 1
"""Counts changes of what is compiled."""
SIDECAR = "compile.json"
PATIENCE = 3600.0
"""Seconds after which compiling is given up."""
ROOM = 64 << 20
"""Bytes that kernels need on the disk, and more than most do."""
_MODES = ("default", "max-autotune-no-cudagraphs")


def is_available(device: str) -> tuple[bool, str]:
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
    """How PyTorch compiles; TPOS_LIVE_COMPILE_MODE changes it, for measurements."""
    return os.environ.get("TPOS_LIVE_COMPILE_MODE", "default")


def folder(engine: Engine, size: tuple[int, int], rows: int, threads: int) -> Path:
    """Where the kernels lie, or will lie. threads: of the CPU, 0 = as many as PyTorch has on this thread."""
    where: Any = threads or torch.get_num_threads()  # their number is in the kernels
    if engine.device.type == "cuda":
        where = [torch.cuda.get_device_name(), *torch.cuda.get_device_capability(), torch.version.cuda]
    parts = [FORMAT, mode(), engine.weights_hash, *size, rows, where, torch.__version__, sys.version_info[:2]]
    return cache_dir() / "compile" / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def is_prepared(engine: Engine, size: tuple[int, int], rows: int, threads: int = 0) -> bool:
    """Whether the kernels of an engine lie in the cache."""
    try:
        return (folder(engine, size, rows, threads) / SIDECAR).exists()
    except OSError:  # a cache that cannot be read
        return False


def prepare(engine: Engine, size: tuple[int, int], rows: int, threads: int = 0) -> Path:
    """Compile an engine unless that is done, in a child process; the folder. Raises NotReady with the reason."""
    ready, why = is_available(engine.device.type)
    if not ready:
        raise NotReady(why)
    threads = threads or torch.get_num_threads()
    place = folder(engine, size, rows, threads)
    if is_prepared(engine, size, rows, threads):
        return place
    check_writable(place.parent, ROOM)
    arguments = [engine.folder, engine.device, *size, rows, threads, place]
    try:
        run_module(__name__, list(map(str, arguments)), PATIENCE)
    except ChildError as error:
        raise NotReady(f"torch.compile failed ({error}); the show goes on without it") from error
    tidy(place.parent, SIDECAR, {str(engine.folder.resolve()): engine.weights_hash})
    return place


def load(engine: Engine, size: tuple[int, int], rows: int, threads: int = 0) -> Compiled:
    """The accelerator, with kernels from the cache; its first picture is compared with eager's.

    Seconds, for PyTorch traces the networks anew. Raises NotReady where it was not prepared or draws another picture.
    """
    place = folder(engine, size, rows, threads)
    if not is_prepared(engine, size, rows, threads):
        raise NotReady(
            "torch.compile would be faster, but this engine is not compiled yet; "
            "`tpos-live engines compile NAME --accelerator compile`"
        )
    mark_used(place / SIDECAR)
    made = Compiled(engine, size, rows, threads, place)
    prove(made, engine, size, rows)
    return made


class Compiled(WholeAccelerator):
    """Accelerator `compile`: a whole picture of compiled networks, one launch on a card.

    Only numbers of rows that were compiled at the start go at once, the others one by one: a show must not wait for a
    compiler. Belongs to the render thread, which must have `torch_threads` threads.
    """

    def __init__(self, engine: Engine, size: tuple[int, int], rows: int, threads: int, place: Path) -> None:
        if threads > 0:
            torch.set_num_threads(threads)
        place.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place / "inductor")
        os.environ["TRITON_CACHE_DIR"] = str(place / "triton")
        super().__init__("compile", engine, size, rows, lambda engine: self._compile(engine, rows))
        # PyTorch compiles anew for another number of threads, and that must not happen in a picture.
        self.torch_threads = torch.get_num_threads() if engine.device.type == "cpu" else 0

    def _compile(self, engine: Engine, rows: int) -> tuple[Unet, Decoder]:
        """The networks, compiled on their first call. What goes in is copied to buffers first: PyTorch compiles anew
        for a tensor of another kind or layout."""
        unet, decoder = networks(engine)
        options: dict[str, Any] = {"fullgraph": True, "dynamic": False, "mode": mode()}
        fast_unet, fast_decoder = torch.compile(unet, **options), torch.compile(decoder, **options)
        # One prompt; two while one fades into the other, or beside guidance's own; a fade beside that.
        self._counts = {1, 2, 3} if engine.metadata.guidance else {1, 2}
        shape = (engine.latent_channels, self.size[1] // engine.factor, self.size[0] // engine.factor)
        sides = (shape, (), (rows, engine.token_dim))
        with torch.inference_mode(False):
            inputs = {n: [torch.zeros(n, *each, device=engine.device) for each in sides] for n in self._counts}
            decoded = torch.zeros(1, *shape, device=engine.device)

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

    def batch(self, rows: int, wait: bool = False) -> str:
        """Why `predict` does not take `rows` at once, "" where it does."""
        return "" if rows in self._counts else f"compile was not made for {rows} rows at once; they go one by one"


def _compile_into(path: str, device: str, size: tuple[int, int], rows: int, threads: int, place: Path) -> None:
    engine = load_engine(Path(path), device)
    made = Compiled(engine, size, rows, threads, place)
    facts = {"parity_db": round(prove(made, engine, size, rows), 2), "mode": mode()}
    facts |= {"torch": torch.__version__, "size": list(size), "rows": rows}
    facts |= {"engine": str(engine.folder.resolve()), "weights": engine.weights_hash}
    part = place / f".{SIDECAR}.part"
    part.write_text(json.dumps(facts))
    part.replace(place / SIDECAR)  # the kernels count from now on


def main(arguments: list[str]) -> int:
    """The child process: FOLDER DEVICE WIDTH HEIGHT ROWS THREADS PLACE."""
    path, device, place = arguments[0], arguments[1], Path(arguments[-1])
    width, height, rows, threads = map(int, arguments[2:6])
    if hasattr(os, "nice"):
        os.nice(10)  # a show may be drawing on the same cores
    return exit_status(lambda: _compile_into(path, device, (width, height), rows, threads, place))
