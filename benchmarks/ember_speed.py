"""Inference time of Ember's UNet and decoder in OpenVINO on this CPU, for each size and precision.

    python benchmarks/ember_speed.py [--threads 2] [--runs 50] [--append FILE]

The networks are those of `train ember` with random weights, which take the same time as trained ones. A plain matrix
product shows the throughput that the CPU can reach.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from tpos_live.bench.results import append_results, machine
from tpos_live.diffusion.backends.cpu_features import bfloat16_is_native
from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle
from tpos_live.training.image_model.dataset import LATENT_CHANNELS, LAYOUT
from tpos_live.training.image_model.export import SIZES
from tpos_live.training.image_model.rectified_flow import build_unet
from tpos_live.training.text.text_encoder import DIM


class Unet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unet = build_unet().eval()

    def forward(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> Any:
        return self.unet(latent, timestep, encoder_hidden_states=tokens)[0]


class Decoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vae = AutoencoderPixelShuffle().eval()

    def forward(self, latent: torch.Tensor) -> Any:
        return (self.vae.decode(latent)[0] * 127.5 + 127.5).clamp(0, 255).round().permute(0, 2, 3, 1).to(torch.uint8)


def runner(module: torch.nn.Module, inputs: Sequence[torch.Tensor], precision: str, threads: int) -> Callable[[], Any]:
    import openvino

    model = openvino.convert_model(module, example_input=tuple(inputs))
    model.reshape({model.inputs[n]: openvino.PartialShape(list(tensor.shape)) for n, tensor in enumerate(inputs)})
    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_PRECISION_HINT": precision}
    options |= {"INFERENCE_NUM_THREADS": str(threads)} | ({"SNIPPETS_MODE": "DISABLE"} if precision == "f32" else {})
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    arrays = [tensor.numpy() for tensor in inputs]
    return lambda: request.infer(arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--append", type=Path, help="add the result to this file of JSON lines")
    given = parser.parse_args()
    rows = []
    with torch.no_grad():
        parts: list[tuple[str, torch.nn.Module, tuple[torch.Tensor, ...]]] = [
            ("matrix product", torch.nn.Linear(2048, 2048, bias=False).eval(), (torch.randn(1024, 2048),))
        ]
        unet, decoder = Unet(), Decoder()
        for width, height in SIZES:
            latent = torch.randn(1, LATENT_CHANNELS, height // 16, width // 16)
            tokens = torch.randn(1, LAYOUT.rows, DIM)
            parts.append((f"UNet {width}x{height}", unet, (latent, torch.tensor([999.0]), tokens)))
            parts.append((f"decoder {width}x{height}", decoder, (latent,)))
        for precision in ("f32", "bf16") if bfloat16_is_native() else ("f32",):
            for name, module, inputs in parts:
                with FlopCounterMode(display=False) as counter:
                    module(*inputs)
                run, times = runner(module, inputs, precision, given.threads), []
                for _ in range(given.runs):
                    began = time.perf_counter()
                    run()
                    times.append(1000 * (time.perf_counter() - began))
                work, least, median = counter.get_total_flops() / 1e9, min(times), float(np.median(times))
                print(f"{precision:5} {name:18} {work:5.2f} GFLOP {least:7.1f} ms at least, {median:7.1f} median, "
                      f"{work / least * 1000:5.0f} GFLOP/s", flush=True)  # fmt: skip
                facts = {"precision": precision, "gflop": round(work, 2), "least_ms": round(least, 2)}
                rows.append({"bench": "ember_speed", "part": name, **facts, "median_ms": round(median, 2)})
    if given.append is not None:
        append_results(given.append, rows, machine() | {"threads": given.threads})


if __name__ == "__main__":
    main()
