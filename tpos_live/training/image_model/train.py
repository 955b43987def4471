"""Train Ember, the bundled engine, from scratch: `tpos-live train ember`.

First the text encoder (distilled from MiniLM), then the autoencoder, then the UNet on pairs of noise and scene. A run
folder holds all checkpoints, and a training resumes from there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tpos_live.core.atomic import check_writable
from tpos_live.core.cores import usable_cores
from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle
from tpos_live.training.image_model import autoencoder, contact_sheet, speedups
from tpos_live.training.image_model.checkpoint import (
    State,
    begin_from,
    not_a_number,
    read_moments,
    read_parts,
    read_state,
    set_moments,
    write_parts,
    write_state,
)
from tpos_live.training.image_model.dataset import Batch, Pool, Renderer, RenderProcess, Words
from tpos_live.training.image_model.export import write_engine
from tpos_live.training.image_model.plan import ON_A_CARD, Plan
from tpos_live.training.image_model.rectified_flow import T_MAX, build_unet, corrupt, one_step
from tpos_live.training.text.text_encoder import train_text_encoder

SELF_START_EVERY = 6
"""One of so many rows of a batch starts from the UNet's own first step."""
DECODER_RATE = 1.5e-3
"""Learning rate of the decoder while it is trained with the UNet; it falls over the last quarter of the time."""
WORTH_COMPILING = 30.0
"""Minutes of training from which the UNet is compiled for a CPU; compiling takes about 4 minutes."""


def train_ember(
    out: Path,
    minutes: float,
    resume: bool,
    accelerator: str | None,
    seed: int,
    threads: int | None,
    run: Path = Path("runs/ember"),
    plan: Plan | None = None,
    of: float | None = None,
    families: Sequence[str] = (),
    often: Sequence[str] = (),
    batch: int | None = None,
) -> None:
    """Train and write the engine folder `out`; checkpoints and contact sheets go to `run`.

    resume: continue from the checkpoint in `run`, or, without one, from the weights of the engine in `out`. minutes:
    wall-clock time for all stages that are not done yet. of: total minutes of UNet training, for a training in several
    calls: learning rate and curriculum follow this total; None = the time of earlier calls and of this one.
    accelerator: "cpu", "cuda", ... or None for the best device. threads: of the CPU, None for all. families, often,
    batch: override those of the plan. Raises MissingLibraryError.
    """
    from transformers import AutoTokenizer, BertModel

    acc = speedups.accelerator_for(accelerator)
    on_cpu = acc.device.type == "cpu"
    plan = plan or (Plan(compiled=minutes >= WORTH_COMPILING) if on_cpu else ON_A_CARD)
    plan = replace(
        plan, families=tuple(families) or plan.families, often=tuple(often) or plan.often, batch=batch or plan.batch
    )
    # One core is left to the render process: a thread on a shared core costs ten times what it saves (the others wait).
    torch.set_num_threads(threads or max(1, len(usable_cores()) - (plan.render_process and on_cpu)))
    seed += acc.process_index
    torch.manual_seed(seed)
    run.mkdir(parents=True, exist_ok=True)
    check_writable(out)
    if resume and not (run / "unet.safetensors").exists() and (out / "unet").exists():
        begin_from(out, run)
    state = read_state(run) if resume else State()
    began = time.monotonic()

    if acc.is_main_process and not (resume and (run / "tokenizer").exists()):
        state.text_cosine = train_text_encoder(run, minutes * plan.text, seed, acc.device)
        write_state(run, state)
    if acc.is_main_process and not (resume and (run / "vae").exists()):
        fresh, state.latent_psnr = autoencoder.train_autoencoder(minutes * plan.latent, seed, acc.device)
        fresh.save_pretrained(run / "vae")
        write_state(run, state)
    acc.wait_for_everyone()
    vae = AutoencoderPixelShuffle.from_pretrained(run / "vae").to(acc.device, memory_format=torch.channels_last).eval()
    encoder = BertModel.from_pretrained(run / "text_encoder").float().to(acc.device).eval().requires_grad_(False)
    words = Words(encoder, AutoTokenizer.from_pretrained(run / "tokenizer"))
    trainer = Trainer(acc, plan, state, run, vae, words, seed)
    if resume:
        trainer.load()
    trainer.train(minutes * 60 - (time.monotonic() - began), out, None if of is None else of * 60)
    if acc.is_main_process:
        trainer.save(out)


class Trainer:
    """Trains the UNet and, in the last part (`Plan.joint`), the decoder with it."""

    def __init__(self, acc: Any, plan: Plan, state: State, run: Path, vae: Any, words: Words, seed: int) -> None:
        self.acc, self.plan, self.state, self.run, self.words = acc, plan, state, run, words
        self.vae = vae
        unet = build_unet(plan.channels).to(acc.device, memory_format=torch.channels_last)
        compiled = plan.compiled and speedups.can_compile(acc.device)
        speedups.speed_up(unet.unet, compiled)
        self.pixel_loss = autoencoder.pixel_loss
        if compiled:
            speedups.compile_blocks(vae.decoder, (vae.decoder.network, vae.decoder.smooth))
            self.pixel_loss = speedups.compiled_where_square(self.pixel_loss)
        self.ema = {name: value.detach().clone() for name, value in unet.state_dict().items()}
        optimizer = torch.optim.AdamW(unet.parameters(), lr=plan.rate, weight_decay=1e-3, betas=(0.9, 0.98), fused=True)
        self.unet, self.optimizer = acc.prepare(unet, optimizer)
        vae.encoder.requires_grad_(False)
        self.weights = autoencoder.channel_weights(vae).to(acc.device)  # of the matrix, before the decoder learns
        self.decoder_optimizer = torch.optim.AdamW(vae.decoder.parameters(), lr=DECODER_RATE, weight_decay=0.0)
        drawn = (*plan.families, *plan.often)
        self.shares = [share for share, *_ in plan.sizes]
        self.renderers = [
            Renderer((rows, columns), seed + 17 * n + 101 * state.steps, drawn, acc.device)
            for n, (_, rows, columns) in enumerate(plan.sizes)
        ]
        self.pools = [
            Pool(words, vae, (rows, columns), max(round(plan.capacity * share), 1), seed + 17 * n)
            for n, (share, rows, columns) in enumerate(plan.sizes)
        ]

    def train(self, seconds: float, out: Path, of: float | None = None) -> None:
        """Train for `seconds`. The learning rate falls over `of` seconds in total, by default over the time spent
        before and now. Each checkpoint also writes the engine `out`. Raises RuntimeError where a loss is not finite."""
        until = self.state.spent + max(seconds, 1.0)
        total = until if of is None else of
        begin, before, saved = time.monotonic(), self.state.spent, time.monotonic()
        shown = {"latent": 0.0, "pixel": 0.0}
        with ExitStack() as stack:
            made = list(zip(self.shares, self.renderers, strict=True))
            apart = self.plan.render_process and self.acc.device.type == "cpu"
            process = stack.enter_context(RenderProcess(made, self.state.steps)) if apart else None
            bar = stack.enter_context(
                tqdm(total=round(seconds), unit="s", desc="ember", disable=not self.acc.is_main_process)
            )
            while self.state.spent < until:
                seen = self._step(min(self.state.spent / total, 1.0), process)
                self.state.steps += 1
                self.state.spent = before + time.monotonic() - begin
                if self.state.steps % self.plan.log_every:
                    continue
                for name, value in seen.items():
                    if not math.isfinite(now := float(value)):
                        raise not_a_number(name, self.state, self.run)
                    shown[name] += (0.02 * self.plan.log_every if shown[name] else 1.0) * (now - shown[name])
                bar.n = min(bar.total, round(self.state.spent - before))
                facts = {"steps": self.state.steps, "images": sum(pool.added for pool in self.pools)}
                bar.set_postfix({k: f"{v:.4f}" for k, v in shown.items()} | facts, refresh=False)
                bar.update(0)
                if time.monotonic() - saved > self.plan.save and self.acc.is_main_process:
                    self.save(out)
                    saved = time.monotonic()

    def _batch(self, process: RenderProcess | None) -> Batch:
        """The pairs of the next step, after new images were added to the pools."""
        # The pool is chosen by the number of steps, so that all processes of a training use the same image size.
        choice = torch.rand((), generator=torch.Generator().manual_seed(self.state.steps)).item()
        index = next((i for i in range(len(self.pools)) if choice < sum(self.shares[: i + 1])), 0)
        pool = self.pools[index]
        count = self.plan.batch if index == 0 else max(1, self.plan.batch // 2)

        def needs_images() -> bool:
            return pool.filled < min(4 * count, pool.capacity) or pool.served > self.plan.reuse * pool.added

        if process is None:
            while needs_images():
                pool.add(self.renderers[index].make(min(self.plan.rendered or count, pool.capacity)))
            return pool.take(count)
        # Without a core of its own the renderer slows down the training, so take no more images than needed.
        beside = torch.get_num_threads() < len(usable_cores())
        while beside or pool.served > 0.5 * self.plan.reuse * pool.added or needs_images():
            if (new := process.take(wait=needs_images())) is None:
                break
            self.pools[new[0]].add(new[1])
        return pool.take(count)

    def _step(self, part: float, process: RenderProcess | None) -> dict[str, torch.Tensor]:
        """One step at `part` (0 to 1) of the training; the losses by name, on the device: reading them waits for it."""
        plan, state = self.plan, self.state
        warm = min(1.0, (state.steps + 1) / 200)
        for group in self.optimizer.param_groups:
            group["lr"] = plan.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(part, 1.0))))
        batch = self._batch(process)
        x, t = corrupt(batch.noise, batch.latents, 0.0 if part < 0.3 else 0.25)
        if part >= plan.self_start:
            self._start_from_own_step(x, t, batch)
        x = x.contiguous(memory_format=torch.channels_last)
        joint = part > 1 - plan.joint
        with self.acc.autocast():
            have = one_step(self.unet, x, t, batch.tokens)
            apart = have - batch.latents
            loss = (self.weights * apart.square()).mean() + (self.weights * apart.abs()).mean() * part
            if joint:
                loss = loss * plan.latent_weight
            seen = {"latent": apart.detach().abs().mean()}
            if (joint or part > 0.3) and state.steps % (1 if joint else plan.pixel_every) == 0:
                rows = len(x) if joint else max(1, len(x) // 3)
                drawn, render = autoencoder.decode(self.vae, have[:rows]).float(), batch.image[:rows]
                pixel = self.pixel_loss(drawn, render)
                seen["pixel"] = pixel.detach()
                loss = loss + 2.0 * pixel
        self.optimizer.zero_grad(set_to_none=True)
        self.decoder_optimizer.zero_grad(set_to_none=True)
        self.acc.backward(loss)
        self.acc.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        if joint:
            for group in self.decoder_optimizer.param_groups:
                group["lr"] = DECODER_RATE * min(1.0, max(0.03, 4 * (1 - part)))
            self.decoder_optimizer.step()
        if state.steps % 4 == 0:
            self._update_ema(min(plan.ema, (state.steps + 1) / (state.steps + 10)) ** 4)
        return seen

    def _start_from_own_step(self, x: torch.Tensor, t: torch.Tensor, batch: Batch) -> None:
        """Replace, in place, the input of some rows by a mix of their noise and the UNet's own one-step estimate.

        The second of two sampling steps starts from such an input. A UNet that is trained on the true latents only
        learns to copy their detail, and then takes the noise in its own estimate for detail. The number of rows is
        constant because a compiled UNet is compiled for each batch size.
        """
        rows = max(1, len(x) // SELF_START_EVERY)
        noise, tokens = batch.noise[:rows], batch.tokens[:rows]
        with torch.no_grad(), self.acc.autocast():
            own = one_step(self.unet, noise, torch.full_like(t[:rows], T_MAX), tokens).float()
        t[:rows] = 0.15 + 0.75 * torch.rand_like(t[:rows])
        at = t[:rows].view(-1, 1, 1, 1)
        x[:rows] = (1 - at) * own + at * noise

    def _update_ema(self, decay: float) -> None:
        """Update the exponential moving average of the weights."""
        with torch.no_grad():
            for name, value in self.acc.unwrap_model(self.unet).state_dict().items():
                self.ema[name].lerp_(value.to(self.ema[name]), 1 - decay)

    def average(self) -> Any:
        """The UNet with averaged weights, for contact sheets and for export."""
        unet = build_unet(self.plan.channels)
        unet.load_state_dict(self.ema)
        return unet.to(self.acc.device).eval()

    def save(self, out: Path) -> None:
        """Write the checkpoint, a contact sheet and, from the averaged weights, the engine folder `out`.

        Raises RuntimeError where a weight is not finite.
        """
        unet = self.acc.unwrap_model(self.unet)
        if not all(bool(value.isfinite().all()) for value in unet.state_dict().values()):
            raise not_a_number("weights", self.state, self.run)
        parts = {
            "unet": unet.state_dict(), "ema": self.ema, "optimizer": read_moments(self.optimizer),
            "vae": self.vae.state_dict(),
        }  # fmt: skip
        write_parts(self.run, parts)
        write_state(self.run, self.state)
        folder = self.run / "samples"
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.state.steps:06d}.png"
        average = self.average()
        contact_sheet.families(average, self.vae, self.words, path, self.plan.families)
        write_engine(out, average.unet, self.vae, self.words.encoder, self.words.tokenizer, self.plan.families)

    def load(self) -> None:
        """Continue from the checkpoint in the run folder, if there is one."""
        parts = read_parts(self.run)
        if "unet" not in parts:
            return
        unet = self.acc.unwrap_model(self.unet)
        unet.load_state_dict(parts["unet"])
        self.vae.load_state_dict(parts["vae"])
        self.ema = {name: value.to(self.acc.device) for name, value in parts["ema"].items()}
        if "optimizer" in parts:
            set_moments(self.optimizer, unet.parameters(), parts["optimizer"])
