from __future__ import annotations

import numpy as np
import pytest

from tpos_live.sound.channels import pick, to_mono, to_stereo
from tpos_live.sound.source import SoundError

BLOCK = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


def test_defaults_are_the_first_two() -> None:
    assert pick(1, None, "x") == (0,)
    assert pick(2, None, "x") == (0, 1)
    assert pick(32, None, "x") == (0, 1)


def test_channels_are_counted_from_one_and_keep_their_order() -> None:
    assert pick(4, (3, 1), "x") == (2, 0)
    assert np.array_equal(to_stereo(BLOCK, (2, 0)), BLOCK[:, [2, 0]])


@pytest.mark.parametrize("channels", [(0,), (5,), (-1,), (1, 9), ()])
def test_channels_that_are_not_there_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(SoundError, match="--channels"):
        pick(4, channels, "desk")


def test_one_is_doubled_and_many_are_averaged() -> None:
    assert np.array_equal(to_stereo(BLOCK, (1,)), [[2, 2], [6, 6]])
    assert np.array_equal(to_stereo(BLOCK, (0, 1, 2)), [[2, 2], [6, 6]])


def test_mono_is_the_average_of_what_was_chosen() -> None:
    for picked in ((0,), (0, 3), (0, 1, 2, 3)):
        assert np.allclose(to_mono(to_stereo(BLOCK, picked)), BLOCK[:, picked].mean(axis=1))
