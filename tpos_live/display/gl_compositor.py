"""The GPU compositor: the formula of `cpu_compositor.py` in GLSL 3.30, on the objects of `gl_objects.py`.

Every call needs the window's current context, so it runs on the window's thread. Row 0 of every texture and frame
buffer is the top of the image; it is flipped when shown.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from pyglet import gl
from pyglet.graphics.shader import ShaderProgram

from tpos_live.core.frame import Frame
from tpos_live.display.gl_objects import FrameBuffer, Reader, Texture, Triangle, blit, make_program, uniform_location
from tpos_live.display.glsl import ENLARGE, compose_source
from tpos_live.display.postfx import PostFxParams
from tpos_live.display.tone_mapping import (
    Detail,
    ImagePlacement,
    ToneMapping,
    cubic_weights,
    detail_of,
    detail_tile,
    noise_offset,
    noise_tile,
    place_image,
    upscale_factor,
)

_SHADER = "the finishing shader"
MOST_READS = 3
"""Largest number of pending asynchronous reads; one more waits for the oldest."""


class GlCompositor:
    """Composes into its own frame buffer, from where the frame is shown, read or recorded."""

    def __init__(self) -> None:
        """Needs a current OpenGL 3.3 context. Raises DisplayError if the shaders do not compile."""
        self._enlarge, self._factor = make_program(ENLARGE, _SHADER), 0
        self._programs = {
            switches: make_program(compose_source(*switches), _SHADER)
            for switches in itertools.product((False, True), repeat=3)
        }
        self._triangle = Triangle()
        self._noise = Texture(gl.GL_RGBA8, gl.GL_NEAREST)
        self._noise.upload(noise_tile())
        self._turbulence = Texture(gl.GL_RGBA32F, gl.GL_LINEAR, gl.GL_REPEAT)
        self._turbulence.upload(detail_tile())
        self.composed = Texture(gl.GL_RGBA8, gl.GL_LINEAR)
        """The composed frame."""
        self._target_buffer = FrameBuffer()
        self._work_buffer = FrameBuffer()
        self._source = Texture(gl.GL_RGB8, gl.GL_NEAREST)
        self._wide = Texture(gl.GL_RGBA16, gl.GL_NEAREST)
        self._upscaled = [_UpscaledFrame(), _UpscaledFrame()]
        self._readers: deque[Reader] = deque()
        self._idle: list[Reader] = []
        self._fence: Any = None
        self.size = (0, 0)
        """(width, height) of the last composed frame."""

    def compose(
        self, postfx: PostFxParams, newest: Frame | None, previous: Frame | None, size: tuple[int, int]
    ) -> None:
        """Compose a frame of `size` (width, height); arguments as of CpuCompositor.compose."""
        if size != self.size:
            self.composed.reserve(*size)
            self._target_buffer.attach(self.composed)
            self.size = size
        level = postfx.shown_level
        if newest is None or level <= 0:
            self._target_buffer.begin(*size)
            gl.glClearColor(0, 0, 0, 1)
            gl.glClear(gl.GL_COLOR_BUFFER_BIT)
            return
        blended = previous is not None and postfx.mix < 1
        new = self._upscale(newest, keep=previous if blended else None)
        old = self._upscale(previous, keep=newest) if previous is not None and blended else None

        tone = ToneMapping.of(postfx)
        placement = place_image(postfx, new.size, size)
        self._target_buffer.begin(*size)
        if (placement.width, placement.height) != size:
            gl.glClearColor(0, 0, 0, 1)
            gl.glClear(gl.GL_COLOR_BUFFER_BIT)
        gl.glViewport(placement.left, placement.top, placement.width, placement.height)
        if tone.bloom > 0:
            # Before textures are bound: uploading uses a texture unit.
            for upscaled in (new, old):
                if upscaled is not None:
                    upscaled.make_bloom()
        detail = detail_of(postfx, new.size, size)
        program = self._programs[blended, tone.bloom > 0, detail is not None]
        program.use()
        self._set_uniforms(program, postfx, placement, tone, detail)
        self._bind(new, old, bloom=tone.bloom > 0, detail=detail is not None)
        self._triangle.draw()
        program.stop()

    def _set_uniforms(
        self,
        program: ShaderProgram,
        postfx: PostFxParams,
        placement: ImagePlacement,
        tone: ToneMapping,
        detail: Detail | None,
    ) -> None:
        program["origin"] = (placement.left, placement.top)
        program["matrix"] = placement.matrix
        program["shift"] = placement.shift
        program["pan_new"] = postfx.pan_new
        program["noise_at"] = noise_offset(postfx.seed)
        program["light_colour"] = tuple(tone.colour[3 * i + j] for j in range(3) for i in range(3))
        program["saturation"] = tone.saturation
        program["shoulder"] = tone.shoulder
        program["level"] = postfx.shown_level
        program["grain"] = postfx.grain
        if tone.bloom > 0:
            program["bloom"] = tone.bloom
        if detail is not None:
            program["detail_scale"] = detail.scale
            program["detail_start"] = detail.start
            program["detail_reach"] = detail.reach
            program["detail_turn"] = (detail.cos, detail.sin)
        if "blend" in program.uniforms:
            program["pan_old"] = postfx.pan_old
            program["blend"] = postfx.mix
            program["mean"] = postfx.mean
            program["contrast"] = postfx.contrast

    def _bind(self, new: _UpscaledFrame, old: _UpscaledFrame | None, bloom: bool, detail: bool) -> None:
        """Bind the textures to the units of `gl_objects.make_program`."""
        new.large.bind(0)
        self._noise.bind(1)
        if bloom:
            new.bloom_map.bind(2)
        if detail:
            self._turbulence.bind(5)
        if old is not None:
            old.large.bind(3)
            if bloom:
                old.bloom_map.bind(4)

    def show(self, window: tuple[int, int]) -> None:
        """Draw the composed frame on the window of (width, height) pixels, aspect kept."""
        blit(self._target_buffer, (0, 0, *self.size), window)

    def read(self) -> np.ndarray:
        """The composed frame: uint8 [height, width, 3], row 0 on top. Waits for the GPU."""
        width, height = self.size
        pixels = np.empty((height, width, 3), np.uint8)
        self._read_into(pixels.ctypes.data)
        return pixels

    def read_window(self, window: tuple[int, int]) -> np.ndarray:
        """The window's content of (width, height), HUD included, before the flip."""
        width, height = window
        pixels = np.empty((height, width, 3), np.uint8)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, 0)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        gl.glReadPixels(0, 0, width, height, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, pixels.ctypes.data)
        return pixels[::-1]

    def begin_read(self, stamp: float) -> None:
        """Start to read the composed frame, without waiting; `finish_reads` returns it later, with `stamp`."""
        reader = self._idle.pop() if self._idle else Reader()
        reader.start(self.size, stamp)
        self._read_into(None)
        gl.glBindBuffer(gl.GL_PIXEL_PACK_BUFFER, 0)
        reader.fence = gl.glFenceSync(gl.GL_SYNC_GPU_COMMANDS_COMPLETE, 0)
        self._readers.append(reader)

    def finish_reads(self) -> Iterator[tuple[float, np.ndarray]]:
        """(stamp, uint8 [height, width, 3]) of completed reads, oldest first."""
        while self._readers and (len(self._readers) >= MOST_READS or self._readers[0].done()):
            reader = self._readers.popleft()
            self._idle.append(reader)
            yield reader.stamp, reader.take()

    def fence(self) -> Any:
        """A fence after the composed frame, for which other contexts may wait; valid until the next call."""
        if self._fence is not None:
            gl.glDeleteSync(self._fence)
        self._fence = gl.glFenceSync(gl.GL_SYNC_GPU_COMMANDS_COMPLETE, 0)
        gl.glFlush()
        return self._fence

    def flush(self) -> None:
        """Submit the queued commands to the GPU, where no flip does it."""
        gl.glFlush()

    def drop_reads(self) -> None:
        """Drop pending reads."""
        while self._readers:
            reader = self._readers.popleft()
            gl.glDeleteSync(reader.fence)
            self._idle.append(reader)

    def _read_into(self, address: int | None) -> None:
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._target_buffer.handle)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        gl.glReadPixels(0, 0, *self.size, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, address)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, 0)

    def _upscale(self, frame: Frame, keep: Frame | None) -> _UpscaledFrame:
        """The enlarged engine frame, in place of an older one. keep: a frame whose enlargement is still needed."""
        for upscaled in self._upscaled:
            if upscaled.frame is frame and upscaled.output == self.size:
                return upscaled
        upscaled = self._upscaled[0]
        if keep is not None and upscaled.frame is keep:
            upscaled = self._upscaled[1]
        self._upscaled.remove(upscaled)
        self._upscaled.append(upscaled)
        self._fill(upscaled, frame)
        return upscaled

    def _fill(self, upscaled: _UpscaledFrame, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        upscaled.frame, upscaled.size, upscaled.output = frame, (width, height), self.size
        factor = upscale_factor(upscaled.size, self.size)
        self._source.upload(frame.pixels)
        self._wide.reserve(width * factor, height)
        upscaled.large.reserve(width * factor, height * factor)
        program = self._enlarge
        program.use()
        if factor != self._factor:
            self._factor = factor
            program["factor"] = factor
            for i, (first, weights) in enumerate(cubic_weights(factor)):
                gl.glUniform1i(uniform_location(program, f"first[{i}]"), first)
                gl.glUniform4f(uniform_location(program, f"weights[{i}]"), *weights)
        for axis, source, target in (((1, 0), self._source, self._wide), ((0, 1), self._wide, upscaled.large)):
            program["axis"] = axis
            self._work_buffer.attach(target)
            self._work_buffer.begin(target.width, target.height)
            source.bind(0)
            self._triangle.draw()
        program.stop()
        upscaled.has_bloom = False


def renderer_name() -> str:
    """The driver's name of the GPU, such as "llvmpipe (LLVM 15.0.6, 256 bits)"."""
    return str(gl.gl_info.get_renderer())


def is_software(name: str) -> bool:
    """True for software rendering, which leaves less processor time for the engine."""
    return any(word in name.lower() for word in ("llvmpipe", "softpipe", "swiftshader", "gdi generic"))


class _UpscaledFrame:
    """An enlarged engine frame with its bloom map, for outputs of one size."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.size = (0, 0)
        self.output = (0, 0)
        self.large = Texture(gl.GL_RGBA16, gl.GL_LINEAR)
        self.bloom_map = Texture(gl.GL_RGB32F, gl.GL_LINEAR)
        self.has_bloom = False

    def make_bloom(self) -> None:
        """Compute the bloom map at first use: the start screen needs none and does not load torch."""
        if not self.has_bloom and self.frame is not None:
            from tpos_live.display.bloom import make_bloom_map

            self.bloom_map.upload(make_bloom_map(self.frame.pixels).permute(1, 2, 0).contiguous().numpy())
            self.has_bloom = True
