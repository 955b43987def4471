"""The child process that builds TensorRT plans: half-precision ONNX, then a strongly typed network, then a plan.

TensorRT 11 has no precision flags any more: every tensor has the type from the ONNX file. So the networks are exported
in half precision, and the same code works with TensorRT 10, 11 and TensorRT for RTX.
"""

from __future__ import annotations

import copy
import importlib
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError, exit_status
from tpos_live.diffusion.backends.tensorrt_plans import (
    FORMAT,
    KINDS,
    NETWORKS,
    Sidecar,
    library_version,
    sum_of,
    write_sidecar,
)
from tpos_live.diffusion.model.engine import Engine, load_engine

OPSET = 18


class HalfUnet(torch.nn.Module):
    """float32 latent, timestep and tokens in, float32 prediction out; half precision between."""

    def __init__(self, unet: torch.nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        output = self.unet(latent.half(), timestep, encoder_hidden_states=tokens.half(), return_dict=False)[0]
        return output.float()  # type: ignore[no-any-return]


class HalfDecoder(torch.nn.Module):
    """float32 latent in, float32 [1, H, W, 3] with whole numbers 0 to 255 out; the decoder's precision between."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        self.scale = 1.0 / float(vae.config.scaling_factor)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        image = self.vae.decode((latent * self.scale).to(self.vae.dtype), return_dict=False)[0]
        return (image.float() * 127.5 + 127.5).clamp(0, 255).round().permute(0, 2, 3, 1)  # type: ignore[no-any-return]


@torch.inference_mode()
def export(engine: Engine, size: tuple[int, int], tokens: int, work: Path) -> dict[str, Path]:
    """Write unet.onnx and decoder.onnx in half precision, with fixed shapes. Returns their paths by name."""
    device = engine.device
    latent = torch.zeros(engine.latent_shape(size), device=device)
    rows = torch.zeros(1, tokens, engine.token_dim, device=device)
    precision = torch.float32 if engine.networks.decoder_overflows else torch.float16
    parts = {
        "unet": (HalfUnet(copy.deepcopy(engine.unet).half()), (latent, torch.ones(1, device=device), rows)),
        "decoder": (HalfDecoder(copy.deepcopy(engine.vae).to(precision)), (latent,)),
    }
    names = {"unet": ["latent", "timestep", "tokens"], "decoder": ["latent"]}
    outputs = {"unet": "prediction", "decoder": "pixels"}
    paths = {}
    for name, (module, inputs) in parts.items():
        print(f"{name}: exporting", flush=True)
        paths[name] = work / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about shapes that are fixed on purpose
            torch.onnx.export(
                module.eval(),
                inputs,
                paths[name],
                input_names=names[name],
                output_names=[outputs[name]],
                opset_version=OPSET,
                dynamo=False,
            )
    return paths


def _logger(trt: Any, complaints: list[str]) -> Any:
    """A TensorRT logger that appends errors to `complaints`."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                complaints.append(message)

    return Logger()


def _progress(trt: Any, name: str) -> Any:
    """A TensorRT progress monitor that prints lines for network `name`."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Prints one line for every 10 % of each outermost phase."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases: dict[str, tuple[int, int]] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if parent is None:
                self.phases[phase] = (max(steps, 1), -1)

        def step_complete(self, phase: str, step: int) -> bool:
            if phase in self.phases:
                steps, printed = self.phases[phase]
                tenth = 10 * (step + 1) // steps
                if tenth != printed:
                    self.phases[phase] = (steps, tenth)
                    print(f"{name}: {phase}: {min(10 * tenth, 100)} %", flush=True)
            return True

        def phase_finish(self, phase: str) -> None:
            self.phases.pop(phase, None)

    return Progress()


def build(kind: str, source: Path, plan: Path, card: str) -> dict[str, Any]:
    """Compile an ONNX file to a plan. Returns facts for the sidecar: inputs, outputs and layers.

    Raises EngineError with the library's first error.
    """
    trt = importlib.import_module(KINDS[kind])
    complaints: list[str] = []
    logger, progress = _logger(trt, complaints), _progress(trt, plan.stem)
    builder = trt.Builder(logger)
    flags = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED) if hasattr(flags, "STRONGLY_TYPED") else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        raise EngineError(f"{source.stem}: not understood by {kind}: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.progress_monitor = progress
    if kind == "tensorrt-rtx":  # else it needs a card on this machine
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, card.upper()), 0)
    facts = {
        "inputs": {t.name: [list(t.shape), t.dtype.name] for t in map(network.get_input, range(network.num_inputs))},
        "outputs": {t.name: [list(t.shape), t.dtype.name] for t in map(network.get_output, range(network.num_outputs))},
        "layers": network.num_layers,
        "half_layers": sum(network.get_layer(n).get_output(0).dtype == trt.DataType.HALF
                           for n in range(network.num_layers) if network.get_layer(n).num_outputs),
        "strongly_typed": bool(network.get_flag(flags.STRONGLY_TYPED)) if hasattr(flags, "STRONGLY_TYPED") else True,
    }  # fmt: skip
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise EngineError(f"{source.stem}: {(complaints or ['no reason given'])[0].splitlines()[0]}")
    plan.write_bytes(memoryview(made))
    return facts


def _build_into(kind: str, place: str, size: tuple[int, int], tokens: int, card: str, work: str) -> None:
    engine, target = load_engine(Path(place)), Path(work)
    began = time.monotonic()
    sources = export(engine, size, tokens, target)
    seconds, networks = {"export": round(time.monotonic() - began, 2)}, {"engine": place}
    for name in NETWORKS:
        began = time.monotonic()
        print(f"{name}: building for {card}", flush=True)
        networks[name] = build(kind, sources[name], target / f"{name}.plan", card)  # type: ignore[assignment]
        seconds[name] = round(time.monotonic() - began, 2)
    kept = {f"{name}.plan" for name in NETWORKS}
    for path in target.iterdir():  # the ONNX files, and the external weights of a large one
        if path.name not in kept:
            path.unlink()
    sums = {name: sum_of(target / f"{name}.plan") for name in NETWORKS}
    write_sidecar(
        target,
        Sidecar(
            format=FORMAT, kind=kind, library=library_version(kind), card=card, size=size, tokens=tokens,
            weights=engine.weights_hash, torch=torch.__version__, sha256=sums, networks=networks, seconds=seconds,
        ),
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Entry of the child process: KIND FOLDER WIDTH HEIGHT TOKENS CARD WORK. Prints progress on stdout, and the reason
    of a failure as the last line on stderr."""
    kind, place, width, height, tokens, card, work = arguments
    return exit_status(lambda: _build_into(kind, place, (int(width), int(height)), int(tokens), card, work))
