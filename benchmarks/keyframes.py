"""Keyframes and in-between frames per second of an engine of SD-Turbo's size on this CPU, by OpenVINO.

    python benchmarks/keyframes.py FOLDER [--size 256 384] [--precision f32|bf16] [--seconds 10] [--tiny]

The networks have random weights, which take the same time as trained ones. Another process converts them to half
precision in FOLDER (2 GB for each size), as the first start of a show does; later runs use the files again. Then UNet
and decoder are timed alone and, for --seconds, together as in a show with `--mode keyframes`: the UNet on one thread,
in-between frames (interpolation, decoder, crossfade, sway) on others. Memory is the peak of the process. --tiny: the
smallest networks, to try the script.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.diffusion.backends import openvino
from tpos_live.diffusion.backends.cpu_features import bfloat16_is_native
from tpos_live.diffusion.backends.openvino_networks import TracedDecoder, TracedUnet, write_network
from tpos_live.diffusion.keyframes.keyframe import Keyframe
from tpos_live.runtime.inbetween_stream import InbetweenStream
from tpos_live.runtime.keyframe_mode import MOST_FPS

TOKENS = 77


def width_of_tokens(tiny: bool) -> int:
    return 32 if tiny else 1024


def networks(tiny: bool) -> tuple[torch.nn.Module, torch.nn.Module]:
    """UNet and decoder with random weights, wrapped for export as the backend does it."""
    from diffusers import AutoencoderTiny, UNet2DConditionModel

    channels = (32, 32, 32, 32) if tiny else (320, 640, 1280, 1280)
    with torch.device("meta"):  # the usual initialisation takes a minute
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=channels,
            cross_attention_dim=width_of_tokens(tiny),
            attention_head_dim=tuple(each // 64 or 1 for each in channels),
            use_linear_projection=True,
        )
    unet.to_empty(device="cpu")
    for weight in unet.parameters():
        weight.data.uniform_(-0.02, 0.02)
    engine: Any = SimpleNamespace(unet=unet, vae=AutoencoderTiny())
    return TracedUnet(engine).eval(), TracedDecoder(engine).eval()


@torch.inference_mode()
def convert(place: Path, size: int, tiny: bool) -> None:
    """Write both networks for one size."""
    torch.manual_seed(0)
    unet, decoder = networks(tiny)
    latent, dim = torch.randn(1, 4, size // 8, size // 8), width_of_tokens(tiny)
    place.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        write_network(unet, (latent, torch.ones(1), torch.zeros(1, TOKENS, dim)), place / "unet.xml")
        write_network(decoder, (latent,), place / "decoder.xml")


def milliseconds(work: Callable[[], object], seconds: float = 3.0) -> float:
    """Milliseconds of the fastest run in `seconds`, after one warm-up run."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return 1000 * best


@torch.inference_mode()
def measure(place: Path, size: int, precision: str, seconds: float, dim: int) -> str:
    backend = openvino.OpenVinoBackend(place, precision)
    torch.set_num_threads(1)
    latent, timestep, tokens = torch.randn(1, 4, size // 8, size // 8), torch.ones(1), torch.zeros(1, TOKENS, dim)
    pixels = np.zeros((size, size, 3), np.uint8)
    unet = milliseconds(lambda: backend.predict(latent, timestep, tokens))
    decoder = milliseconds(lambda: backend.decode(latent, pixels))
    keyframes: Mailbox[Keyframe] = Mailbox()
    moments: Mailbox[FrameParams] = Mailbox()
    stop, drawn, frames = threading.Event(), 0, 0

    def draw_keyframes() -> None:
        nonlocal drawn
        while not stop.is_set():
            backend.predict(latent, timestep, tokens)
            keyframes.put(Keyframe(torch.randn(latent.shape), FrameParams(), backend, (size, size)))
            drawn += 1

    thread, began = threading.Thread(target=draw_keyframes), time.perf_counter()
    keyframes.put(Keyframe(latent, FrameParams(), backend, (size, size)))
    thread.start()
    with InbetweenStream(moments, threading.Lock(), MOST_FPS, time.perf_counter) as stream:
        while (now := time.perf_counter()) - began < seconds or not drawn:
            moments.put(FrameParams(time=now, noise_position=now))
            frames += stream.step(keyframes.take()) is not None
    passed = time.perf_counter() - began
    stop.set()
    thread.join()
    rate = drawn / (time.perf_counter() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of Linux, in KB
    return (
        f"{size}x{size}, {precision}: UNet {unet:.0f} ms, decoder {decoder:.0f} ms alone; "
        f"together {rate:.2f} keyframes and {frames / passed:.1f} in-betweens a second; {memory:.1f} GB"
    )


def report(place: Path, size: int, precision: str, seconds: float, tiny: bool) -> None:
    print(measure(place, size, precision, seconds, width_of_tokens(tiny)), flush=True)


def cpu() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    bfloat16 = " with bfloat16" if bfloat16_is_native() else ""
    return f"{torch.get_num_threads()} cores, {capability}{bfloat16}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 384])
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    print(cpu())
    spawn = multiprocessing.get_context("spawn")
    for size in options.size:
        place = options.folder / f"{size}{'-tiny' * options.tiny}"
        for work in (convert, report):
            if work is convert and (place / "decoder.xml").exists():
                continue
            rest = (options.tiny,) if work is convert else (options.precision, options.seconds, options.tiny)
            child = spawn.Process(target=work, args=(place, size, *rest))
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"{work.__name__} {size}: ended with {child.exitcode}")


if __name__ == "__main__":
    main()
