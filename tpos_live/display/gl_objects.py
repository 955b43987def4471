"""OpenGL objects of the GPU compositor: textures, frame buffers, asynchronous reads, shader programs.

Every call needs the window's current context, so it runs on the window's thread.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from pyglet import gl
from pyglet.graphics.shader import Shader, ShaderException, ShaderProgram

from tpos_live.core.errors import first_line
from tpos_live.display.errors import DisplayError
from tpos_live.display.glsl import TRIANGLE


class Texture:
    """A 2D texture, which is allocated again when an upload has another size."""

    def __init__(self, form: int, smooth: int, edge: int = gl.GL_MIRRORED_REPEAT) -> None:
        self.handle = gl.GLuint()
        self.width = self.height = 0
        self._form = form
        gl.glGenTextures(1, ctypes.byref(self.handle))
        self.bind(0)
        for key, value in (
            (gl.GL_TEXTURE_MIN_FILTER, smooth),
            (gl.GL_TEXTURE_MAG_FILTER, smooth),
            (gl.GL_TEXTURE_WRAP_S, edge),
            (gl.GL_TEXTURE_WRAP_T, edge),
        ):
            gl.glTexParameteri(gl.GL_TEXTURE_2D, key, value)

    def bind(self, unit: int) -> None:
        gl.glActiveTexture(gl.GL_TEXTURE0 + unit)
        gl.glBindTexture(gl.GL_TEXTURE_2D, self.handle)

    def reserve(self, width: int, height: int) -> None:
        if (width, height) != (self.width, self.height):
            self.width, self.height = width, height
            self.bind(0)
            gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, self._form, width, height, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, None)

    def upload(self, pixels: np.ndarray) -> None:
        """uint8 or float32 [height, width, 3 or 4]."""
        pixels = np.ascontiguousarray(pixels)
        height, width, channels = pixels.shape
        self.reserve(width, height)
        self.bind(0)
        gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
        order = gl.GL_RGB if channels == 3 else gl.GL_RGBA
        kind = gl.GL_UNSIGNED_BYTE if pixels.dtype == np.uint8 else gl.GL_FLOAT
        gl.glTexSubImage2D(gl.GL_TEXTURE_2D, 0, 0, 0, width, height, order, kind, pixels.ctypes.data)


class FrameBuffer:
    """A frame buffer object that draws into a texture."""

    def __init__(self) -> None:
        self.handle = gl.GLuint()
        gl.glGenFramebuffers(1, ctypes.byref(self.handle))

    def attach(self, texture: Texture) -> None:
        """Draw into `texture`. Raises DisplayError if the driver cannot."""
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self.handle)
        gl.glFramebufferTexture2D(gl.GL_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0, gl.GL_TEXTURE_2D, texture.handle, 0)
        if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
            raise DisplayError(
                f"the graphics driver cannot draw an image of {texture.width}x{texture.height}; "
                "update the driver, make the window smaller, or run with --headless"
            )

    def begin(self, width: int, height: int) -> None:
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self.handle)
        gl.glViewport(0, 0, width, height)


class Triangle:
    """One triangle over the whole viewport: what a program of `make_program` draws."""

    def __init__(self) -> None:
        self._array = gl.GLuint()
        gl.glGenVertexArrays(1, ctypes.byref(self._array))

    def draw(self, area: tuple[int, int, int, int] | None = None) -> None:
        """area: left, bottom, width, height of the part that is drawn; None for all of it."""
        gl.glDisable(gl.GL_BLEND)
        gl.glDisable(gl.GL_SCISSOR_TEST)
        if area is not None:
            gl.glEnable(gl.GL_SCISSOR_TEST)
            gl.glScissor(*area)
        gl.glBindVertexArray(self._array)
        gl.glDrawArrays(gl.GL_TRIANGLES, 0, 3)
        gl.glBindVertexArray(0)
        gl.glDisable(gl.GL_SCISSOR_TEST)


Box = tuple[int, int, int, int]
"""left, top, right, bottom of a part of a frame, pixels."""


def fitted(size: tuple[int, int], window: tuple[int, int]) -> Box:
    """left, top, right, bottom of an image of (width, height) in a window: as large as fits, in the middle."""
    scale = min(window[0] / size[0], window[1] / size[1])
    width, height = round(size[0] * scale), round(size[1] * scale)
    left, top = (window[0] - width) // 2, (window[1] - height + 1) // 2
    return left, top, left + width, top + height


def blit(source: FrameBuffer, part: Box, window: tuple[int, int], mirror: str = "off") -> None:
    """Show a part of a frame, row 0 on top, on the window of (width, height) pixels, aspect kept. mirror: see
    `core/output_view.py`."""
    size = part[2] - part[0], part[3] - part[1]
    left, top, right, bottom = fitted(size, window)
    gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, 0)
    gl.glDisable(gl.GL_SCISSOR_TEST)
    if (right - left, bottom - top) != window:
        gl.glViewport(0, 0, *window)
        gl.glClearColor(0, 0, 0, 1)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT)
    gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, source.handle)
    smooth = gl.GL_NEAREST if (right - left, bottom - top) == size else gl.GL_LINEAR
    across = (right, left) if mirror in ("horizontal", "both") else (left, right)
    down = (bottom, top) if mirror in ("vertical", "both") else (top, bottom)
    place = across[0], window[1] - down[0], across[1], window[1] - down[1]
    gl.glBlitFramebuffer(*part, *place, gl.GL_COLOR_BUFFER_BIT, smooth)
    gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, 0)
    gl.glViewport(0, 0, *window)


class Reader:
    """One asynchronous read: the GPU copies into a buffer, which is mapped later."""

    def __init__(self) -> None:
        self.stamp = 0.0
        self.fence: Any = None
        self._size = (0, 0)
        self._buffer = gl.GLuint()
        gl.glGenBuffers(1, ctypes.byref(self._buffer))

    def start(self, size: tuple[int, int], stamp: float) -> None:
        self.stamp = stamp
        gl.glBindBuffer(gl.GL_PIXEL_PACK_BUFFER, self._buffer)
        if size != self._size:
            self._size = size
            gl.glBufferData(gl.GL_PIXEL_PACK_BUFFER, size[0] * size[1] * 3, None, gl.GL_STREAM_READ)

    def done(self) -> bool:
        """True when the GPU has copied; never waits."""
        return bool(gl.glClientWaitSync(self.fence, 0, 0) in (gl.GL_ALREADY_SIGNALED, gl.GL_CONDITION_SATISFIED))

    def take(self) -> np.ndarray:
        gl.glDeleteSync(self.fence)
        width, height = self._size
        pixels = np.empty((height, width, 3), np.uint8)
        gl.glBindBuffer(gl.GL_PIXEL_PACK_BUFFER, self._buffer)
        address = gl.glMapBufferRange(gl.GL_PIXEL_PACK_BUFFER, 0, pixels.nbytes, gl.GL_MAP_READ_BIT)
        if address:
            ctypes.memmove(pixels.ctypes.data, address, pixels.nbytes)
            gl.glUnmapBuffer(gl.GL_PIXEL_PACK_BUFFER)
        gl.glBindBuffer(gl.GL_PIXEL_PACK_BUFFER, 0)
        return pixels


_UNITS = {"image": 0, "newest": 0, "noise": 1, "bloom_new": 2, "oldest": 3, "bloom_old": 4, "turbulence": 5, "over": 1}
"""Texture unit of each sampler, by its name in the shaders."""


def make_program(fragment: str, what: str) -> ShaderProgram:
    """A shader program that draws one triangle over the whole viewport. what: its name in the error.

    Raises DisplayError if it does not compile.
    """
    try:
        program = ShaderProgram(Shader(TRIANGLE, "vertex"), Shader(fragment, "fragment"))
    except ShaderException as error:
        raise DisplayError(
            f"{what} does not run on this graphics driver ({first_line(error, 200)}); "
            "update the driver, or run with --headless"
        ) from error
    program.use()
    for name, unit in _UNITS.items():
        if name in program.uniforms:
            program[name] = unit
    program.stop()
    return program


def uniform_location(program: ShaderProgram, name: str) -> int:
    """Location of an element of an array, which pyglet does not set by name."""
    return int(gl.glGetUniformLocation(program.id, ctypes.create_string_buffer(name.encode())))
