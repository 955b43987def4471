"""The interface of all backends, which run an engine's networks, and the conversion of decoded images to bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tpos_live.diffusion.model.engine import Engine

Unet = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""latent float32 [B, C, h, w], timestep float32 [B], tokens float32 [B, T, D] to float32 [B, C, h, w]."""
Decoder = Callable[[torch.Tensor], torch.Tensor]
"""latent float32 [1, C, h, w] to an image [1, 3, H, W] in [-1, 1]."""


@dataclass(frozen=True)
class BackendRequest:
    """What a backend is loaded for: an engine at a size, and options."""

    engine: Engine
    size: tuple[int, int]
    """(width, height) in pixels."""
    sequence_length: int
    """Rows of the conditioning, all kinds of tokens together."""
    threads: int = 0
    """CPU threads; 0 = the library's choice."""
    minimal_capture: bool = False
    """Capture as few graphs as possible, for a backend that draws for half a minute until a better one is ready."""
    openvino_device: str = "auto"
    """ "auto", or a device name of OpenVINO."""


class Backend(ABC):
    """Runs an engine's networks at one size. Belongs to the render thread."""

    name: str = ""
    """Name for the status."""
    fallback_reason: str = ""
    """Why no faster backend is used, one line; "" where there is none."""
    torch_threads: int = 0
    """Number of threads that PyTorch should use while this backend runs; 0 = the default number."""
    weights_frozen: bool = False
    """Whether the weights were converted in advance, so that live LoRAs cannot change them."""
    waited: float | None = None
    """Total seconds for which the host has waited for the device; None where that is not measured."""

    @abstractmethod
    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The UNet: float32 [B, C, h, w], [B], [B, T, D] to float32 [B, C, h, w], which may be a buffer that the next
        call overwrites. B is 1, or a number that `prepare_batch_size` accepts."""

    @abstractmethod
    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        """The decoder: float32 [1, C, h, w] to uint8 [H, W, 3] sRGB, written to `out`."""

    def prepare_batch_size(self, count: int, wait: bool = False) -> str:
        """Prepare `predict` for a batch of `count` rows. Returns why it is not ready yet, "" when it is.

        wait: wait until it is ready (seconds), for offline rendering.
        """
        return ""


def to_pixels(image: torch.Tensor) -> torch.Tensor:
    """A decoded image [1, 3, H, W] in [-1, 1] as float32 [H, W, 3], whole numbers 0 to 255."""
    return image[0].float().mul(127.5).add_(127.5).clamp_(0, 255).round_().permute(1, 2, 0)


def write_pixels(image: torch.Tensor, out: np.ndarray) -> None:
    """Write a decoded image, [1, 3, H, W] in [-1, 1], to `out`, uint8 [H, W, 3]."""
    torch.from_numpy(out).copy_(to_pixels(image))
