from __future__ import annotations

import numpy as np
import pytest

from tpos_live.audio.conversion import Downmix, StereoMix, select_channels
from tpos_live.audio.source import AudioError
from tpos_live.core.setting_values import check_channels, parse_channels

BLOCK = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


def test_defaults_are_the_first_two() -> None:
    assert select_channels(1, None, "x") == (0,)
    assert select_channels(2, None, "x") == (0, 1)
    assert select_channels(32, None, "x") == (0, 1)


def test_channels_are_counted_from_one_and_keep_their_order() -> None:
    assert select_channels(4, (3, 1), "x") == (2, 0)
    assert np.array_equal(StereoMix((2, 0)).push(BLOCK), BLOCK[:, [2, 0]])


@pytest.mark.parametrize(
    ("available", "channels", "words"),
    [
        (4, (0,), "has channels 1 to 4, not 0"),
        (4, (1, 99), "has channels 1 to 4, not 99"),
        (2, (3, 2, 7), "has channels 1 to 2, not 3 or 7"),
        (1, (2,), "has one channel, not 2"),
        (4, (), "no channel"),
    ],
)
def test_channels_that_are_not_there_are_refused(available: int, channels: tuple[int, ...], words: str) -> None:
    with pytest.raises(AudioError, match=f'"desk" .*{words}|{words}.*--channels'):
        select_channels(available, channels, "desk")


@pytest.mark.parametrize(
    ("text", "words"),
    [("1,0", "count from 1"), ("2,1,2", "channel 2 is named twice"), ("-1", "written 1 or 1,2"), ("a", "written"),
     ("1,,2", "written"), ("1.5", "written"), ("", "written")],
)  # fmt: skip
def test_channels_that_make_no_sense_are_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_channels(text)


def test_any_number_of_channels_is_written_alike() -> None:
    assert parse_channels("1, 99") == [1, 99] and check_channels([]) == []


def test_one_is_doubled_and_many_are_averaged() -> None:
    assert np.array_equal(StereoMix((1,)).push(BLOCK), [[2, 2], [6, 6]])
    assert np.array_equal(StereoMix((0, 1, 2)).push(BLOCK), [[2, 2], [6, 6]])


def test_mono_is_the_average_of_what_was_chosen() -> None:
    for picked in ((0,), (0, 3), (0, 1, 2, 3)):
        assert np.allclose(Downmix(2).push(StereoMix(picked).push(BLOCK)), BLOCK[:, picked].mean(axis=1))


RATE = 48_000
NOISE = np.random.default_rng(0).normal(0, 0.1, (8 * RATE, 4)).astype(np.float32)


def stereo(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack([left, right], axis=1).astype(np.float32)


def cancelling(seconds: float = 8.0) -> np.ndarray:
    """A second of music, then opposite phase, then music again for the last quarter."""
    n = round(seconds * RATE)
    left = NOISE[:n, 0]
    right = np.concatenate([NOISE[:RATE, 1], -left[RATE : n * 3 // 4], NOISE[n * 3 // 4 : n, 1]])
    return stereo(left, right)


@pytest.mark.parametrize(
    "sound",
    [
        stereo(NOISE[:, 0], NOISE[:, 0]),
        stereo(NOISE[:, 0], NOISE[:, 1]),
        stereo(NOISE[:, 0], 0 * NOISE[:, 0]),
        stereo(NOISE[:, 0], -0.4 * NOISE[:, 0] + 0.3 * NOISE[:, 1]),
        0 * NOISE[:, :2],
    ],
    ids=["mono", "wide", "left only", "partly inverted", "silence"],
)
def test_ordinary_stereo_is_its_average_to_the_bit(sound: np.ndarray, messages: list[str]) -> None:
    downmix = Downmix(2)
    assert np.array_equal(downmix.push(sound), sound.mean(axis=1, dtype=np.float32))
    assert messages == []


def test_opposite_phase_is_heard_as_loud_as_it_is_and_told_once(messages: list[str]) -> None:
    downmix = Downmix(2, name="desk")
    sound = cancelling()
    mono = downmix.push(sound)
    heard = mono[3 * RATE : 6 * RATE]
    assert np.allclose(heard, sound[3 * RATE : 6 * RATE, 0], atol=1e-6)
    (line,) = messages
    assert '"desk"' in line and "opposite in phase" in line and "\n" not in line
    assert np.array_equal(mono[-RATE // 4 :], sound[-RATE // 4 :].mean(axis=1, dtype=np.float32)), "back to the average"


def test_opposite_phase_from_the_start_is_heard_within_half_a_second() -> None:
    mono = Downmix(2).push(stereo(NOISE[:, 0], -NOISE[:, 0]))
    assert not mono[:4800].any()
    assert mono[RATE // 2 : RATE].std() == pytest.approx(0.1, rel=0.05)


def test_where_one_side_is_weaker_the_louder_one_is_heard() -> None:
    sound = stereo(-0.7 * NOISE[:, 0], NOISE[:, 0])
    assert np.array_equal(Downmix(2).push(sound)[3 * RATE :], sound[3 * RATE :, 1])


def test_channels_that_cancel_among_many_leave_the_loudest(messages: list[str]) -> None:
    sound = np.stack([NOISE[:, 0], -NOISE[:, 0], 0.5 * NOISE[:, 0], -0.5 * NOISE[:, 0]], axis=1)
    mix = StereoMix((0, 1, 2, 3), name="desk")
    out = mix.push(sound)
    assert out[RATE:].std() == pytest.approx(0.1, rel=0.05) and "loudest" in messages[0]


@pytest.mark.parametrize("block", [1, 77, 240, 480, 4800])
def test_the_mix_does_not_depend_on_the_size_of_the_blocks(block: int) -> None:
    sound = cancelling(3.0 if block == 1 else 8.0)
    whole = Downmix(2).push(sound)
    pieces = Downmix(2)
    assert np.array_equal(
        whole, np.concatenate([pieces.push(sound[i : i + block]) for i in range(0, len(sound), block)])
    )


def test_the_mix_changes_without_a_jump_and_not_back_and_forth() -> None:
    t = np.arange(8 * RATE) / RATE
    left = 0.5 * np.sin(2 * np.pi * 100 * t)
    steepest = 0.5 * 2 * np.pi * 100 / RATE * 1.2
    assert np.abs(np.diff(Downmix(2).push(stereo(left, -left)))).max() < steepest
    flips = np.where(np.floor(t * 2) % 2 == 0, 1.0, -1.0)  # at zero crossings, every half second
    sound = stereo(left, left * flips)
    mono = Downmix(2).push(sound)
    assert np.abs(np.diff(mono)).max() < steepest
    assert np.array_equal(mono, sound.mean(axis=1, dtype=np.float32)), "too short to be worth a change"
