"""Time to copy a frame from CUDA memory to an OpenGL texture: through the host, or directly by CUDA-OpenGL interop.

    python benchmarks/to_screen.py [WIDTHxHEIGHT] [TIMES]

Prints medians in milliseconds, from a frame uint8 [H, W, 3] in GPU memory to glFinish: through pinned memory and
glTexSubImage2D (as a show does it), and through a pixel buffer that is registered with CUDA. It also checks that the
texture has the right bytes. Needs an NVIDIA GPU, OpenGL on it (EGL), and cuda-python.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from tpos_live.display.open_window import load_triton, open_window


def main(width: int, height: int, times: int) -> None:
    from cuda.bindings import runtime as cuda

    load_triton()
    window = open_window((64, 64), headless=True)
    window.switch_to()
    from pyglet import gl

    print(gl.gl_info.get_renderer(), "|", torch.cuda.get_device_name())
    size = width * height * 3
    frames = [torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, device="cuda") for _ in range(2)]
    pinned, pageable = torch.empty((height, width, 3), dtype=torch.uint8, pin_memory=True), np.empty(size, np.uint8)
    texture, buffer = gl.GLuint(), gl.GLuint()
    gl.glGenTextures(1, ctypes.byref(texture))
    gl.glBindTexture(gl.GL_TEXTURE_2D, texture)
    gl.glPixelStorei(gl.GL_UNPACK_ALIGNMENT, 1)
    gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
    gl.glTexImage2D(gl.GL_TEXTURE_2D, 0, gl.GL_RGB8, width, height, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, None)
    gl.glGenBuffers(1, ctypes.byref(buffer))
    gl.glBindBuffer(gl.GL_PIXEL_UNPACK_BUFFER, buffer)
    gl.glBufferData(gl.GL_PIXEL_UNPACK_BUFFER, size, None, gl.GL_STREAM_DRAW)
    gl.glBindBuffer(gl.GL_PIXEL_UNPACK_BUFFER, 0)

    def write(where: int) -> None:
        gl.glTexSubImage2D(gl.GL_TEXTURE_2D, 0, 0, 0, width, height, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, where)

    def by_host(n: int) -> None:
        pinned.copy_(frames[n % 2], non_blocking=True)
        torch.cuda.current_stream().synchronize()
        np.copyto(pageable, pinned.numpy().reshape(-1))  # the frame that flash limiter and recorder read
        write(pageable.ctypes.data)
        gl.glFinish()

    flags = cuda.cudaGraphicsRegisterFlags.cudaGraphicsRegisterFlagsWriteDiscard
    resource = _checked(cuda.cudaGraphicsGLRegisterBuffer(buffer.value, flags))

    def direct(n: int) -> None:
        stream = torch.cuda.current_stream().cuda_stream
        _checked(cuda.cudaGraphicsMapResources(1, resource, stream))
        there, _ = _checked(cuda.cudaGraphicsResourceGetMappedPointer(resource))
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        _checked(cuda.cudaMemcpyAsync(there, frames[n % 2].data_ptr(), size, kind, stream))
        _checked(cuda.cudaGraphicsUnmapResources(1, resource, stream))
        gl.glBindBuffer(gl.GL_PIXEL_UNPACK_BUFFER, buffer)
        write(0)
        gl.glBindBuffer(gl.GL_PIXEL_UNPACK_BUFFER, 0)
        gl.glFinish()

    def fetch_alone(n: int) -> None:
        pinned.copy_(frames[n % 2], non_blocking=True)
        torch.cuda.current_stream().synchronize()

    for name, way in (("by way of the host", by_host), ("CUDA to OpenGL", direct), ("to the host alone", fetch_alone)):
        took = _median(way, times)
        read = np.empty((height, width, 3), np.uint8)
        gl.glGetTexImage(gl.GL_TEXTURE_2D, 0, gl.GL_RGB, gl.GL_UNSIGNED_BYTE, read.ctypes.data)
        same = np.array_equal(read, frames[(times - 1) % 2].cpu().numpy())
        print(f"{name:<20}{took:7.3f} ms, {'the same' if same else 'OTHER'} bytes")


def _median(way: Callable[[int], None], times: int) -> float:
    took = []
    for n in range(times):
        began = time.perf_counter()
        way(n)
        took.append(1e3 * (time.perf_counter() - began))
    return statistics.median(took[times // 10 :])


def _checked(answer: tuple[object, ...]) -> object:
    error, *rest = answer
    if int(error) != 0:  # type: ignore[call-overload]
        raise RuntimeError(f"CUDA: {error}")
    return rest[0] if len(rest) == 1 else rest


if __name__ == "__main__":
    sides = sys.argv[1] if len(sys.argv) > 1 else "512x512"
    main(*map(int, sides.split("x")), times=int(sys.argv[2]) if len(sys.argv) > 2 else 400)
