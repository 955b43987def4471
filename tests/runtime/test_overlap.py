"""The frames of a video: in order, the same bytes whichever stage is slow, few in memory, and every end is clean."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.errors import DisplayError
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.display.video import VideoWriter
from tpos_live.runtime import overlap
from tpos_live.runtime.overlap import DEPTH, OverlappedVideoWriter

SIZE = (64, 36)
SOUND = np.zeros((1600, 2), np.float32)


class Writer:
    """Keeps what a VideoWriter would write."""

    def __init__(self, wait: float = 0.0, fails_at: int = -1) -> None:
        self.frames: list[np.ndarray] = []
        self.samples, self.wait, self.fails_at = 0, wait, fails_at
        self.gate: threading.Event | None = None

    def write_frame(self, pixels: np.ndarray) -> None:
        if self.gate is not None:
            self.gate.wait(30)
        if len(self.frames) == self.fails_at:
            raise DisplayError("cannot write a.mp4: No space left on device; choose another folder or make room")
        time.sleep(self.wait)
        self.frames.append(pixels)

    def write_sound(self, stereo: np.ndarray) -> None:
        self.samples += len(stereo)


def drawn(k: int, pool: list[np.ndarray]) -> tuple[FrameParams, Frame]:
    """Frame `k`, in one of a few arrays that are reused, as the generator's are."""
    pixels = pool[k % len(pool)]
    pixels[:] = np.random.default_rng(k).integers(0, 255, pixels.shape)
    return FrameParams(time=k / 30), Frame(pixels, k, k / 30, 0.0, k / 30)


def snapshot() -> object:
    return ParameterStore({"out.inbetween": False}).snapshot()


def make(writer: Writer, count: int = 24, draw: float = 0.0, **options: object) -> list[int]:
    """Put `count` frames; for each written frame, the index of the frame that was put at that time."""
    told: list[int] = []
    pool = [np.zeros((32, 32, 3), np.uint8) for _ in range(4)]
    with OverlappedVideoWriter(writer, SIZE, snapshot(), lambda: told.append(k), **options) as line:  # type: ignore[arg-type]
        for k in range(count):
            time.sleep(draw)
            line.put(*drawn(k, pool), SOUND)
            assert k - len(told) <= DEPTH, "no more than a few frames are kept"
    return told


def one_after_the_other(count: int = 24) -> list[np.ndarray]:
    compositor, interpolator, out = CpuCompositor(SIZE), FrameInterpolator(SIZE), []
    pool = [np.zeros((32, 32, 3), np.uint8) for _ in range(4)]
    for k in range(count):
        params, frame = drawn(k, pool)
        interpolator.take(frame)
        out.append(compositor.compose(interpolator.display_frame(params.time, params, snapshot()).postfx, frame))  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize("slow", ["", "draw", "compose", "encode"])
@pytest.mark.parametrize("composers", [1, 3])
def test_order_and_bytes_do_not_depend_on_what_is_slow(
    slow: str, composers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if slow == "compose":
        compose = CpuCompositor.compose

        def slowly(self: CpuCompositor, postfx: object, frame: Frame, previous: object = None) -> np.ndarray:
            time.sleep(0.02 if frame.index % 3 == 0 else 0.0)  # the next ones are composed before it
            return compose(self, postfx, frame)  # type: ignore[arg-type]

        monkeypatch.setattr(CpuCompositor, "compose", slowly)
    writer = Writer(wait=0.01 if slow == "encode" else 0.0)
    told = make(writer, draw=0.01 if slow == "draw" else 0.0, composers=composers)
    monkeypatch.undo()
    expected = one_after_the_other()
    assert len(writer.frames) == len(told) == 24 and writer.samples == 24 * len(SOUND)
    assert all(np.array_equal(a, b) for a, b in zip(writer.frames, expected, strict=True))


def test_the_drawing_waits_for_a_writer_that_stands() -> None:
    writer, put = Writer(), []
    writer.gate = threading.Event()
    pool = [np.zeros((32, 32, 3), np.uint8)]

    def draw() -> None:
        with OverlappedVideoWriter(writer, SIZE, snapshot()) as line:  # type: ignore[arg-type]
            for k in range(4 * DEPTH):
                line.put(*drawn(k, pool), SOUND)
                put.append(k)

    thread = threading.Thread(target=draw)
    thread.start()
    end = time.monotonic() + 20
    while len(put) < DEPTH and time.monotonic() < end:
        time.sleep(0.01)
    thread.join(0.2)
    assert thread.is_alive() and len(put) == DEPTH
    writer.gate.set()
    thread.join(20)
    assert len(writer.frames) == 4 * DEPTH


def test_an_encoder_that_fails_ends_it_with_its_line_and_no_later_frame() -> None:
    for count in (24, 9):  # seen while drawing, and at the end
        writer = Writer(fails_at=8)
        with pytest.raises(DisplayError, match="No space left"):
            make(writer, count)
        assert len(writer.frames) == 8 and writer.samples == 8 * len(SOUND)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("composer", "encoder_"))]


def test_a_composition_that_fails_ends_it_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    compose = CpuCompositor.compose

    def fails(self: CpuCompositor, postfx: object, frame: Frame, previous: object = None) -> np.ndarray:
        if frame.index == 5:
            raise MemoryError("no memory for frame 5")
        return compose(self, postfx, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(CpuCompositor, "compose", fails)
    writer = Writer()
    with pytest.raises(MemoryError, match="frame 5"):
        make(writer, composers=3)
    assert len(writer.frames) == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the engine is gone")])
def test_what_was_drawn_before_an_error_or_ctrl_c_is_written(error: BaseException) -> None:
    writer, pool = Writer(wait=0.01), [np.zeros((32, 32, 3), np.uint8)]
    with pytest.raises(type(error)), OverlappedVideoWriter(writer, SIZE, snapshot()) as line:  # type: ignore[arg-type]
        for k in range(10):
            line.put(*drawn(k, pool), SOUND)
        raise error
    assert len(writer.frames) == 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("composer", "encoder_"))]


def test_the_drawing_keeps_its_torch_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen: list[int] = []
        with OverlappedVideoWriter(Writer(), SIZE, snapshot(), composers=2) as line:  # type: ignore[arg-type]
            seen += line._composing.map(lambda _n: torch.get_num_threads(), range(4))
            assert torch.get_num_threads() == 2
        fresh: list[int] = []
        thread = threading.Thread(target=lambda: fresh.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert seen == [1] * 4 and fresh == [2]
    finally:
        torch.set_num_threads(before)


def test_the_file_is_the_same_every_time(tmp_path: Path) -> None:
    files = []
    for name, composers in (("a.mp4", 1), ("b.mp4", 3)):
        with VideoWriter(tmp_path / name, SIZE, 30, threads=2) as writer:
            pool = [np.zeros((32, 32, 3), np.uint8) for _ in range(4)]
            with OverlappedVideoWriter(writer, SIZE, snapshot(), composers=composers) as line:  # type: ignore[arg-type]
                for k in range(40):
                    line.put(*drawn(k, pool), SOUND)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(container.streams.video[0])) == 40


def test_one_composer_per_core_at_most_four(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, composers in ((1, 1), (2, 2), (4, 4), (64, overlap.MOST_COMPOSERS)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid, n=cores: set(range(n)), raising=False)
        assert OverlappedVideoWriter(Writer(), SIZE, snapshot())._count == composers  # type: ignore[arg-type]
