"""Numbers of a frame, from the host to the device that draws it, in one copy that nobody waits for."""

from __future__ import annotations

import numpy as np
import torch

IN_FLIGHT = 8
"""Uploads that may be queued before a card has read the first: about one a step; each frame is waited for."""


class PinnedScalars:
    """An array that lies on a device and is written from the host. Belongs to one thread.

    `on_device` is the array on the device, at one address for good, as a captured graph needs it.
    """

    def __init__(self, *shape: int, device: torch.device | str, dtype: torch.dtype = torch.float32) -> None:
        device = torch.device(device)
        self.on_device = torch.zeros(shape, dtype=dtype, device=device)
        # A card reads the host's memory later than the copy is queued: each of the last uploads has memory of its own.
        places = torch.zeros(IN_FLIGHT, *shape, dtype=dtype, pin_memory=device.type == "cuda")
        self._places = list(places.unbind())
        self._views = [place.numpy() for place in self._places]
        self._uploads = 0

    def upload(self, values: np.ndarray | list[float] | list[list[float]]) -> None:
        """Write `values`, of the array's shape, or of less rows; what lies behind them means nothing then."""
        self._uploads += 1
        n = self._uploads % IN_FLIGHT
        self._views[n][: len(values)] = values
        self.on_device.copy_(self._places[n], non_blocking=True)
