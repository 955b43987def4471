"""Sends frames to other programs, with a context manager each: NDI, Spout, Syphon, a virtual camera.

NDI (cyndilib and the NDI runtime in it) announces its source on the network. The runtime is proprietary and has a
licence of its own (https://ndi.video); NDI is a trademark of Vizrt NDI AB. Spout (SpoutGL, Windows) and Syphon
(syphon-python, macOS) share a texture with programs on the same machine; it is filled from pixels in host memory. They
have never been run, for lack of these systems. The virtual camera (pyvirtualcam, GPL 2, so an extra that nothing else
here imports) needs v4l2loopback, OBS or Unity Capture; it was only run with a backend of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from tpos_live.core.optional_library import optional_library

Size = tuple[int, int]
_RGBA = 0x1908
"""GL_RGBA."""


class Sender(Protocol):
    """Belongs to the thread that opened it. Its methods raise what the library raises."""

    def receivers(self) -> int | None:
        """Connected receivers; None where the library does not tell."""
        ...

    def send(self, pixels: np.ndarray) -> None:
        """A frame of the size that it was opened with, row 0 on top: uint8 [height, width, 4] RGBA, or 3 RGB."""
        ...


@dataclass(frozen=True)
class _Sender:
    receivers: Callable[[], int | None]
    send: Callable[[np.ndarray], None]


@contextmanager
def open_ndi(name: str, size: Size, fps: float) -> Iterator[Sender]:
    """name: of the source; receivers list it after the name of the machine."""
    frame = optional_library("cyndilib.video_frame", "ndi").VideoSendFrame()
    frame.set_resolution(*size)
    frame.set_frame_rate(Fraction(fps).limit_denominator(1001))
    frame.set_fourcc(optional_library("cyndilib.wrapper.ndi_structs", "ndi").FourCC.RGBA)
    sender = optional_library("cyndilib.sender", "ndi").Sender(name, clock_video=False)
    sender.set_video_frame(frame)
    with sender:
        yield _Sender(lambda: sender.get_num_connections(0), lambda pixels: sender.write_video(pixels.ravel()))


@contextmanager
def open_spout(name: str, size: Size, fps: float) -> Iterator[Sender]:
    """name: of the sender, as receivers list it."""
    with optional_library("SpoutGL", "spout").SpoutSender() as sender:
        if not sender.createOpenGL():  # of its own: the window's context belongs to another thread
            raise OSError("Spout found no OpenGL")
        sender.setSenderName(name)

        def send(pixels: np.ndarray) -> None:
            if not sender.sendImage(np.ascontiguousarray(pixels), *size, _RGBA, False, 0):
                raise OSError("Spout took no frame; the graphics driver may not share textures")
            sender.setFrameSync(name)

        try:
            yield _Sender(lambda: None, send)
        finally:
            sender.closeOpenGL()


@contextmanager
def open_syphon(name: str, size: Size, fps: float) -> Iterator[Sender]:
    """name: of the server, as clients list it."""
    server = optional_library("syphon", "syphon").SyphonMetalServer(name)
    texture = optional_library("syphon.utils.raw", "syphon").create_mtl_texture(server.device, *size)
    copy = optional_library("syphon.utils.numpy", "syphon").copy_image_to_mtl_texture

    def send(pixels: np.ndarray) -> None:
        copy(pixels, texture)
        server.publish_frame_texture(texture)

    try:
        yield _Sender(lambda: int(bool(server.has_clients)), send)
    finally:
        server.stop()


@contextmanager
def open_camera(device: str, size: Size, fps: float) -> Iterator[Sender]:
    """device: of the virtual camera, as /dev/video2; "" for the first one that is free."""
    library: Any = optional_library("pyvirtualcam", "camera")
    try:
        camera = library.Camera(*size, fps, device=device or None)
    except RuntimeError as error:  # a page of text, and a line for each driver
        which = f"{device} is no virtual camera, or another program uses it" if device else "no virtual camera is free"
        raise OSError(f"{which}; it needs v4l2loopback (Linux), OBS or Unity Capture") from error
    with camera:
        yield _Sender(lambda: None, lambda pixels: camera.send(np.ascontiguousarray(pixels)))


@dataclass(frozen=True)
class Kind:
    """A kind of sender. title: for messages. library: the module that `extra` of the package installs. systems: names
    by `sys.platform`; none for all. alpha: its frames have an alpha channel."""

    title: str
    library: str
    extra: str
    open: Callable[[str, Size, float], AbstractContextManager[Sender]]
    systems: Mapping[str, str] = field(default_factory=dict)
    alpha: bool = True


SENDERS = {
    "ndi": Kind("NDI", "cyndilib", "ndi", open_ndi),
    "spout": Kind("Spout", "SpoutGL", "spout", open_spout, {"win32": "Windows"}),
    "syphon": Kind("Syphon", "syphon", "syphon", open_syphon, {"darwin": "macOS"}),
    "camera": Kind("the virtual camera", "pyvirtualcam", "camera", open_camera, alpha=False),
}
