"""Opens a window with OpenGL, and names the graphics driver."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

from tpos_live.core.errors import first_line
from tpos_live.display.errors import DisplayError
from tpos_live.display.keyboard import physical_keys

TITLE = "tpos-live output"
SOFTWARE_CAP = 30.0
"""Frames per second with software rendering: the engine needs the rest of the CPU."""


def open_window(
    size: tuple[int, int], headless: bool = False, visible: bool = True, title: str = TITLE, vsync: bool = True
) -> Any:
    """A pyglet window with OpenGL 3.3, whose context shares objects with the current one. vsync: its flip waits for the
    display. Raises DisplayError where there is no display or no OpenGL. A process that imports PyTorch later calls
    `load_triton` before."""
    import pyglet

    if headless:
        pyglet.options.headless = True
    try:
        from pyglet.window import Window

        config = pyglet.gl.Config(major_version=3, minor_version=3, double_buffer=True)
        window = physical_keys(Window)(
            *size, caption=title, resizable=True, vsync=vsync, config=config, visible=visible
        )
        _release_replaced_windows(window.context)
        _leave_the_pointer(window)
        return window
    except Exception as error:  # pyglet raises many kinds, down to missing libraries.
        raise DisplayError(
            f"no window can be opened here ({first_line(error)}); start it in a desktop session, install "
            "the graphics driver (Debian, Ubuntu: libgl1 libegl1 libgl1-mesa-dri), or run with --headless"
        ) from error


def load_triton() -> None:
    """Load Triton's library, where it is installed, before Mesa's OpenGL driver. It comes with PyTorch for CUDA and
    ROCm, and takes 0.2 s.

    Both have a copy of LLVM. Mesa makes the symbols of its copy global, so a library of Triton that is loaded later
    calls those, and the process crashes when PyTorch or diffusers imports it (Mesa with LLVM 15, Triton 3.7).
    """
    if sys.platform == "linux":
        with suppress(Exception):  # not installed, or broken: PyTorch says so where it needs it
            importlib.import_module("triton._C.libtriton")


def _leave_the_pointer(window: Any) -> None:
    """On X11 pyglet puts the pointer into a corner of the screen that a window fills. There it is outside of the window
    later, and without a window manager keys go to the window under the pointer."""
    if hasattr(window, "_x_display"):
        window.set_mouse_position = lambda x, y: None


def describe_gl() -> str:
    """The graphics driver, one line; opens a hidden window briefly. Raises DisplayError."""
    load_triton()
    window = open_window((64, 64), visible=False)
    try:
        from tpos_live.display.gl_compositor import is_software, renderer_name

        name = renderer_name()
        slow = f" (drawn by the CPU: {SOFTWARE_CAP:.0f} frames per second at most)" if is_software(name) else ""
        return f"{name}{slow}"
    finally:
        window.close()


def _release_replaced_windows(context: Any) -> None:
    """Make a pyglet context of Mesa's GLX release a window when it is detached. Other contexts are not changed.

    A change to fullscreen and back makes a new X window. A context of Mesa keeps the buffers of a destroyed window
    until it is bound to another window, which it recognises by its address in memory. The next window often has the
    same address, so with software rendering each change leaked the memory of one frame: 3.7 MB at 720p.
    """
    if not hasattr(context, "glx_window") or "Mesa" not in context.get_info().get_version_string():
        return
    from pyglet.gl import glx

    detach = context.detach

    def detach_and_forget() -> None:
        bound = context.canvas is not None
        detach()
        if bound:  # bound to no window, which Mesa allows, it releases destroyed ones
            glx.glXMakeContextCurrent(context.x_display, 0, 0, context.glx_context)
            glx.glXMakeContextCurrent(context.x_display, 0, 0, None)

    context.detach = detach_and_forget
