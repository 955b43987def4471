"""The artist: an engine's pictures for measurements, of stated words, scalars and noise, one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tpos_live.render.accelerators import choose, prepare_better
from tpos_live.render.engine import Engine
from tpos_live.render.loop import Loop
from tpos_live.render.metadata import EngineError
from tpos_live.render.motion import NoiseField, SeedScalars
from tpos_live.render.scalars import scalar_tokens


class Artist:
    """Draws as a show does, with the show's accelerator, in silence. Belongs to one thread.

    note: what runs, and why nothing faster, one line.
    """

    def __init__(
        self, engine: Engine, accelerator: str = "auto", size: tuple[int, int] | None = None, threads: int = 0
    ) -> None:
        """accelerator: as on the command line; a faster one is prepared first, once on a machine. threads: 0 = all."""
        self.engine = engine
        self.size = engine.nearest_size(size or engine.metadata.size)
        rows = engine.text_tokens + engine.metadata.audio_tokens + len(engine.metadata.scalars)
        self.accelerator = choose(accelerator, engine, self.size, rows, threads)
        if self.accelerator.name == "eager":
            try:
                self.accelerator = prepare_better(accelerator, engine, self.size, rows, threads) or self.accelerator
            except EngineError as error:
                self.accelerator.why = str(error)
        self.note = f"{self.accelerator.name}{f' ({self.accelerator.why})' if self.accelerator.why else ''}"
        self._tokens = torch.zeros(1, rows, engine.token_dim, device=engine.device)
        self._scalars = SeedScalars(engine.metadata.scalars)
        shape = (1, engine.latent_channels, self.size[1] // engine.factor, self.size[0] // engine.factor)
        self._loop = Loop(shape, engine.device)
        self._field = NoiseField(*shape[1:])
        self._shape = shape
        self._pixels = np.zeros((self.size[1], self.size[0], 3), np.uint8)

    def noise(self, generator: torch.Generator) -> torch.Tensor:
        """White noise for one picture, float [1, channels, h, w]."""
        return torch.randn(self._shape, generator=generator)

    def moment(self, seed: int, walk: float, intensity: float) -> tuple[torch.Tensor, list[float]]:
        """Noise (a buffer) and scalars as a show has them where its walk is."""
        return self._field.at(seed, 0, walk), self._scalars.at(seed, 0, walk, intensity)

    @torch.inference_mode()
    def draw(self, states: torch.Tensor, scalars: Sequence[float], noise: torch.Tensor, steps: int = 1) -> np.ndarray:
        """The picture uint8 [H, W, 3].

        states: [text tokens, dim], of `engine.encode`. scalars: as many as the engine's metadata names, in [0, 1].
        """
        rows = len(states)
        tokens = self._tokens.zero_()
        tokens[0, :rows] = states
        if not self.engine.hears:  # as the mixer does
            tokens[0, rows : rows + self.engine.metadata.audio_tokens] = states[
                rows - self.engine.metadata.audio_tokens :
            ]
        if self._scalars.scalars:
            values = torch.tensor([list(scalars)])
            tokens[:, -len(self._scalars.scalars) :] = scalar_tokens(values, self._scalars.cyclic, tokens.shape[-1])
        plan = self.engine.schedule.plan(steps)
        latent = self._loop.run(plan, self._predict, noise.to(self.engine.device))
        self.accelerator.decode(latent, self._pixels)
        return self._pixels.copy()

    def _predict(self, latent: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return self.accelerator.predict(latent, timestep, self._tokens)


def as_tensor(pictures: Sequence[np.ndarray]) -> torch.Tensor:
    """Pictures uint8 [H, W, 3] as float [batch, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
