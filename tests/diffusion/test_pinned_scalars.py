"""Numbers for a card: the array stays where it is, and no put disturbs those before it."""

from __future__ import annotations

import numpy as np
import torch

from tpos_live.diffusion.cuda.pinned_scalars import IN_FLIGHT, Numbers


def test_it_stays_where_it_is_and_holds_the_newest() -> None:
    numbers = Numbers(2, 3, device="cpu")
    address, part = numbers.there.data_ptr(), numbers.there[1, 2:]
    for n in range(3 * IN_FLIGHT):
        numbers.put([[n, 1.0, 2.0], [3.0, 4.0, -n]])
        assert numbers.there[0, 0] == n and part.item() == -n
    assert numbers.there.data_ptr() == address


def test_rows_may_be_left_out() -> None:
    numbers = Numbers(4, device="cpu", dtype=torch.complex64)
    numbers.put([1.0, 2.0, 3.0, 4.0])
    numbers.put(np.array([5.0, 6.0]))
    assert numbers.there[:2].real.tolist() == [5.0, 6.0]


def test_a_put_writes_where_no_earlier_one_may_still_be_read() -> None:
    numbers = Numbers(1, device="cpu")
    for n in range(IN_FLIGHT):
        numbers.put([float(n)])
    assert sorted(float(place) for place in numbers._places) == [float(n) for n in range(IN_FLIGHT)]
