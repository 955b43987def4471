"""Checks the time and memory of a frame size before drawing, where it differs from the engine's own."""

from __future__ import annotations

import logging

import psutil
import torch

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import Engine

log = logging.getLogger(__name__)

_BYTES = {"AutoencoderPixelShuffle": 150, "AutoencoderTiny": 1100, "AutoencoderKL": 5000}
"""Bytes of memory for each pixel of a frame in single precision, by the class of the decoder. Ember's UNet is included;
Stable Diffusion's needs less (measured from 512x512 to 8192x8192 on a CPU)."""
_LARGE = 16
"""Number of pixels, relative to the engine's largest size, from which a frame is large: Ember draws fewer than 3 frames
per second of it on two cores."""
_LARGE_ON_CARD = 64
"""The same on a card."""


def affordable_size(engine: Engine, wanted: tuple[int, int], own: tuple[int, int], live: bool) -> tuple[int, int]:
    """The size to draw, (width, height): `wanted`, or `own` where `wanted` is (0, 0). Logs the cost of a large size.

    live: for a large size, return `own` after a warning, because the frame rate would be too low. Raises EngineError
    for a size above the engine's largest one if its frames do not fit into the free memory.
    """
    if not wanted[0]:
        return own
    times, gigabytes = _times(engine, wanted), _bytes(engine, wanted) / 1e9
    on_card = engine.device.type == "cuda"
    large = times > (_LARGE_ON_CARD if on_card else _LARGE)
    costs = (
        "{}x{} has {:,.0f} times the pixels of {}'s largest size, {}x{}: a frame takes at least so many times as long"
    ).format(*wanted, times, engine.name, *_largest(engine))
    if live and large:
        log.warning("{}; the show goes on at {}x{}".format(costs, *own))
        return own
    free = _free_bytes(engine.device) / 1e9
    if times > 1 and gigabytes > free:
        where = "the card" if on_card else "this computer"
        raise EngineError(
            "a frame of {}x{} takes about {:.1f} GB of memory".format(*wanted, gigabytes)
            + f", and {where} has {free:.1f} GB free; choose a smaller --size"
        )
    if large:
        log.info(f"{costs}, and about {gigabytes:.1f} GB of memory")
    return wanted


def _largest(engine: Engine) -> tuple[int, int]:
    return max((engine.metadata.size, *engine.metadata.sizes), key=lambda size: size[0] * size[1])


def _times(engine: Engine, size: tuple[int, int]) -> float:
    width, height = _largest(engine)
    return size[0] * size[1] / (width * height)


def _bytes(engine: Engine, size: tuple[int, int]) -> float:
    each = _BYTES[engine.networks.vae_class]
    return size[0] * size[1] * each * engine.dtype.itemsize / torch.float32.itemsize


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)
