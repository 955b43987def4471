"""OpenGL without a display, for tests of what is drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tpos_live.display.open_window import load_triton


@contextmanager
def headless_gl() -> Iterator[Any]:
    """A current OpenGL 3.3 context from EGL: a pyglet window that nobody sees.

    Skips the test where there is none; fails it in CI, where it must be there.
    """
    import pyglet

    load_triton()
    pyglet.options.headless = True
    try:
        from pyglet.window import Window

        window = Window(64, 64, config=pyglet.gl.Config(major_version=3, minor_version=3))
    except Exception as error:
        reason = f"needs OpenGL 3.3 over EGL (Debian: libegl1 libgl1-mesa-dri): {error}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    window.switch_to()
    try:
        yield window
    finally:
        window.close()
