"""Image-to-image from a source: a camera, a clip, a still.

The amount a, 0 to 1, says how much of the source stays. The sampler starts at the share (1 - a) ** BENT of the
schedule, from the source's latent mixed with noise (Meng et al. 2022, "SDEdit"), which is continuous for any number of
steps. On a CPU the source's own pixels are mixed in from the amount MIXED on, fully at 1: Ember's latents compress 768
values to 32, which loses a logo.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.core.envelope import ease
from tpos_live.core.errors import first_line
from tpos_live.core.frame import SourceImage
from tpos_live.diffusion.cuda.graphs import GraphCache
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.model.networks import load_encoder

log = logging.getLogger(__name__)

MIXED = 0.6
"""Amount from which the source's own pixels are mixed in."""
BENT = 1.3
"""Exponent of the strength. With 1, an amount of 0.25 leaves no edges of the source visible."""
_LEAST = 0.001
"""Amounts up to this count as 0."""


def strength_beside(amount: float) -> float:
    """Share of the schedule that is drawn, for an amount of the source."""
    return float((1 - min(max(amount, 0.0), 1.0)) ** BENT)


class SourceStart:
    """Encodes the images of a source and mixes them in. Belongs to the render thread.

    The encoder is loaded when the first image comes: on a thread while frames are drawn from the text alone, or at once
    where the same input must always give the same frames.
    """

    def __init__(self, engine: Engine, size: tuple[int, int], at_once: bool) -> None:
        """size: (width, height) of the frames. at_once: wait for the encoder, for offline rendering."""
        self._engine, self._size, self._at_once = engine, size, at_once
        self._encoder: LatentEncoder | None = None
        self._loading: threading.Thread | None = None
        self._latent: torch.Tensor | None = None
        self._mask: torch.Tensor | None = None
        self._encoded: SourceImage | None = None
        self._weights: tuple[np.ndarray, torch.Tensor] | None = None
        """The newest image's mask, and the same at the frame's size as float32 [H, W, 1], 0 to 1."""

    def latent(self, image: SourceImage | None, amount: float) -> torch.Tensor | None:
        """The source's latent, float32 [1, C, h, w], valid until the next call; None where the amount is 0, or the
        encoder is not loaded."""
        if image is None or not amount > _LEAST or not self._ready():
            return None
        assert self._encoder is not None
        if image is not self._encoded:  # a camera brings fewer images than there are frames
            self._latent = self._encoder.encode(torch.from_numpy(self._fitted(image.pixels)))
            self._mask = None if image.mask is None else self._latent_mask(image.mask)
            self._encoded = image
        return self._latent

    @property
    def masked(self) -> bool:
        """Whether the newest image has a mask."""
        return self._mask is not None

    def keep_inside(self, drawn: torch.Tensor, text: torch.Tensor) -> None:
        """Blend `text`, the latent of the text alone, into `drawn` [1, C, h, w] outside the mask, in place."""
        assert self._mask is not None
        drawn.copy_(torch.lerp(text, drawn, self._mask))

    def lay_over(self, drawn: torch.Tensor, source: torch.Tensor, amount: float) -> None:
        """Blend `source` into `drawn`, both [1, C, h, w], inside the mask, in place. amount: 0 to 1."""
        assert self._mask is not None
        drawn.copy_(torch.lerp(drawn, source, self._mask * amount))

    def mix_pixels(self, pixels: np.ndarray, image: SourceImage, amount: float, over: bool = False) -> None:
        """Mix the source's own pixels into a frame, uint8 [H, W, 3], in place. over: from amount 0 on instead of MIXED,
        because the frame was drawn without the source."""
        share = amount if over else ease((amount - MIXED) / (1 - MIXED))
        if not share > 0:
            return
        frame = torch.from_numpy(pixels)
        source, weight = torch.from_numpy(self._fitted(image.pixels)), torch.tensor(share)
        if image.mask is not None:
            weight = weight * self._pixel_mask(image.mask)
        frame.copy_(torch.lerp(frame.float(), source.float(), weight).round_())

    def _pixel_mask(self, mask: np.ndarray) -> torch.Tensor:
        """The mask as float32 [H, W, 1] in [0, 1]; cached for a mask that stays, such as a still's."""
        if self._weights is None or self._weights[0] is not mask:
            self._weights = mask, torch.from_numpy(self._fitted(mask)).float().div_(255)[..., None]
        return self._weights[1]

    def _ready(self) -> bool:
        if self._encoder is None and self._loading is None:
            self._loading = threading.Thread(target=self._load, name="image encoder", daemon=True)
            self._loading.start()
        if self._at_once and self._loading is not None:
            self._loading.join()
        return self._encoder is not None

    def _load(self) -> None:
        try:
            self._encoder = LatentEncoder(self._engine, self._size)
        except Exception as error:  # out of memory, too: frames are drawn without the source
            log.warning(f"the source is not used: this engine cannot encode images ({first_line(error, 200)})")

    def _latent_mask(self, mask: np.ndarray) -> torch.Tensor:
        """The mask's mean over each position of the latent, float32 [1, 1, h, w] in [0, 1]."""
        given = torch.from_numpy(self._fitted(mask))[None, None].to(self._engine.device).float().div_(255)
        return F.interpolate(given, size=self._engine.latent_shape(self._size)[2:], mode="area")

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """An image [height, width, ...] at the frames' size, by nearest pixels. Sizes differ only after a failover,
        while the source still has the size of the engine that failed."""
        width, height = self._size
        if image.shape[:2] == (height, width):
            return image
        rows = np.arange(height) * image.shape[0] // height
        columns = np.arange(width) * image.shape[1] // width
        return np.ascontiguousarray(image[rows[:, None], columns])


class LatentEncoder:
    """Encodes images of one size. Any thread may create it, which takes up to seconds; one thread uses it.

    On a card it runs as one captured graph, on a CPU as eager PyTorch: Ember's encoder is a single matrix.
    """

    def __init__(self, engine: Engine, size: tuple[int, int]) -> None:
        """size: (width, height) of the frames in pixels. Raises EngineError if the folder has no encoder."""
        device = engine.device
        self._vae: Any = load_encoder(engine.networks)
        self._dtype = next(self._vae.encoder.parameters()).dtype
        self._scale = float(engine.networks.configs["vae"]["scaling_factor"])
        self._pixels = torch.zeros(size[1], size[0], 3, dtype=torch.uint8, device=device)
        self._latent = torch.zeros(engine.latent_shape(size), device=device)
        self._graphs = GraphCache(device)

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latent float32 [1, C, h, w], valid until the next call. pixels: uint8 [H, W, 3] sRGB, on any device."""
        self._pixels.copy_(pixels, non_blocking=True)
        self._graphs.run("encoder", self._encode)
        return self._latent

    def _encode(self) -> None:
        image = self._pixels.permute(2, 0, 1)[None].to(self._dtype).div(127.5).sub(1)
        found = self._vae.encode(image.contiguous(memory_format=torch.channels_last))
        # A distribution (AutoencoderKL), an output with a field (AutoencoderTiny), or the tensor itself.
        if hasattr(found, "latent_dist"):
            found = found.latent_dist.mode()
        found = getattr(found, "latents", found)
        self._latent.copy_(found.float() * self._scale)
