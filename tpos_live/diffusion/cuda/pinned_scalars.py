"""Copies the scalars of a frame from the host to the device in one asynchronous copy."""

from __future__ import annotations

import numpy as np
import torch

IN_FLIGHT = 8
"""Uploads that may be queued before the card has read the first one. A frame needs about one for each step, and the
host waits for each frame."""


class PinnedScalars:
    """An array on a device that the host writes. Belongs to one thread.

    `on_device` is the array on the device, at a fixed address, as captured graphs need it.
    """

    def __init__(self, *shape: int, device: torch.device | str, dtype: torch.dtype = torch.float32) -> None:
        device = torch.device(device)
        self.on_device = torch.zeros(shape, dtype=dtype, device=device)
        # The card reads the host's memory after the copy is queued, so each of the last uploads has its own memory.
        places = torch.zeros(IN_FLIGHT, *shape, dtype=dtype, pin_memory=device.type == "cuda")
        self._places = list(places.unbind())
        self._views = [place.numpy() for place in self._places]
        self._uploads = 0

    def upload(self, values: np.ndarray | list[float] | list[list[float]]) -> None:
        """Write `values`, of the array's shape or with fewer rows; the remaining rows are undefined then."""
        self._uploads += 1
        n = self._uploads % IN_FLIGHT
        self._views[n][: len(values)] = values
        self.on_device.copy_(self._places[n], non_blocking=True)
