"""Backend `openvino` (optional): two to three times faster than eager PyTorch on a CPU. It uses an Intel GPU or NPU
where that is faster (see `openvino_device`).

Networks are converted once, in a child process: conversion holds Python's interpreter lock for long, and OpenVINO's
usage statistics are blocked there. They are kept in the user's cache folder under a key of everything they depend on.
A conversion is used only if its frame matches eager's (see `parity`). The child ends with the show; networks that are
finished by then are kept, and the next start converts the others.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpos_live.core.errors import NotReady, exit_status, first_line
from tpos_live.diffusion.backends.cache import CompileCache, sources
from tpos_live.diffusion.backends.cpu_features import bfloat16_is_faster
from tpos_live.diffusion.backends.openvino_device import (
    CPU,
    PRECISIONS,
    Result,
    choose_device,
    keep_result,
    list_devices,
    measure,
    unmeasured,
)
from tpos_live.diffusion.backends.openvino_networks import TracedDecoder, TracedNetworks, TracedUnet, write_network
from tpos_live.diffusion.backends.parity import Example, parity, require_parity
from tpos_live.diffusion.model.backend import Backend, BackendRequest
from tpos_live.diffusion.model.engine import load_engine

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the conversion; part of the cache key."""
CACHE = CompileCache("openvino", "openvino.json", __name__, limit=600.0)
KEEP_COMPILED = 256 << 20
"""Size of a UNet in bytes up to which OpenVINO's compiled model is cached too: loading it takes half as long as
compiling."""
_SNIPPETS = "SNIPPETS_MODE"
"""OpenVINO's property for its just-in-time kernels. In single precision (on CPUs without bfloat16) those of Ember's
attention crash the process while it compiles, at least in 2026.2 to 2026.4."""


def is_available(_name: str, device: str) -> tuple[bool, str]:
    """Whether OpenVINO can run here on a kind of device, and the reason if not."""
    if importlib.util.find_spec("openvino") is None:
        return False, "OpenVINO is not installed; pip install openvino is faster on a CPU"
    if device != "cpu":
        return False, "OpenVINO is for CPUs; this engine runs on a GPU"
    return True, ""


def folder(request: BackendRequest) -> Path:
    """The cache folder of the converted engine; it may not exist."""
    engine = request.engine
    parts = [FORMAT, engine.weights_hash, engine.schedule.prediction, *request.size, request.sequence_length]
    parts += [torch.__version__, importlib.metadata.version("openvino")]
    if not bfloat16_is_faster():  # a bfloat16 model of another machine can crash the process here
        parts.append("f32")
    return CACHE.folder(parts)


def is_prepared(request: BackendRequest) -> bool:
    """Whether the converted engine is in the cache and its devices are measured."""
    place = folder(request)
    return CACHE.is_whole(place) and not unmeasured(request.openvino_device, list_devices(_core()), place)


def prepare(request: BackendRequest) -> None:
    """Convert an engine and measure the devices, unless done before. Takes up to minutes: call it on a worker thread or
    before a show.

    Raises NotReady with the reason.
    """
    place, engine = folder(request), request.engine
    arguments = [engine.folder, *request.size, request.sequence_length, request.threads, place]
    if not CACHE.is_whole(place):
        CACHE.build(place, engine, [*arguments, ""], "converting for OpenVINO failed ({}); eager goes on")
    devices = list_devices(_core())
    for device in unmeasured(request.openvino_device, devices, place):
        try:
            CACHE.build(place, engine, [*arguments, device], "{}", needed=0)
        except NotReady as error:  # a driver that crashes the child, or does not answer
            keep_result(place, devices, device, Result(reason=first_line(error), at=time.time()))


def load(_name: str, request: BackendRequest) -> OpenVinoBackend:
    """The backend, from the cache. Raises NotReady if it was not prepared or is damaged."""
    place, wanted = folder(request), request.openvino_device
    if not CACHE.is_whole(place):
        raise NotReady("OpenVINO would be faster, but this engine is not converted yet")
    devices = list_devices(_core())
    if unmeasured(wanted, devices, place):
        raise NotReady("OpenVINO would be faster, but its devices are not measured yet")
    chosen = choose_device(wanted, devices, place)
    reason = chosen.reason
    if chosen.device != CPU:
        try:
            made = OpenVinoBackend(place, chosen.precision, request.threads, chosen.device)
        except RuntimeError as error:  # it worked when it was measured
            reason = f"OpenVINO cannot use {chosen.device} ({first_line(error)}); it runs on the CPU"
        else:
            log.info(f"OpenVINO runs on {chosen.device} ({devices.get(chosen.device, 'several devices')})")
            return made
    try:
        made = OpenVinoBackend(place, str(CACHE.read(place)["precision"]), request.threads)
    except Exception as error:
        CACHE.discard(place)
        raise NotReady(f"the converted engine was damaged and is removed ({first_line(error)})") from error
    if reason:
        log.warning(reason)
        made.fallback_reason = reason
    return made


class OpenVinoBackend(Backend):
    """Runs converted networks on one device. Belongs to the render thread."""

    name = "openvino"
    weights_frozen = True

    def __init__(self, place: Path, precision: str, threads: int = 0, device: str = CPU) -> None:
        """place: the cache folder. precision: "bf16", "f16" or "f32". threads: on the CPU, 0 = OpenVINO's choice.
        device: OpenVINO's name. Raises RuntimeError where the device cannot compile the networks."""
        self.name = "openvino" if device == CPU else f"openvino on {device}"
        self.torch_threads = 1  # two thread pools on the same cores wait for each other
        self.precision = precision
        self._place, self._device, self._options = place, device, _options(precision, threads, device)
        core = _core()
        if (place / "unet.bin").stat().st_size <= KEEP_COMPILED and os.access(place, os.W_OK):
            core.set_property({"CACHE_DIR": str(place / "compiled")})
        self._unets = {1: _compiled(core, str(place / "unet.xml"), self._options, device)}
        self._failed: dict[int, str] = {}
        self._compiling: dict[int, threading.Thread] = {}
        self._decoder = _compiled(core, str(place / "decoder.xml"), self._options, device)

    def prepare_batch_size(self, count: int, wait: bool = False) -> str:
        """As `Backend.prepare_batch_size`: compiles the UNet for another batch size on a thread."""
        if count in self._unets:
            return ""
        if count in self._failed:
            return self._failed[count]
        if count not in self._compiling:
            # Not a daemon thread: OpenVINO aborts a process that ends while it compiles.
            self._compiling[count] = threading.Thread(target=self._compile, args=(count,), name="unet")
            self._compiling[count].start()
        if wait:
            self._compiling[count].join()
            return self._failed.get(count, "")
        return f"OpenVINO compiles the engine for {count} rows at once; until then they go one by one"

    def _compile(self, count: int) -> None:
        try:
            core = _core()
            model = core.read_model(str(self._place / "unet.xml"))
            model.reshape({port: [count, *list(port.get_shape())[1:]] for port in model.inputs})
            self._unets[count] = _compiled(core, model, self._options, self._device)
        except Exception as error:  # a library that fails costs speed, never the show
            self._failed[count] = f"OpenVINO cannot take {count} rows at once ({first_line(error)}); they go one by one"

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        result = self._unets[len(latent)].infer(
            [latent.numpy(), timestep.numpy(), tokens.numpy()], share_inputs=True, share_outputs=True
        )
        return torch.from_numpy(result[0])

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        result = self._decoder.infer([latent.numpy()], share_inputs=True, share_outputs=True)
        np.copyto(out, result[0][0])


def _core() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # no usage statistics
    import openvino

    return openvino.Core()


def _options(precision: str, threads: int, device: str = CPU) -> dict[str, Any]:
    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if device != CPU:
        return options
    options["NUM_STREAMS"] = "1"
    if threads > 0:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    if precision == "f32":
        options[_SNIPPETS] = "DISABLE"
    return options


def _compiled(core: Any, model: Any, options: dict[str, Any], device: str = CPU) -> Any:
    """An inference request for a model, or the path of one, on a device. Tries again with the just-in-time kernels
    where this OpenVINO does not know their property."""
    try:
        return core.compile_model(model, device, options).create_infer_request()
    except RuntimeError as error:
        if _SNIPPETS not in options or _SNIPPETS not in str(error):
            raise
        return _compiled(core, model, {name: value for name, value in options.items() if name != _SNIPPETS}, device)


@torch.inference_mode()
def convert(request: BackendRequest, work: Path) -> None:
    """Write UNet, decoder and sidecar to `work`, except networks that are there already. Raises NotReady if the frame
    does not match eager's."""
    import openvino

    engine = request.engine
    unet, decoder, example = TracedUnet(engine).eval(), TracedDecoder(engine).eval(), Example.of(request)
    with torch.no_grad():
        write_network(unet, (example.noise, example.timestep, example.tokens), work / "unet.xml")
        write_network(decoder, (example.noise,), work / "decoder.xml")
    for precision in ("bf16", "f32") if bfloat16_is_faster() else ("f32",):
        found = parity(OpenVinoBackend(work, precision), TracedNetworks(unet, decoder), request)
        try:
            require_parity("OpenVINO", found)
        except NotReady:
            if precision == "f32":
                raise
            continue
        facts = {"precision": precision, "parity_db": round(found, 2), "size": request.size}
        facts |= {"tokens": request.sequence_length, "openvino": openvino.__version__, "torch": torch.__version__}
        CACHE.write(work, facts | sources(engine))
        return


def _convert_to(target: Path, request: BackendRequest) -> None:
    with CACHE.making(target) as work:
        convert(request, work)


@torch.inference_mode()
def _measure(place: Path, request: BackendRequest, device: str) -> None:
    """Measure a device with the converted engine at `place`, and write the result there."""
    engine, threads = request.engine, request.threads
    reference = TracedNetworks(TracedUnet(engine).eval(), TracedDecoder(engine).eval())
    on_cpu = device == CPU
    result = measure(
        device,
        lambda precision: OpenVinoBackend(place, precision, threads, device),
        reference,
        request,
        (str(CACHE.read(place)["precision"]),) if on_cpu else PRECISIONS,
        (threads or torch.get_num_threads()) if on_cpu else 0,
    )
    keep_result(place, list_devices(_core()), device, result)


def main(arguments: list[str]) -> int:
    """Entry of the child process: FOLDER WIDTH HEIGHT TOKENS THREADS TARGET DEVICE. It measures DEVICE, or converts
    where DEVICE is ""."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # no usage statistics
    place, width, height, tokens, threads, target, device = arguments
    if hasattr(os, "nice"):
        os.nice(10)  # a show may be using the same cores

    def work() -> None:
        request = BackendRequest(load_engine(Path(place), "cpu"), (int(width), int(height)), int(tokens), int(threads))
        if device:
            _measure(Path(target), request, device)
        else:
            _convert_to(Path(target), request)

    return exit_status(work)
