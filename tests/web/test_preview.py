"""The preview and the looks' images, from real composed frames."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pages import open_page
from PIL import Image

from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.looks import Look, Show
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.status import Status
from tpos_live.display.headless import HeadlessDisplay
from tpos_live.web.control_page import ControlPage
from tpos_live.web.preview import NICE, THUMBNAIL, Preview, preview_size
from tpos_live.web.thumbnails import Thumbnails


@pytest.fixture
def display(stage) -> HeadlessDisplay:
    """A display that shows red."""
    frames: Mailbox[Frame] = Mailbox()
    frames.put(Frame(np.full((48, 80, 3), (200, 30, 30), np.uint8), 0, 0.0, 0.0, 0.0))
    display = HeadlessDisplay(frames, FrameParams, stage.store.snapshot, size=(160, 90))
    display.step(0.0)
    return display


@pytest.fixture
def previewed(stage, display) -> Iterator[ControlPage]:
    preview = Preview(lambda: display.shown, lambda: display.size)
    with ControlPage(stage.store, lambda: stage.status, lambda: stage.show, port=-1, preview=preview) as page:
        assert page.opened.wait(20)
        yield page


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def test_a_page_sees_what_the_display_shows(stage, display, previewed) -> None:
    with open_page(previewed) as one:
        one.send(preview=True)
        one.wait(lambda: bool(one.images))
        image = pixels(one.images[-1])
        assert image.shape[:2] == preview_size((160, 90))[::-1]
        mine = np.asarray(Image.fromarray(display.read_back()).resize(image.shape[1::-1]))
        assert np.abs(image.astype(int) - mine).mean() < 12
        stage.store.set("out.blackout", True)
        display.step(0.1)
        one.send(shown=1)
        one.wait(lambda: pixels(one.images[-1]).max() < 10 or bool(one.send(shown=1)))


def test_images_come_only_while_somebody_looks_and_shows_them(previewed) -> None:
    with open_page(previewed) as one, open_page(previewed) as other:
        one.send(preview=True)
        one.wait(lambda: len(one.images) == 2)  # so many are in flight
        with pytest.raises(TimeoutError):
            while len(one.images) < 3:
                one.take(0.5)
        one.send(shown=2)
        one.wait(lambda: len(one.images) == 4)
        assert not other.images
        one.send(preview=False)
        deadline = time.monotonic() + 10
        while previewed._preview._previewing:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have their own priorities on Linux")
def test_the_preview_leaves_the_cores_to_the_engine(display) -> None:
    seen, before = Mailbox[int](), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    preview = Preview(lambda: display.shown, lambda: display.size)
    preview.deliver = lambda _jpeg: seen.put(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    with preview:
        preview.switch(True)
        assert seen.wait(20.0)
    assert (seen.take() or 0) >= NICE and os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_a_closed_page_ends_the_preview(previewed) -> None:
    with open_page(previewed) as one:
        one.send(preview=True)
        one.wait(lambda: bool(one.images))
    deadline = time.monotonic() + 10
    while previewed._preview._previewing:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stored_look_gets_an_image_without_blackout(stage, display, previewed) -> None:
    stage.store.set("out.blackout", True)
    display.step(0.1)
    with open_page(previewed) as one:
        stage.show = stage.show.with_look(Look("new & red", {"prompt": "red"}))
        previewed.thumbnails.follow(stage.show)
        one.wait(lambda: ["new & red", 1] in one.looks)
    image = pixels(previewed.thumbnails.image("new & red") or b"")
    assert image.shape[:2] == THUMBNAIL[::-1] and image[..., 0].mean() > image[..., 1].mean() + 50
    previewed.thumbnails.follow(Show())
    assert previewed.thumbnails.image("new & red") is None and not previewed.thumbnails.numbers


def test_a_look_without_an_image_gets_one_once_it_is_settled() -> None:
    drawn: list[float] = []
    thumbnails = Thumbnails(lambda done: (drawn.append(now), done(b"jpeg"))[0], Show((Look("a", {}), Look("b", {}))))
    for step in range(200):
        now = step / 10
        thumbnails.watch("a" if now < 8 else "b", 4.0, now)
    assert drawn == pytest.approx([6.0, 14.0]) and thumbnails.numbers == {"a": 1, "b": 1}


@pytest.mark.parametrize("output", [(1920, 1080), (1080, 1920), (3840, 640), (1, 5000), (0, 0), (640, 480)])
def test_size_of_the_preview(output) -> None:
    width, height = preview_size(output)
    assert width % 2 == height % 2 == 0 and 0 < width * height <= 1.2 * preview_size((16, 9))[0] ** 2


def test_a_display_that_fails_does_not_end_the_page(stage, messages) -> None:
    def broken() -> None:
        raise RuntimeError("no picture")

    preview = Preview(broken, lambda: (160, 90))
    with ControlPage(stage.store, Status, Show, port=-1, preview=preview) as page:
        assert page.opened.wait(20)
        with open_page(page) as one:
            one.send(preview=True)
            one.wait(lambda: any("preview goes on after an error" in text for _level, text in one.log))
            one.send(set={"out.level": 0.5})
            one.wait(lambda: one.values["out.level"] == 0.5)
    assert sum("preview goes on after an error" in line for line in messages) == 1


def test_the_start_frame_is_no_image_of_a_look(stage, display) -> None:
    waiting = replace(display.shown, started=False)
    preview = Preview(lambda: waiting, lambda: (160, 90))
    preview.draw(lambda jpeg: pytest.fail("drawn"))
    assert preview._jobs == []
