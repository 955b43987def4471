"""A process that has imported what a show needs, and waits to become the next one.

A start spends more than half of its time on imports, PyTorch's above all. With a spare, a show that died starts
again without them. The spare has no window, no sound and no engine, so it inherits no fault of a driver.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Callable
from typing import Self

from tpos_live.core.cores import lower_this_thread

MODULES = (
    "tpos_live.runtime.run_session",
    "tpos_live.runtime.pipeline",
    "tpos_live.runtime.render_thread",
    "tpos_live.runtime.keyframe_mode",
    "av",
    "openvino",
)
"""Imports of a show, without those of its window: pyglet connects to the display when it is imported."""
EAGER_MODULES = (
    "tpos_live.diffusion.model.pixel_shuffle_vae",
    "diffusers.models.unets.unet_2d_condition",
)
"""Further imports of Ember's networks with the backend eager: half of the time of such a start."""
NICE = 5
"""Niceness of the thread that imports. It cannot be lowered again, and a show may wait for the imports: with 19 a busy
machine took minutes."""
_GO = b"go %d %d %d\n"


def import_show(safe: bool = False) -> None:
    """Import MODULES, and EAGER_MODULES if the show is to run safely; those that are not installed are left out."""
    for name in MODULES + (EAGER_MODULES if safe else ()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class SpareShow:
    """The watchdog's side. Thread contract: that of the Watchdog, whose process forks."""

    def __init__(self, pid: int, descriptor: int) -> None:
        """pid: of the spare. descriptor: of the pipe to it, closed by `start` and `close`."""
        self.pid, self._descriptor = pid, descriptor

    @classmethod
    def fork(cls) -> Self | int:
        """Fork a spare: returns it, and in the spare's process the descriptor for `wait_for_go`. Raises OSError."""
        read, write = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(read)
            os.close(write)
            raise
        os.close(read if pid else write)
        return cls(pid, write) if pid else read

    def start(self, deaths: int, safe: bool, left: int) -> bool:
        """Let it become the show (see `Run`); False if it has ended."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, _GO % (deaths, safe, left))
        self.close()
        try:
            return os.waitpid(self.pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return False

    def close(self) -> None:
        """Close the pipe; a spare that was not started then ends."""
        os.close(self._descriptor)


def wait_for_go(descriptor: int, prepare: Callable[[], None]) -> tuple[int, bool, int]:
    """The spare's side: prepare, and wait until it becomes the show; returns `deaths`, `safe` and `left` of its Run.
    Ends the process if the watchdog ends."""
    thread = threading.Thread(target=_prepare, args=(prepare,), name="spare", daemon=True)
    thread.start()
    line = os.read(descriptor, 64)
    os.close(descriptor)
    if not line:
        os._exit(0)
    thread.join()
    _, deaths, safe, left = line.split()
    return int(deaths), safe == b"1", int(left)


def _prepare(prepare: Callable[[], None]) -> None:
    lower_this_thread(NICE)  # a show draws on the same cores
    with contextlib.suppress(Exception):  # the show will say what is wrong
        prepare()
