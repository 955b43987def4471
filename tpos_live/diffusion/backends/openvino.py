"""OpenVINO: two to three times faster than eager PyTorch on a CPU, and optional.

Networks are converted once, in a child process (conversion holds the interpreter for long, and its
usage statistics are blocked there), and kept in the user's cache folder under a key of everything they
depend on. A conversion counts only if its picture equals eager's within MIN_PARITY. The child ends with the show; the
networks that are finished by then are kept, and the next start goes on with the others.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tpos_live.core.child_process import ChildError, run_module
from tpos_live.core.errors import NotReady, exit_status, first_line
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import check_writable, mark_used, tidy, work_folder
from tpos_live.diffusion.model.engine import Engine, load_engine

FORMAT = 1
"""Counts changes of what is converted."""
MIN_PARITY = 35.0
"""Peak signal-to-noise ratio in dB that a converted engine's picture must reach against eager's."""
PATIENCE = 600.0
"""Seconds after which a conversion is given up."""
SIDECAR = "openvino.json"
KEEP_COMPILED = 256 << 20
"""Bytes of a UNet up to which what OpenVINO compiles is kept too: reading it takes half of the time of compiling."""
_SNIPPETS = "SNIPPETS_MODE"
"""Its property for kernels that it writes itself. In single precision (CPUs that do not multiply bfloat16) those of
Ember's attention crash the process that compiles them, in 2026.2 to 2026.4 at least."""


def is_available(engine: Engine | None = None) -> tuple[bool, str]:
    """Whether OpenVINO can run here, and the reason if not."""
    if importlib.util.find_spec("openvino") is None:
        return False, "OpenVINO is not installed; pip install openvino is faster on a CPU"
    if engine is not None and engine.device.type != "cpu":
        return False, "OpenVINO is for CPUs; this engine runs on a GPU"
    return True, ""


def folder(engine: Engine, size: tuple[int, int], tokens: int) -> Path:
    """Where the converted engine lies, or will lie."""
    from tpos_live.diffusion.backends.registry import bfloat16_is_native

    parts = [FORMAT, engine.weights_hash, engine.schedule.prediction, *size, tokens, torch.__version__]
    parts.append(importlib.metadata.version("openvino"))
    if not bfloat16_is_native():  # a conversion in bfloat16 of another machine crashes the process here
        parts.append("f32")
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]
    return cache_dir() / "openvino" / key


def prepare(engine: Engine, size: tuple[int, int], tokens: int) -> None:
    """Convert an engine unless it is there; takes up to minutes: call it on a worker or before a show.

    Raises NotReady with the reason.
    """
    target = folder(engine, size, tokens)
    if (target / SIDECAR).exists():
        return
    check_writable(target.parent, sum(path.stat().st_size for path in engine.weight_files))
    try:
        run_module(__name__, [str(engine.folder), *map(str, size), str(tokens), str(target)], PATIENCE)
    except ChildError as error:
        raise NotReady(f"converting for OpenVINO failed ({error}); eager goes on") from error
    tidy(target.parent, SIDECAR, {str(engine.folder.resolve()): engine.weights_hash})


def load(engine: Engine, size: tuple[int, int], tokens: int, threads: int = 0) -> OpenVino:
    """The accelerator, from the cache. Raises NotReady if it was not prepared or is damaged."""
    place = folder(engine, size, tokens)
    if not (place / SIDECAR).exists():
        raise NotReady("OpenVINO would be faster, but this engine is not converted yet")
    try:
        facts = json.loads((place / SIDECAR).read_text())
        mark_used(place / SIDECAR)
        return OpenVino(place, str(facts["precision"]), threads)
    except Exception as error:
        shutil.rmtree(place, ignore_errors=True)
        raise NotReady(f"the converted engine was damaged and is removed ({first_line(error)})") from error


class OpenVino:
    """Accelerator that runs converted networks on the CPU. Belongs to the render thread."""

    fixed = True

    def __init__(self, place: Path, precision: str, threads: int = 0) -> None:
        """precision: "bf16" or "f32". threads: 0 = OpenVINO's choice."""
        self.name = "openvino"
        self.why = ""
        self.torch_threads = 1  # two pools of threads on the same cores wait for each other
        self.precision = precision
        self._place, self._options = place, _options(precision, threads)
        core = _core()
        if (place / "unet.bin").stat().st_size <= KEEP_COMPILED and os.access(place, os.W_OK):
            core.set_property({"CACHE_DIR": str(place / "compiled")})
        self._unets = {1: _compiled(core, str(place / "unet.xml"), self._options)}
        self._failed: dict[int, str] = {}
        self._compiling: dict[int, threading.Thread] = {}
        self._decoder = _compiled(core, str(place / "decoder.xml"), self._options)

    def batch(self, rows: int, wait: bool = False) -> str:
        """Compile the unet for another number of rows, on a thread; why it cannot take them yet, "" when it can.

        wait: until it is compiled (seconds). `predict` takes 1 and each number that is compiled.
        """
        if rows in self._unets:
            return ""
        if rows in self._failed:
            return self._failed[rows]
        if rows not in self._compiling:
            # No daemon: a process that ends while OpenVINO compiles would be aborted by it.
            self._compiling[rows] = threading.Thread(target=self._compile, args=(rows,), name="unet")
            self._compiling[rows].start()
        if wait:
            self._compiling[rows].join()
            return self._failed.get(rows, "")
        return f"OpenVINO compiles the engine for {rows} rows at once; until then they go one by one"

    def _compile(self, rows: int) -> None:
        try:
            core = _core()
            model = core.read_model(str(self._place / "unet.xml"))
            model.reshape({port: [rows, *list(port.get_shape())[1:]] for port in model.inputs})
            self._unets[rows] = _compiled(core, model, self._options)
        except Exception as error:  # a library that fails costs speed, never the show
            self._failed[rows] = f"OpenVINO cannot take {rows} rows at once ({first_line(error)}); they go one by one"

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


def _options(precision: str, threads: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": precision,
    }
    if threads > 0:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    if precision == "f32":
        options[_SNIPPETS] = "DISABLE"
    return options


def _compiled(core: Any, model: Any, options: dict[str, Any]) -> Any:
    """What runs a model, or a file of one, on the CPU."""
    try:
        return core.compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        if _SNIPPETS not in options or _SNIPPETS not in str(error):
            raise
        return _compiled(core, model, {name: value for name, value in options.items() if name != _SNIPPETS})


class _Unet(torch.nn.Module):
    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.unet = engine.unet

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.unet(latent, timestep, encoder_hidden_states=tokens, return_dict=False)[0]
        return output


class _Decoder(torch.nn.Module):
    """Latent to uint8 [1, H, W, 3], so that nothing remains to be done outside."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.vae = engine.vae
        self.scale = 1.0 / float(engine.vae.config.scaling_factor)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        picture = self.vae.decode(latent * self.scale, return_dict=False)[0]
        pixels = (picture * 127.5 + 127.5).clamp(0, 255).round()
        return pixels.permute(0, 2, 3, 1).to(torch.uint8)


@torch.inference_mode()
def _convert(engine: Engine, size: tuple[int, int], tokens: int, work: Path) -> None:
    """Write unet, decoder and sidecar to `work`, but for networks that are there. Raises RuntimeError if the picture
    is not eager's."""
    import openvino
    from openvino import PartialShape

    unet, decoder = _Unet(engine).eval(), _Decoder(engine).eval()
    generator = torch.Generator().manual_seed(1)
    shape = (1, engine.latent_channels, size[1] // engine.factor, size[0] // engine.factor)
    noise = torch.randn(shape, generator=generator)
    states = engine.encode("blue sea")
    states = torch.cat([states, states.new_zeros(max(tokens - len(states), 0), states.shape[1])])[None, :tokens]
    step = engine.schedule.plan(1).steps[0]
    example = (noise, torch.tensor([step.timestep]), states.contiguous())
    with torch.no_grad():
        for name, module, inputs in (("unet", unet, example), ("decoder", decoder, (noise,))):
            if (work / f"{name}.xml").exists():
                continue
            model = openvino.convert_model(module, example_input=inputs)
            shapes = {model.inputs[n]: PartialShape(list(tensor.shape)) for n, tensor in enumerate(inputs)}
            model.reshape(shapes)
            openvino.save_model(model, str(work / f"part-{name}.xml"), compress_to_fp16=True)
            for suffix in (".bin", ".xml"):  # this one last: it makes the network whole
                (work / f"part-{name}{suffix}").replace(work / f"{name}{suffix}")
    latent = step.skip * noise + step.out * unet(*example)
    expected = decoder(latent)[0].numpy().astype(np.float64)
    from tpos_live.diffusion.backends.registry import bfloat16_is_native

    out = np.zeros(expected.shape, np.uint8)
    for precision in ("bf16", "f32") if bfloat16_is_native() else ("f32",):
        runner = OpenVino(work, precision)
        got = step.skip * noise + step.out * runner.predict(*example)
        runner.decode(got, out)
        error = float(((out - expected) ** 2).mean())
        parity = 10 * np.log10(255.0**2 / max(error, 1e-6))
        if parity >= MIN_PARITY:
            facts = {"precision": precision, "parity_db": round(parity, 2), "size": size, "tokens": tokens}
            facts |= {"openvino": openvino.__version__, "torch": torch.__version__}
            facts |= {"engine": str(engine.folder.resolve()), "weights": engine.weights_hash}
            (work / SIDECAR).write_text(json.dumps(facts))
            return
    raise RuntimeError(f"its picture differs from eager's: {parity:.1f} dB, {MIN_PARITY} dB are needed")


def _convert_to(target: Path, place: Path, size: tuple[int, int], tokens: int) -> None:
    with work_folder(target) as work:
        _convert(load_engine(place, "cpu"), size, tokens, work)
        try:
            work.rename(target)  # atomic: nobody ever sees half an engine
        except OSError:
            if not (target / SIDECAR).exists():  # else another process was faster, with the same content
                raise


def main(arguments: list[str]) -> int:
    """The child process: FOLDER WIDTH HEIGHT TOKENS TARGET."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # no usage statistics
    place, width, height, tokens, target = arguments
    if hasattr(os, "nice"):
        os.nice(10)  # a show may be drawing on the same cores
    return exit_status(lambda: _convert_to(Path(target), Path(place), (int(width), int(height)), int(tokens)))
