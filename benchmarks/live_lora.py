"""Time and memory that a live LoRA needs: python benchmarks/live_lora.py [--device cuda] [--rank 16]

Measured on the UNet of Stable Diffusion 1.5 with random weights, one row at 512x512, with random LoRAs of the attention
blocks only (as most files) and of all linear and convolution layers (as LCM-LoRA).

frame     one pass of the UNet
whole     a change of all weights at once
share     the slowest of the parts of a change, one of which is written before each frame of a show
standing  `follow` while no weight changes, as before all other frames
memory    memory besides the UNet's

Times are medians except share: wall-clock time on a GPU, processor time of one thread on a CPU, which other load does
not change.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel

from tpos_live.diffusion.model.live_lora import SPREAD, LiveLoras
from tpos_live.diffusion.model.lora import Change

TIMES = 5
CALLS = 10_000


def timed(work: Callable[[], object], device: torch.device, times: int = TIMES) -> list[float]:
    """Seconds of each run of `work`, including the device's work, after one warm-up run."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    found = []
    for _ in range(times + 1):
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(clock() - began)
    return found[1:]  # the first one warms up


def random_lora(unet: torch.nn.Module, rank: int, everything: bool) -> list[Change]:
    """A random LoRA of the attention blocks, or of all layers."""
    changes = []
    for name, layer in unet.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and (everything or "attentions" in name):
            up, down = torch.randn(len(layer.weight), rank), torch.randn(rank, layer.weight[0].numel())
            changes.append(Change("unet", layer, up, down, 1e-4))
    return changes


def measure(files: list[list[Change]], what: str, device: torch.device) -> None:
    """Print the figures of these live LoRA files. what: the layers that they change, for the line."""
    live = LiveLoras([(changes, 1.0) for changes in files])
    turn = iter(range(10**9))

    def move(whole: bool) -> bool:
        return live.follow((0.2 + next(turn) % 97 / 100,) * len(files), whole=whole)

    whole = statistics.median(timed(lambda: move(True), device))
    share = max(timed(lambda: move(False), device, 2 * SPREAD))
    live.follow((1.0,) * len(files), whole=True)
    standing = timed(lambda: [live.follow((1.0,) * len(files)) for _ in range(CALLS)], device, 1)[0] / CALLS
    print(
        f"{len(files)} of {what} ({len(files[0])} layers): whole {1e3 * whole:.1f} ms, share {1e3 * share:.1f} ms, "
        f"standing {1e6 * standing:.2f} us, memory {live.memory / 1e9:.2f} GB",
        flush=True,
    )
    live.follow((0.0,) * len(files), whole=True)  # restore the UNet for the next files


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rank", type=int, default=16)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    if device.type == "cpu":
        torch.set_num_threads(1)
    with device:
        unet = UNet2DConditionModel(
            sample_size=64, block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8
        ).eval()  # fmt: skip
        torch.nn.Module.to(unet, dtype)  # the class's own `to` warns of what is meant
        if device.type == "cuda":
            unet.to(memory_format=torch.channels_last)
        latent, tokens = torch.randn(1, 4, 64, 64, dtype=dtype), torch.randn(1, 77, 768, dtype=dtype)
        step = torch.tensor([999.0])
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    print(f"{name}, torch {torch.__version__}, rank {chosen.rank}, a share is 1/{SPREAD}", flush=True)
    for what, everything in (("the attention", False), ("every layer", True)):
        files = [random_lora(unet, chosen.rank, everything) for _ in range(2)]
        measure(files[:1], what, device)
        measure(files, what, device)
    frame = statistics.median(timed(lambda: unet(latent, step, encoder_hidden_states=tokens), device, 2))
    print(f"frame {1e3 * frame:.1f} ms")


if __name__ == "__main__":
    main()
