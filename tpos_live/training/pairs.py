"""Training pairs: noise, words and scalars on one side, latents and picture on the other.

Rendering and encoding cost less than training, but not nothing; so a pool keeps some thousand pairs,
serves each a few times, and is renewed a little at every step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tpos_live.render.scalars import scalar_tokens
from tpos_live.training.recipe import SCALARS, Recipe, draw, render
from tpos_live.training.scenes import FAMILIES
from tpos_live.training.text_encoder import DIM, LENGTH, encode

AUDIO_TOKENS = 4


def cyclic(device: torch.device) -> torch.Tensor:
    """Which of the scalars go round, bool [n]."""
    return torch.tensor([scalar.cyclic for scalar in SCALARS], device=device)


class Words:
    """Turns recipes into what the UNet hears; remembers nothing, trains nothing."""

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer

    def tokens(self, recipes: list[Recipe], text_only: bool) -> torch.Tensor:
        """Text, audio and scalar tokens, float [batch, tokens, DIM]; text alone if text_only."""
        first = encode(self.encoder, self.tokenizer, [recipe.texts[0] for recipe in recipes])
        last = encode(self.encoder, self.tokenizer, [recipe.texts[-1] for recipe in recipes])
        on = [recipe.share if len(recipe.texts) > 1 else 0.0 for recipe in recipes]
        text = torch.lerp(first, last, torch.tensor(on, device=first.device).view(-1, 1, 1))
        if text_only:
            return text
        voice = encode(self.encoder, self.tokenizer, [recipe.voice for recipe in recipes])[:, 1 : 1 + AUDIO_TOKENS]
        loud = torch.tensor([recipe.loud for recipe in recipes], device=text.device).view(-1, 1, 1)
        values = torch.tensor([recipe.scalars for recipe in recipes], device=text.device)
        return torch.cat([text, voice * loud, scalar_tokens(values, cyclic(text.device), DIM)], dim=1)


@dataclass
class Batch:
    """noise, latents [batch, 4, h, w]; picture [batch, 3, 8h, 8w] in [0, 1]; tokens [batch, n, DIM]."""

    noise: torch.Tensor
    latents: torch.Tensor
    picture: torch.Tensor
    tokens: torch.Tensor


class Pool:
    """Pairs of one size, renewed in turn.

    cells: (h, w) of the noise; capacity: pairs kept; text_only: captions say it all; families: drawn from.
    """

    def __init__(
        self,
        words: Words,
        vae: Any,
        cells: tuple[int, int],
        capacity: int,
        text_only: bool,
        seed: int,
        families: Sequence[str] = tuple(FAMILIES),
    ) -> None:
        self.words, self.vae, self.cells, self.text_only, self.families = words, vae, cells, text_only, families
        self.rng = random.Random(seed)
        self.device = next(vae.parameters()).device
        self.noise_rng = torch.Generator(device=self.device).manual_seed(seed)
        h, w = cells
        tokens = LENGTH if text_only else LENGTH + AUDIO_TOKENS + len(SCALARS)
        half = {"dtype": torch.float16, "device": self.device}
        self.noise = torch.empty(capacity, 4, h, w, **half)  # type: ignore[arg-type]
        self.latents = torch.empty(capacity, 4, h, w, **half)  # type: ignore[arg-type]
        self.picture = torch.empty(capacity, 3, 8 * h, 8 * w, dtype=torch.uint8, device=self.device)
        self.tokens = torch.empty(capacity, tokens, DIM, **half)  # type: ignore[arg-type]
        self.filled, self.next, self.capacity = 0, 0, capacity

    @torch.no_grad()
    def renew(self, count: int) -> None:
        """Render `count` new pairs over the oldest."""
        recipes = [draw(self.rng, self.text_only, self.families) for _ in range(count)]
        noise = torch.randn(count, 4, *self.cells, generator=self.noise_rng, device=self.device)
        noise = noise.half().float()
        picture = render(noise, recipes)
        with torch.autocast(self.device.type, torch.bfloat16):
            latents = self.vae.encoder((picture * 2 - 1).contiguous(memory_format=torch.channels_last)).float()
        at = [(self.next + i) % self.capacity for i in range(count)]
        self.noise[at], self.latents[at] = noise.half(), latents.half()
        self.picture[at] = (picture * 255 + 0.5).to(torch.uint8)
        self.tokens[at] = self.words.tokens(recipes, self.text_only).half()
        self.next = (self.next + count) % self.capacity
        self.filled = min(self.capacity, self.filled + count)

    def take(self, count: int) -> Batch:
        """`count` pairs at random."""
        at = torch.tensor([self.rng.randrange(self.filled) for _ in range(count)], device=self.device)
        picture = self.picture[at].float() / 255
        return Batch(self.noise[at].float(), self.latents[at].float(), picture, self.tokens[at].float())
