"""Training pairs for the UNet: the inputs are noise and tokens, the targets are latents and images.

On a CPU an image takes about as long to render as to train on, so a separate process renders (a GPU renders on the
device), and a pool of some thousand new images serves each of them a few times.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from tpos_live.core.child_process import end_with_parent
from tpos_live.diffusion.model.unet_inputs import Layout
from tpos_live.diffusion.sampling.unet_tokens import paired, scalar_tokens
from tpos_live.scenes.base import FIELDS
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.image_model.recipe import SCALARS, Recipe, draw, render
from tpos_live.training.precision import autocast
from tpos_live.training.text.text_encoder import DIM, encode
from tpos_live.training.text.tokens import LENGTH

AUDIO_TOKENS = 4
LAYOUT = Layout(LENGTH, AUDIO_TOKENS, len(SCALARS))
LATENT_CHANNELS = 32
PACKING = 2
"""Noise cells along each side of a latent position (see `unet_inputs.pack`)."""


def cyclic(device: torch.device) -> torch.Tensor:
    """Which of the scalars are cyclic, bool [n]."""
    return torch.tensor([scalar.cyclic for scalar in SCALARS], device=device)


class Words:
    """Encodes recipes as the UNet's conditioning. Stateless; its text encoder is not trained here."""

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer

    def tokens(self, recipes: list[Recipe]) -> torch.Tensor:
        """The conditioning of recipes, float [batch, LAYOUT.rows, DIM]."""
        first = encode(self.encoder, self.tokenizer, [recipe.texts[0] for recipe in recipes])
        both = torch.tensor([float(len(recipe.texts) > 1) for recipe in recipes], device=first.device).view(-1, 1, 1)
        second = encode(self.encoder, self.tokenizer, [recipe.texts[-1] for recipe in recipes]) * both
        voice = encode(self.encoder, self.tokenizer, [recipe.voice for recipe in recipes])[:, 1 : 1 + AUDIO_TOKENS]
        loud = torch.tensor([recipe.loud for recipe in recipes], device=first.device).view(-1, 1, 1)
        told = [recipe.share if len(recipe.texts) > 1 else 0.0 for recipe in recipes]
        for row, recipe in enumerate(recipes):
            if recipe.weight is not None:
                first[row], second[row], told[row] = paired(first[row], second[row], recipe.weight)
        values = [(*recipe.scalars, share) for recipe, share in zip(recipes, told, strict=True)]
        scalars = scalar_tokens(torch.tensor(values, device=first.device), cyclic(first.device), DIM)
        return torch.cat([first, voice * loud, scalars, second], dim=1)


@dataclass
class Rendered:
    """A batch of new renders. noise: half [n, 8, 2h, 2w]; image: uint8 [n, 3, 16h, 16w]; both on one device."""

    noise: torch.Tensor
    image: torch.Tensor
    recipes: list[Recipe]


class Renderer:
    """Renders images of random recipes in one size. cells: (rows, columns) of the noise, 8 pixels each."""

    def __init__(
        self, cells: tuple[int, int], seed: int, families: Sequence[str] = tuple(FAMILIES), device: Any = "cpu"
    ) -> None:
        self.cells, self.families, self.device = cells, families, torch.device(device)
        self._rng, self._seed = random.Random(seed), seed
        self._noise_rng: torch.Generator | None = None  # created on first use: a generator cannot be pickled

    @torch.inference_mode()
    def make(self, count: int) -> Rendered:
        """`count` new images."""
        if self._noise_rng is None:
            self._noise_rng = torch.Generator(device=self.device).manual_seed(self._seed)
        recipes = [draw(self._rng, self.families) for _ in range(count)]
        shape = (count, LATENT_CHANNELS // PACKING**2, *self.cells)
        noise = torch.randn(shape, generator=self._noise_rng, device=self.device).half()
        image = render(noise[:, :FIELDS].float(), recipes)
        return Rendered(noise, (image * 255 + 0.5).to(torch.uint8), recipes)


def _render_on(sink: Any, renderers: list[tuple[float, Renderer]], count: int, seed: int, parent: int) -> None:
    """Main function of the render process: render until it is killed."""
    end_with_parent(parent)
    torch.set_num_threads(1)
    sink.cancel_join_thread()  # otherwise it would wait at its end until the queue is read
    if hasattr(os, "nice"):
        os.nice(1)  # the training has priority
    choice = random.Random(seed)
    shares, made = zip(*renderers, strict=True)
    while True:
        index = choice.choices(range(len(made)), shares)[0]
        new = made[index].make(count)
        sink.put((index, new.noise.numpy(), new.image.numpy(), new.recipes))


class RenderProcess:
    """Renders in a separate process. A context manager; for one thread."""

    def __init__(self, renderers: list[tuple[float, Renderer]], seed: int, count: int = 4, ahead: int = 16) -> None:
        """renderers: each with its share of the batches. count: images in a batch. ahead: batches in the queue."""
        context = multiprocessing.get_context("spawn")
        self._queue: Any = context.Queue(ahead)
        self._process = context.Process(
            target=_render_on, args=(self._queue, renderers, count, seed, os.getpid()), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.join()

    def take(self, wait: bool) -> tuple[int, Rendered] | None:
        """The index of a renderer and its next batch; None where no batch is ready and `wait` is False.

        Raises RuntimeError if the process has died.
        """
        while True:
            try:
                index, noise, image, recipes = self._queue.get(timeout=2.0) if wait else self._queue.get_nowait()
                return index, Rendered(torch.from_numpy(noise), torch.from_numpy(image), recipes)
            except queue.Empty:
                if not self._process.is_alive():
                    raise RuntimeError(f"the rendering process ended (exit {self._process.exitcode})") from None
                if not wait:
                    return None


@dataclass
class Batch:
    """A batch of pairs. noise (packed for the UNet) and latents: [batch, 32, h, w]; image: [batch, 3, 16h, 16w] in
    [0, 1]; tokens: [batch, LAYOUT.rows, DIM]."""

    noise: torch.Tensor
    latents: torch.Tensor
    image: torch.Tensor
    tokens: torch.Tensor


class Pool:
    """A ring buffer of the newest pairs of one size. cells: (rows, columns) of the noise; capacity: number of pairs."""

    def __init__(self, words: Words, vae: Any, cells: tuple[int, int], capacity: int, seed: int) -> None:
        self.words, self.vae, self.cells, self.capacity = words, vae, cells, capacity
        self.device = next(vae.parameters()).device
        self._rng = torch.Generator(device=self.device).manual_seed(seed)
        rows, columns = cells
        h, w = rows // PACKING, columns // PACKING
        half = {"dtype": torch.float16, "device": self.device}
        self.noise = torch.empty(capacity, LATENT_CHANNELS // PACKING**2, rows, columns, **half)  # type: ignore[arg-type]
        self.latents = torch.empty(capacity, vae.config.latent_channels, h, w, **half)  # type: ignore[arg-type]
        self.image = torch.empty(capacity, 3, 8 * rows, 8 * columns, dtype=torch.uint8, device=self.device)
        self.tokens = torch.empty(capacity, LAYOUT.rows, DIM, **half)  # type: ignore[arg-type]
        self.filled, self.next = 0, 0
        self.added = self.served = 0
        """Number of images added to the pool and of images returned by `take`."""

    @torch.no_grad()
    def add(self, new: Rendered) -> None:
        """Encode new images and store them in place of the oldest."""
        image = new.image.to(self.device)
        with autocast(self.device.type):
            wanted = (image.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
            latents = self.vae.encode(wanted).half()
        count = len(new.recipes)
        at = torch.arange(self.next, self.next + count, device=self.device) % self.capacity
        self.noise[at], self.latents[at], self.image[at] = new.noise.to(self.device), latents, image
        self.tokens[at] = self.words.tokens(new.recipes).half()
        self.next = (self.next + count) % self.capacity
        self.filled = min(self.capacity, self.filled + count)
        self.added += count

    def take(self, count: int) -> Batch:
        """`count` random pairs."""
        at = torch.randint(self.filled, (count,), generator=self._rng, device=self.device)
        self.served += count
        noise = torch.nn.functional.pixel_unshuffle(self.noise[at].float(), PACKING)
        return Batch(noise, self.latents[at].float(), self.image[at].float() / 255, self.tokens[at].float())
