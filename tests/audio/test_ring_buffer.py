from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from tpos_live.audio.ring_buffer import RingBuffer


def counted(start: int, count: int) -> np.ndarray:
    """Frames whose values are their positions: [count, 2]."""
    numbers = np.arange(start, start + count, dtype=np.float32)
    return np.stack([numbers, -numbers], axis=1)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_once_and_in_order_for_any_block_sizes(seed: int) -> None:
    random = np.random.default_rng(seed)
    capacity = int(random.integers(1, 200))
    ring = RingBuffer(capacity, 2)
    written, heard = 0, []
    for _ in range(300):
        count = int(random.integers(0, ring.free + 1))
        ring.write(counted(written, count))
        written += count
        assert ring.available + ring.free == capacity
        heard.append(ring.read(int(random.integers(0, capacity + 10))))
    heard.append(ring.read())
    assert np.array_equal(np.concatenate(heard), counted(0, written))
    assert ring.overwritten == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_slow_reader_loses_the_oldest_and_knows_how_many(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    capacity = int(random.integers(2, 100))
    ring = RingBuffer(capacity, 2)
    written = read = 0
    for _ in range(200):
        count = int(random.integers(0, 3 * capacity))
        ring.write(counted(written, count))
        written += count
        if random.random() < 0.5:
            block = ring.read(int(random.integers(1, 2 * capacity)))
            read += len(block)
            first = read + ring.overwritten - len(block)
            assert np.array_equal(block, counted(first, len(block)))
    read += len(ring.read())
    assert read + ring.overwritten == written


def test_reading_is_a_copy() -> None:
    ring = RingBuffer(4, 2)
    ring.write(counted(0, 4))
    first = ring.read()
    ring.write(counted(4, 4))
    assert np.array_equal(first, counted(0, 4))


def test_read_into_fills_the_front_only() -> None:
    ring = RingBuffer(8, 2)
    ring.write(counted(0, 3))
    out = np.full((5, 2), 7, np.float32)
    assert ring.read_into(out) == 3
    assert np.array_equal(out[:3], counted(0, 3)) and (out[3:] == 7).all()


@pytest.mark.parametrize(("capacity", "channels"), [(0, 1), (8, 0), (-1, 2)])
def test_an_impossible_ring_is_refused(capacity: int, channels: int) -> None:
    with pytest.raises(ValueError, match="cannot hold sound"):
        RingBuffer(capacity, channels)


def test_a_frame_overwritten_while_it_is_copied_is_dropped() -> None:
    """The writer claims frames while the reader copies them: they may be half old, half new."""
    ring = RingBuffer(8, 2)
    ring.write(counted(0, 8))
    ring._claimed = 11  # a writer in the middle of a block of three
    assert np.array_equal(ring.read(), counted(3, 5))
    assert ring.overwritten == 3


@pytest.mark.parametrize("patient", [True, False])
def test_between_two_threads_no_frame_is_torn_or_repeated(patient: bool) -> None:
    """A writer that does not wait overwrites frames, but the reader gets no torn or repeated frame."""
    ring = RingBuffer(4096, 2)
    total, done = 400_000, threading.Event()

    def write() -> None:
        random = np.random.default_rng(1)
        at = 0
        while at < total:
            count = min(int(random.integers(1, 700)), total - at)
            while patient and ring.free < count:
                time.sleep(0)
            ring.write(counted(at, count))
            at += count
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    random = np.random.default_rng(2)
    heard = []
    while not (done.is_set() and not ring.available):
        heard.append(ring.read(int(random.integers(1, 5000))))
    writer.join()
    frames = np.concatenate(heard)
    assert np.array_equal(frames[:, 0], -frames[:, 1])
    assert (np.diff(frames[:, 0]) >= 1).all()
    assert len(frames) + ring.overwritten == total
    if patient:
        assert ring.overwritten == 0
