"""After a death the last frame of the previous show fades into the new ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from images import field, flat, frame, snapshot

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.status import Status
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FADE, LONGEST_STEP, DisplayFrame, FrameInterpolator
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.window import DisplayWindow
from tpos_live.runtime.frame_memory import FrameMemory
from tpos_live.runtime.last_frame import ShownFrame, write_frame
from tpos_live.runtime.run_session import continue_show
from tpos_live.runtime.watchdog import Run

RATE = 30
KEPT = frame(field(1), -1, detail=0.0)


class Screen:
    """A display of 30 Hz, on the test's clock; it begins with the last frame of the previous show."""

    def __init__(self, kept: Frame = KEPT) -> None:
        self.interpolator = FrameInterpolator()
        self.compositor = CpuCompositor((96, 96))
        self.now = 5000.0
        self.interpolator.take(kept)
        self.images: list[np.ndarray] = []
        self.frames: list[DisplayFrame] = []

    def show(self, seconds: float, engine: list[tuple[float, Frame]] | None = None, pan: float = 0.0, **values: object):  # type: ignore[no-untyped-def]
        """Let time pass. engine: when each frame comes, in seconds from now, in order."""
        began, waiting = self.now, list(engine or [])
        for _ in range(round(seconds * RATE)):
            while waiting and waiting[0][0] <= self.now - began + 1e-6:
                self.interpolator.take(waiting.pop(0)[1])
            params = FrameParams(grain=0.0, pan_x=pan * (self.now - began))
            self.frames.append(self.interpolator.display_frame(self.now, params, snapshot(**values)))
            shown = self.frames[-1]
            self.images.append(self.compositor.compose(shown.postfx, shown.newest, shown.previous).astype(int))
            self.now += 1 / RATE
        return self

    def largest_step(self) -> float:
        """Largest mean change of a pixel from one shown image to the next, in levels."""
        return max(float(np.abs(b - a).mean()) for a, b in zip(self.images, self.images[1:], strict=False))


def engine_frames(
    start: float, interval: float, seconds: float, seed: int = 2, **size: Any
) -> list[tuple[float, Frame]]:
    """A field that moves slowly, unlike the kept one."""
    count = round(seconds / interval)
    return [
        (k * interval, frame(field(seed, shift=(0.004 * k, 0.0), **size), k, start + k * interval))
        for k in range(count)
    ]


@pytest.mark.parametrize(("interval", "inbetween"), [(0.05, True), (0.125, True), (0.125, False), (1.5, True)])
def test_the_new_frames_are_faded_in_within_a_second(interval: float, inbetween: bool) -> None:
    screen = Screen().show(0.5)
    before = screen.images[-1]
    screen.show(1.6, engine_frames(screen.now, interval, 2.0), out_inbetween=inbetween)
    other = float(np.abs(screen.images[-1] - before).mean())
    assert other > 30, "the frames are strangers, which are cut where nothing else is known"
    assert np.abs(screen.images[15] - before).mean() < 1.0, "the first one is still the kept one"
    assert screen.largest_step() < 0.15 * other
    half = screen.images[15 + RATE // 2]
    assert min(np.abs(half - before).mean(), np.abs(half - screen.images[-1]).mean()) > 0.25 * other
    means = [float(image.mean()) for image in screen.images]
    assert min(means) > 0.9 * min(means[0], means[-1]), "nothing dark between"
    if interval > FADE:
        assert screen.frames[15 + RATE + 2].postfx.mix == 1.0
    else:
        assert screen.frames[-1].previous is not None and not screen.frames[-1].previous.of_before


def test_a_drift_goes_on_through_the_fade() -> None:
    """The kept frame is not put back to where it was."""
    screen = Screen().show(1.0, pan=0.1)
    moved = screen.frames[-1].postfx.pan_new
    new = frame(field(2), 0, screen.now, pan_x=0.1)
    screen.interpolator.take(new)
    shown = screen.interpolator.display_frame(screen.now, FrameParams(pan_x=0.1), snapshot())
    assert shown.postfx.pan_old == pytest.approx(moved, abs=0.1 / RATE + 0.001) and shown.postfx.pan_new == (0.0, 0.0)
    assert shown.newest is new and shown.previous is KEPT and shown.postfx.mix == 0.0


@pytest.mark.parametrize("size", [(64, 64), (128, 128)])
def test_an_engine_of_another_size_is_faded_in_too(size: tuple[int, int]) -> None:
    """As Ember after the third death."""
    screen = Screen().show(0.2)
    screen.show(1.2, engine_frames(screen.now, 0.1, 1.2, size=size))
    shapes = {shown.previous.pixels.shape for shown in screen.frames[8:30] if shown.previous is not None}
    assert shapes == {(size[1], size[0], 3)} and screen.largest_step() < 9


def test_an_engine_of_another_shape_shows_the_middle_of_the_kept_frame() -> None:
    screen = Screen().show(0.1)
    screen.show(0.1, [(0.0, frame(field(2, (64, 36)), 0, screen.now))])
    kept = screen.frames[-1].previous
    assert kept is not None and kept.pixels.shape == (36, 64, 3)
    middle = KEPT.pixels[21:75].reshape(18, 3, 32, 3, 3).mean(axis=(1, 3))
    assert np.abs(kept.pixels.reshape(18, 2, 32, 2, 3).mean(axis=(1, 3)) - middle).mean() < 4


def test_a_blackout_stays_black_and_a_freeze_holds() -> None:
    screen = Screen().show(0.2, out_blackout=True)
    screen.show(0.5, engine_frames(screen.now, 0.1, 0.5), out_blackout=True)
    assert max(image.max() for image in screen.images) == 0

    screen = Screen().show(0.2, out_freeze=True)
    screen.show(0.5, engine_frames(screen.now, 0.1, 0.5), out_freeze=True)
    assert all(shown.newest is KEPT for shown in screen.frames), "a freeze holds the kept frame"
    screen.show(0.5)
    held = screen.images[-1]
    screen.show(0.5, out_freeze=True)
    assert np.array_equal(screen.images[-1], held)
    screen.show(0.7)
    assert screen.largest_step() < 9 and screen.frames[-1].postfx.mix == 1.0, "it fades before and after the freeze"


def test_a_window_that_is_late_does_not_lose_the_fade() -> None:
    screen = Screen().show(0.1)
    screen.show(1 / RATE, engine_frames(screen.now, 0.1, 0.1))
    screen.now += 3.0
    screen.show(1 / RATE)
    assert 0.0 < screen.frames[-1].postfx.mix < 2 * LONGEST_STEP / FADE


def test_a_first_show_has_no_fade() -> None:
    interpolator = FrameInterpolator()
    interpolator.take(frame(flat(50), 0, 1.0))
    assert interpolator.display_frame(1.0, FrameParams(), snapshot()).postfx.mix == 1.0


def test_the_kept_frame_is_there_before_the_engines_first_one() -> None:
    """An engine that is loaded before the window is open."""
    frames, memory = Mailbox[Frame](), FrameMemory.create()
    display = DisplayWindow(
        frames,
        FrameParams,
        snapshot,
        Status,
    )
    write_frame(memory, ShownFrame(KEPT, PostFxParams(), (10, 20, 64, 64)))
    session = SimpleNamespace(display=display, frames=frames)
    continue_show(cast(Any, session), Run(deaths=1, safe=False, memory=memory), None)
    frames.put(frame(field(2), 0, 1.0))
    display.interpolator.take(frames.take())
    previous = display.interpolator.previous
    assert previous is not None and previous.of_before and display.continues == (10, 20, 64, 64)
    assert np.array_equal(previous.pixels, KEPT.pixels)
