"""Backends `tensorrt` and `tensorrt-rtx`: run TensorRT plans in persistent buffers on PyTorch's stream, without
allocation in a frame.

Not run on a card yet (see docs/engines.md); the tests cover everything up to building the plan.
"""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpos_live.core.errors import NotReady
from tpos_live.diffusion.backends import tensorrt_plans
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import parity, require_parity
from tpos_live.diffusion.backends.tensorrt_plans import KINDS, NETWORKS, folder, read_plan, this_card, write_parity
from tpos_live.diffusion.model.backend import Backend, BackendRequest

_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "UINT8": torch.uint8}


def is_available(name: str, device: str) -> tuple[bool, str]:
    """Whether a kind's library is installed and the device is a card, and the reason if not."""
    if device != "cuda":
        return False, f"{name} is for CUDA cards; this runs on the {device}"
    return tensorrt_plans.is_available(name)


def load(kind: str, request: BackendRequest) -> TensorRtBackend:
    """The backend for an engine at a size, from its plan. Raises NotReady with one line.

    A plan that has never run is compared with eager first; the sidecar stores the result.
    """
    ready, reason = is_available(kind, request.engine.device.type)
    if not ready:
        raise NotReady(reason)
    card = this_card()
    place = folder(kind, request, card)
    facts = read_plan(place, kind, card)
    made = TensorRtBackend(kind, place)
    if facts.parity_db is None:
        facts = facts.model_copy(update={"parity_db": parity(made, EagerBackend(request.engine), request)})
        write_parity(place, facts, facts.parity_db or 0.0)
    require_parity(kind, facts.parity_db or 0.0)
    return made


class TensorRtBackend(Backend):
    """Runs the two plans of a folder. Belongs to the render thread."""

    weights_frozen = True

    def __init__(self, kind: str, place: Path) -> None:
        """Raises NotReady where the library refuses a plan."""
        self.name = kind
        trt = importlib.import_module(KINDS[kind])
        logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(logger)
        self._unet, self._decoder = (_Network(trt, self._runtime, place / f"{name}.plan") for name in NETWORKS)
        self._host = torch.empty(self._decoder.buffers["pixels"].shape, dtype=torch.uint8, pin_memory=True)
        self._bytes = torch.empty(self._host.shape, dtype=torch.uint8, device="cuda")
        self._copied = torch.cuda.Event()
        self.waited: float = 0.0

    def prepare_batch_size(self, count: int, wait: bool = False) -> str:
        """As `Backend.prepare_batch_size`; plans are compiled for batch size 1 only."""
        return "" if count == 1 else f"the {self.name} plan takes one row at a time; {count} go one by one"

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self._unet.run(latent=latent, timestep=timestep, tokens=tokens)["prediction"]

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        self._bytes.copy_(self._decoder.run(latent=latent)["pixels"])
        self._host.copy_(self._bytes, non_blocking=True)
        self._copied.record()
        began = time.perf_counter()
        self._copied.synchronize()
        self.waited += time.perf_counter() - began
        np.copyto(out, self._host[0].numpy())


class _Network:
    """One plan with its buffers at fixed addresses."""

    def __init__(self, trt: Any, runtime: Any, path: Path) -> None:
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise NotReady(f"{path.name} is refused by this driver; `tpos-live engines compile` builds it again")
        self._engine, self._context = engine, engine.create_execution_context()
        self.buffers: dict[str, torch.Tensor] = {}
        for name in (engine.get_tensor_name(n) for n in range(engine.num_io_tensors)):
            shape, kind = tuple(engine.get_tensor_shape(name)), engine.get_tensor_dtype(name).name
            self.buffers[name] = torch.zeros(shape, dtype=_TYPES[kind], device="cuda")
            self._context.set_tensor_address(name, self.buffers[name].data_ptr())

    def run(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Copy the inputs into the buffers and run on the current stream. Returns the buffers, which the next run
        overwrites."""
        for name, tensor in inputs.items():
            self.buffers[name].copy_(tensor)
        if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError("TensorRT could not run the plan")
        return self.buffers
