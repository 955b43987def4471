"""Draws the composed frame on a window as its view says, with logo or test card."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from pyglet import gl

from tpos_live.core.output_view import OutputView
from tpos_live.display.gl_objects import FrameBuffer, Texture, Triangle, blit, make_program
from tpos_live.display.glsl import PRESENT
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.patch import Patch
from tpos_live.display.window_view import PLAIN, place, turn

NOTHING = Patch(np.zeros((1, 1, 4), np.uint8))


class WindowPresenter:
    """Draws on one window. Needs its context; the window's thread only."""

    def __init__(self) -> None:
        """Raises DisplayError if the shader does not compile."""
        self._program = make_program(PRESENT, "the window's shader")
        self._triangle = Triangle()
        self._over = Texture(gl.GL_RGBA8, gl.GL_LINEAR, gl.GL_CLAMP_TO_EDGE)
        self._uploaded: Patch | None = None
        self._frame = FrameBuffer()

    def draw(
        self, frame: Texture, view: OutputView, overlay: OutputTransform | None, window: tuple[int, int], black: bool
    ) -> None:
        """frame: composed, row 0 on top. window: (width, height) in pixels. black: whether in blackout, without black
        level."""
        size = frame.width, frame.height
        part = view.box(size)
        left, top, right, bottom = part
        card = overlay.card((right - left, bottom - top)) if overlay is not None else None
        over = card or (overlay.logo(size) if overlay is not None else None)
        area = None
        if view == replace(PLAIN, crop=view.crop, mirror=view.mirror):  # it only crops and mirrors
            self._frame.attach(frame)
            blit(self._frame, part, window, view.mirror)
            if over is None:
                return
            # With software rendering the shader is slow: draw only the area of logo or card, if that is a rectangle.
            area = _area((over.left, over.top, *over.pixels.shape[1::-1]), size, window) if view == PLAIN else None
        over = over or NOTHING
        self._upload(over)
        x, y = (left, top) if card is not None else (over.left, over.top)
        program = self._program
        program.use()
        program["window"] = (float(window[0]), float(window[1]))
        program["place"] = tuple(place(view, window, size).T.ravel().tolist())
        program["turn"] = tuple(turn(view).T.ravel().tolist())
        program["part"] = _shares((left, top, right - left, bottom - top), size)
        program["over_box"] = _shares((x, y, over.pixels.shape[1], over.pixels.shape[0]), size)
        program["edges"] = view.edges
        program["gamma"] = 1 / view.gamma
        program["black"] = 0.0 if black else view.black
        frame.bind(0)
        self._over.bind(1)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, 0)
        gl.glViewport(0, 0, *window)
        self._triangle.draw(area)
        program.stop()

    def _upload(self, over: Patch) -> None:
        if over is not self._uploaded:
            self._uploaded = over
            pixels = over.pixels.copy()  # premultiplied: transparent places have no colour that is interpolated
            opacity = pixels[..., 3:].astype(np.uint16)
            pixels[..., :3] = (pixels[..., :3] * opacity + 127) // 255
            self._over.upload(pixels)


def _area(box: tuple[int, int, int, int], size: tuple[int, int], window: tuple[int, int]) -> tuple[int, int, int, int]:
    """left, bottom, width, height on the window of a box (left, top, width, height) of the frame, with a margin."""
    scale = min(window[0] / size[0], window[1] / size[1])
    x, y = (window[0] - scale * size[0]) / 2 + scale * box[0], (window[1] - scale * size[1]) / 2 + scale * box[1]
    width, height = math.ceil(scale * box[2]) + 2, math.ceil(scale * box[3]) + 2
    return math.floor(x) - 1, math.floor(window[1] - y - scale * box[3]) - 1, width, height


def _shares(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """left, top, width, height in pixels as shares of (width, height)."""
    return box[0] / size[0], box[1] / size[1], box[2] / size[0], box[3] / size[1]
