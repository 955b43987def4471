"""Scalars for a card: the array keeps its address, and an upload does not change earlier ones in the queue."""

from __future__ import annotations

import numpy as np
import torch

from tpos_live.diffusion.cuda.pinned_scalars import IN_FLIGHT, PinnedScalars


def test_scalars_keep_their_address_and_have_the_newest_values() -> None:
    numbers = PinnedScalars(2, 3, device="cpu")
    address, part = numbers.on_device.data_ptr(), numbers.on_device[1, 2:]
    for n in range(3 * IN_FLIGHT):
        numbers.upload([[n, 1.0, 2.0], [3.0, 4.0, -n]])
        assert numbers.on_device[0, 0] == n and part.item() == -n
    assert numbers.on_device.data_ptr() == address


def test_rows_may_be_left_out() -> None:
    numbers = PinnedScalars(4, device="cpu", dtype=torch.complex64)
    numbers.upload([1.0, 2.0, 3.0, 4.0])
    numbers.upload(np.array([5.0, 6.0]))
    assert numbers.on_device[:2].real.tolist() == [5.0, 6.0]


def test_uploads_in_flight_use_separate_memory() -> None:
    numbers = PinnedScalars(1, device="cpu")
    for n in range(IN_FLIGHT):
        numbers.upload([float(n)])
    assert sorted(float(place) for place in numbers._places) == [float(n) for n in range(IN_FLIGHT)]
