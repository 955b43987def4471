"""What runs the unet and the decoder: one small interface, a ladder of rungs, never a silent fallback."""

from __future__ import annotations

import ctypes
import sys
from typing import Protocol

import numpy as np
import torch

from tpos_live.core.errors import EngineError, NotReady, first_line
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import sweep
from tpos_live.diffusion.model.engine import Engine

NAMES = ("eager", "openvino", "cuda-graph", "compile", "tensorrt-rtx", "tensorrt")
"""Rungs that can be asked for."""
LADDERS = {"cpu": ("openvino", "eager"), "cuda": ("compile", "cuda-graph", "eager")}
"""Rungs of each kind of device, best first; `auto` takes the first that is ready. Elsewhere eager alone.

TensorRT is taken by name only: it never ran on a card.

On a CPU `compile` can be asked for: it needs a C++ compiler, and OpenVINO is the faster one."""
STOPGAPS = ("eager", "cuda-graph")
"""Rungs that draw until a better one is ready (see `prepare_better`)."""


class Accelerator(Protocol):
    """Runs an engine's networks at one size. Belongs to the render thread.

    name: what really runs. why: why not the next faster rung, one line; "" where there is none.
    torch_threads: how many threads PyTorch should keep meanwhile on a CPU; 0 = all it was given.
    An accelerator that draws a whole picture at once is a `graph.WholeAccelerator`; one that is compiled for a number
    of rows has `batch` (see `batch.Batch`); one whose weights were made ahead, so that no live LoRA reaches them, has
    `fixed`, true.
    """

    name: str
    why: str
    torch_threads: int

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The unet: float32 [1, C, h, w], [1], [1, T, D] to float32 [1, C, h, w], which may be a buffer
        that the next call overwrites."""
        ...

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        """The decoder: float32 [1, C, h, w] to uint8 [H, W, 3] sRGB, written into `out`."""
        ...


class Eager:
    """PyTorch as it is: works everywhere.

    On a CPU the decoder runs channels-last, and in bfloat16 where the CPU multiplies it natively; the
    unet stays in float32, where small batches gain nothing from either (measured; see `bench`).
    """

    def __init__(self, engine: Engine, why: str = "") -> None:
        self.name = "eager"
        self.why = why
        self.torch_threads = 0
        self._engine = engine
        self._dtype = engine.dtype
        self._scale = 1.0 / float(engine.vae.config.scaling_factor)
        self._decoder_dtype = engine.vae.dtype
        engine.vae.to(memory_format=torch.channels_last)
        if engine.device.type == "cpu":
            keep_pages()
        if engine.device.type == "cpu" and bfloat16_is_native():
            torch.nn.Module.to(engine.vae, torch.bfloat16)  # the class's own `to` warns of what is meant
            self._decoder_dtype = torch.bfloat16
        elif engine.device.type == "cuda":
            engine.unet.to(memory_format=torch.channels_last)

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output = self._engine.unet(
            latent.to(self._dtype), timestep, encoder_hidden_states=tokens.to(self._dtype), return_dict=False
        )[0]
        return output.float()

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        scaled = (latent * self._scale).to(self._decoder_dtype, memory_format=torch.channels_last)
        picture = self._engine.vae.decode(scaled, return_dict=False)[0]
        write_pixels(picture, out)


def write_pixels(picture: torch.Tensor, out: np.ndarray) -> None:
    """Turn a decoded picture, [1, 3, H, W] in [-1, 1], into uint8 [H, W, 3] in `out`."""
    pixels = picture[0].float().mul_(127.5).add_(127.5).clamp_(0, 255).round_()
    torch.from_numpy(out).copy_(pixels.permute(1, 2, 0))


def keep_pages() -> None:
    """Let glibc keep freed memory instead of giving it back and faulting it in again every picture.

    A quarter of eager's time on a CPU (measured); a few tens of megabytes. Elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    for setting, value in ((-3, 32 << 20), (-1, 512 << 20), (-2, 64 << 20)):  # mmap, trim, top pad
        mallopt(setting, value)


def bfloat16_is_native() -> bool:
    """Whether this CPU has instructions for bfloat16 products (AVX512-BF16, AMX, ARM's BF16)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and bool(_cpu_multiplies_bfloat16())
    except (AttributeError, RuntimeError):
        return False


def _cpu_multiplies_bfloat16() -> bool:
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check()) if check is not None else False


def is_available(name: str, engine: Engine | None = None) -> tuple[bool, str]:
    """Whether a rung can run here, and the reason, with the remedy, if it cannot."""
    if name == "eager":
        return True, ""
    if name == "openvino":
        from tpos_live.diffusion.backends import openvino

        return openvino.is_available(engine)
    device = engine.device.type if engine is not None else "cuda" if torch.cuda.is_available() else "cpu"
    if name == "compile":
        from tpos_live.diffusion.backends import torch_compile as compiled

        return compiled.is_available(device)
    if name in ("cuda-graph", "tensorrt-rtx", "tensorrt"):
        from tpos_live.diffusion.backends import tensorrt_plans as plans

        if device != "cuda":
            return False, f"{name} is for CUDA cards; this runs on the {device}"
        return (True, "") if name == "cuda-graph" else plans.is_available(name)
    return False, f"there is no accelerator {name}; choose {', '.join(('auto', *NAMES))}"


def ladder(name: str, device: str) -> tuple[str, ...]:
    """The rungs to try for "auto" or one of NAMES on a kind of device, best first."""
    if name == "auto":
        return LADDERS.get(device, ("eager",))
    return ("compile", "cuda-graph") if (name, device) == ("compile", "cuda") else (name,)


def choose(
    name: str, engine: Engine, size: tuple[int, int], tokens: int, threads: int = 0, soon: bool = False
) -> Accelerator:
    """The accelerator for an engine at a size.

    name: "auto" or one of NAMES. size: (width, height) in pixels. tokens: rows of conditioning, all kinds
    together. soon: leave to `prepare_better` what takes a card half a minute to load. With "auto" the best rung that is
    ready is taken, where a named one is not ready a plainer one runs; `why` says of each better rung why not. Raises
    EngineError for a name that does not exist.
    """
    if name not in ("auto", *NAMES):
        raise EngineError(is_available(name)[1])
    engine.networks.live.rest()
    if name == "eager":
        return Eager(engine, "chosen by --accelerator")
    reasons: list[str] = []
    coming = False
    for rung in ladder(name, engine.device.type):
        if rung == "eager":
            break
        ready, why = is_available(rung, engine)
        if ready and soon and rung == _later(name, engine, size, tokens, threads):
            ready, why, coming = False, f"{rung} is on its way", True
        if ready:
            try:
                made = _load(rung, engine, size, tokens, threads, coming)
                made.why = "; ".join(reasons)
                return made
            except NotReady as error:
                why = str(error)
            except Exception as error:  # a library that fails must not keep the show from starting
                why = f"{rung} failed: {first_line(error)}"
        reasons.append(why)
    return Eager(engine, "; ".join(reasons))


def _later(name: str, engine: Engine, size: tuple[int, int], tokens: int, threads: int) -> str:
    """The rung of a card that another draws for while it is loaded; "" where there is none.

    "auto" takes kernels that were compiled before, and never compiles: that is minutes of work beside a show.
    """
    from tpos_live.diffusion.backends import torch_compile as compiled

    if engine.device.type != "cuda" or name not in ("auto", "compile"):
        return ""
    return "compile" if name == "compile" or compiled.is_prepared(engine, size, tokens, threads) else ""


def _load(
    rung: str, engine: Engine, size: tuple[int, int], tokens: int, threads: int, brief: bool = False
) -> Accelerator:
    """brief: it draws for half a minute, until a better one is there."""
    if rung == "openvino":
        from tpos_live.diffusion.backends import openvino

        return openvino.load(engine, size, tokens, threads)
    if rung == "cuda-graph":
        from tpos_live.diffusion.backends import cuda_graph as graph

        return graph.load(engine, size, tokens, brief)
    if rung == "compile":
        from tpos_live.diffusion.backends import torch_compile as compiled

        return compiled.load(engine, size, tokens, threads)
    from tpos_live.diffusion.backends import tensorrt

    return tensorrt.load(rung, engine, size, tokens)


def prepare_better(
    name: str, engine: Engine, size: tuple[int, int], tokens: int, threads: int = 0
) -> Accelerator | None:
    """Make the rung ready that `choose` would have taken had it been there; None if there is no better one.

    Takes seconds to minutes, most of them in a child process: call it on a worker while one of STOPGAPS draws, then
    hand the result to `RenderThread.swap`. Raises EngineError with the reason if it cannot be made, whatever failed.
    """
    on_cpu = engine.device.type == "cpu"
    rung = "openvino" if name == "auto" and on_cpu else _later(name, engine, size, tokens, threads) or name
    if rung not in ("openvino", "compile") or not is_available(rung, engine)[0]:
        return None
    try:
        if rung == "openvino":
            from tpos_live.diffusion.backends import openvino

            openvino.prepare(engine, size, tokens)
        else:
            from tpos_live.diffusion.backends import torch_compile as compiled

            compiled.prepare(engine, size, tokens, threads)
        with engine.networks.live.held():  # it is compared with eager
            return _load(rung, engine, size, tokens, threads)
    except EngineError:
        raise
    except Exception as error:  # of a library, or of the disk
        raise EngineError(f"{rung} cannot be made ready ({first_line(error)}); the show goes on without it") from error


def sweep_caches() -> None:
    """Remove what earlier runs have left half made; never fails."""
    for name in NAMES:
        sweep(cache_dir() / name)
