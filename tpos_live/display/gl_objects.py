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
    """A two-dimensional texture that grows with what is uploaded."""

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
    """Where to draw: into a texture."""

    def __init__(self) -> None:
        self.handle = gl.GLuint()
        gl.glGenFramebuffers(1, ctypes.byref(self.handle))

    def attach(self, texture: Texture) -> None:
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self.handle)
        gl.glFramebufferTexture2D(gl.GL_FRAMEBUFFER, gl.GL_COLOR_ATTACHMENT0, gl.GL_TEXTURE_2D, texture.handle, 0)
        if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
            raise DisplayError(
                f"the graphics driver cannot draw an image of {texture.width}x{texture.height}; "
                "update the driver, make the window smaller, or run with --headless"
            )

    def begin(self, x: int, y: int, width: int, height: int) -> None:
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self.handle)
        gl.glViewport(x, y, width, height)


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


def make_program(fragment: str, what: str) -> ShaderProgram:
    """A program that draws one triangle over everything. what: its name in the error.

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
    """Of an element of an array, which pyglet does not set by name."""
    return int(gl.glGetUniformLocation(program.id, ctypes.create_string_buffer(name.encode())))
