"""Images per second of each part of Ember's training on this machine.

    python benchmarks/train_speed.py [--accelerator cuda] [--batch N] [--seconds S] [--append FILE]

Measures rendering alone, the UNet alone (forward and backward pass and optimizer, on existing pairs), on a CPU a whole
step without new images, and the complete training, early (latent loss only) and late (with decoder and pixel loss).
Run it before a long training to see how many images that will process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from tpos_live.bench.results import append_results, machine, processor
from tpos_live.training.image_model import autoencoder
from tpos_live.training.image_model.checkpoint import State
from tpos_live.training.image_model.dataset import Renderer, RenderProcess, Words
from tpos_live.training.image_model.plan import ON_A_CARD, Plan
from tpos_live.training.image_model.rectified_flow import T_MAX, one_step
from tpos_live.training.image_model.speedups import accelerator_for
from tpos_live.training.image_model.train import Trainer

ENGINE = Path(__file__).parents[1] / "engines" / "ember"


def rate(work: Callable[[], int], seconds: float, device: torch.device) -> float:
    """Images per second of `work`, which returns the number of images of a call; two warm-up calls do not count."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    work(), work()
    wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    wait()
    return done / (time.perf_counter() - began)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accelerator", choices=["cpu", "cuda", "mps"])
    parser.add_argument("--batch", type=int, help="of a step; default: as `train ember`")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--append", type=Path, help="add the result to this file of JSON lines")
    return parser.parse_args()


def main() -> None:
    given = options()
    from transformers import AutoTokenizer, BertModel

    acc = accelerator_for(given.accelerator)
    device = acc.device
    plan = Plan() if device.type == "cpu" else ON_A_CARD
    batch = given.batch or plan.batch
    plan = replace(plan, batch=batch, capacity=max(4 * batch, plan.rendered), sizes=((1.0, 32, 32),))
    if device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() - 1))
    renderer = Renderer((32, 32), 0, device=device)
    count = 4 if device.type == "cpu" else plan.rendered
    found: dict[str, float] = {"render": rate(lambda: len(renderer.make(count).recipes), given.seconds, device)}
    vae = autoencoder.build(renderer.make(16).image).to(device, memory_format=torch.channels_last).eval()
    encoder = BertModel.from_pretrained(ENGINE / "text_encoder").float().to(device).eval().requires_grad_(False)
    words = Words(encoder, AutoTokenizer.from_pretrained(ENGINE / "tokenizer"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(acc, plan, State(), Path(folder), vae, words, 0)
        pool = trainer.pools[0]
        while pool.filled < pool.capacity:
            pool.add(renderer.make(min(64, batch) if device.type == "cpu" else plan.rendered))
        pairs = pool.take(batch)
        noise = pairs.noise.contiguous(memory_format=torch.channels_last)
        times = torch.full((batch,), T_MAX, device=device)

        seen: dict[str, torch.Tensor] = {}

        def unet() -> int:
            with acc.autocast():
                loss = F.mse_loss(one_step(trainer.unet, noise, times, pairs.tokens), pairs.latents)
            trainer.optimizer.zero_grad(set_to_none=True)
            acc.backward(loss)
            trainer.optimizer.step()
            return batch

        def step(part: float, process: RenderProcess | None) -> int:
            if process is None and device.type == "cpu":
                pool.served = 0  # nothing new is wanted
            errors = trainer._step(part, process)
            trainer.state.steps += 1
            seen.update({f"{name} at {part}": value for name, value in errors.items()})
            return batch

        found["unet"] = rate(unet, given.seconds, device)
        if device.type == "cpu":
            found["step without new images"] = rate(lambda: step(0.1, None), given.seconds, device)
            with RenderProcess([(1.0, Renderer((32, 32), 1))], 0) as process:
                process.take(wait=True)  # it has started
                for name, part in (("all, early", 0.1), ("all, late", 0.99)):
                    pool.added, pool.served = pool.capacity, 0
                    found[name] = rate(lambda part=part: step(part, process), given.seconds, device)
                    found[f"{name}: new images"] = found[name] * (pool.added - pool.capacity) / max(pool.served, 1)
        else:
            for name, part in (("all, early", 0.1), ("all, late", 0.99)):
                found[name] = rate(lambda part=part: step(part, None), given.seconds, device)
    check(seen)
    report(found, batch, device, given.append)


def check(errors: dict[str, torch.Tensor]) -> None:
    """End with a line if an error of the training is not finite."""
    wrong = [name for name, value in errors.items() if not bool(value.isfinite())]
    if wrong:
        raise SystemExit(f"not a number: the error of {', '.join(wrong)}; a training would learn nothing here")


def report(found: dict[str, float], batch: int, device: torch.device, append: Path | None) -> None:
    """Print the images per second of each part, and add them to the file `append`."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor()
    for key, value in found.items():
        print(f"{key:32} {value:10.1f} images per second")
    print(f"batch {batch}, {torch.get_num_threads()} thread(s) beside the renderer, {name}")
    if append is not None:
        row = {"bench": "train_speed", "batch": batch, **{key: round(value, 1) for key, value in found.items()}}
        append_results(append, [row], machine())


if __name__ == "__main__":
    main()
