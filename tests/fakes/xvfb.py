"""A display from nothing: an X server in memory, with one screen (Xvfb) or two (Xorg's dummy driver).

    with one_screen() as display:          # ":99"; pass it as DISPLAY to the program under test
        ...
        screenshot(display)                # uint8 [H, W, 3]
        press(display, "tpos-live output", "f")

Needs xvfb, xdotool and imagemagick; two screens need xserver-xorg-core, xserver-xorg-video-dummy,
x11-xserver-utils (xrandr), openbox and root.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from fakes.waiting import wait_until
from PIL import Image

_TWO_SCREENS = """
Section "Device"
    Identifier "card"
    Driver "dummy"
    VideoRam 256000
EndSection
Section "Monitor"
    Identifier "monitor"
    HorizSync 5.0-1000.0
    VertRefresh 5.0-200.0
    Modeline "{w}x{h}" {clock} {w} {w1} {w2} {w3} {h} {h1} {h2} {h3}
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    Monitor "monitor"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Modes "{w}x{h}"
        Virtual {both} {h}
    EndSubSection
EndSection
"""


@contextmanager
def one_screen(size: tuple[int, int] = (1280, 720)) -> Iterator[str]:
    """Xvfb with one screen of (width, height); gives the display's name."""
    with one_screen_and_server(size) as (display, _):
        yield display


@contextmanager
def one_screen_and_server(size: tuple[int, int]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same with the server's process, for tests that kill it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size[0]}x{size[1]}x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        yield f":{number}", server
    finally:
        _end(server)


@contextmanager
def two_screens(size: tuple[int, int] = (800, 450)) -> Iterator[str]:
    """Xorg with two screens side by side, each of (width, height), and a window manager."""
    w, h = size
    total_w, total_h = w + 200, h + 50
    config = _TWO_SCREENS.format(
        w=w, h=h, w1=w + 40, w2=w + 100, w3=total_w, h1=h + 3, h2=h + 8, h3=total_h,
        clock=round(total_w * total_h * 60 / 1e6, 2), both=2 * w,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "xorg.conf"
        path.write_text(config)
        read, write = os.pipe()
        server = subprocess.Popen(
            ["Xorg", "-displayfd", str(write), "-noreset", "-logfile", f"{folder}/log", "-config", str(path)],
            pass_fds=[write],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        manager: subprocess.Popen[bytes] | None = None
        try:
            with os.fdopen(read) as pipe:
                number = pipe.readline().strip()
            if not number:
                raise RuntimeError("Xorg with the dummy driver did not start")
            display = f":{number}"
            mode = f"{w}x{h}"
            run(display, "xrandr", "--addmode", "DUMMY1", mode)
            run(display, "xrandr", "--output", "DUMMY1", "--mode", mode, "--right-of", "DUMMY0")
            manager = subprocess.Popen(
                ["openbox"], env=_env(display), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            yield display
        finally:
            if manager is not None:
                _end(manager)
            _end(server)


def run(display: str, *command: str) -> str:
    """Run a program on the display; its output. Raises CalledProcessError."""
    done = subprocess.run(command, env=_env(display), check=True, capture_output=True, text=True, timeout=20)
    return done.stdout


def screenshot(display: str) -> np.ndarray:
    """What is on the display: uint8 [H, W, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shot.png"
        run(display, "import", "-window", "root", str(path))
        return np.asarray(Image.open(path).convert("RGB"))


def press(display: str, title: str, key: str) -> None:
    """A real key press into the window of that title ("f", "Escape", "ctrl+q")."""

    def focused() -> bool:
        # A window that is just changing its shape cannot take the focus yet: look again.
        try:
            window = run(display, "xdotool", "search", "--onlyvisible", "--name", f"^{title}$").split()[0]
            run(display, "xdotool", "windowfocus", window)
            return run(display, "xdotool", "getwindowfocus").strip() == window
        except (subprocess.CalledProcessError, IndexError):
            return False

    if not wait_until(focused):
        raise RuntimeError(f"the window {title!r} does not take the focus")
    run(display, "xdotool", "key", key)


def press_close(display: str, title: str) -> None:
    """What a window manager sends to the window of that title when its close button is pressed."""
    from pyglet.libs.x11 import xlib

    window = int(run(display, "xdotool", "search", "--onlyvisible", "--name", f"^{title}$").split()[0])
    connection = xlib.XOpenDisplay(display.encode())
    message = xlib.XEvent()
    message.xclient.type, message.xclient.window, message.xclient.format = xlib.ClientMessage, window, 32
    message.xclient.message_type = xlib.XInternAtom(connection, b"WM_PROTOCOLS", False)
    message.xclient.data.l[0] = xlib.XInternAtom(connection, b"WM_DELETE_WINDOW", False)
    xlib.XSendEvent(connection, window, False, 0, ctypes.byref(message))
    xlib.XSync(connection, 0)
    xlib.XCloseDisplay(connection)


def is_mapped(display: str, title: str) -> bool:
    """Whether a window of that title is on the display, even below others."""
    command = ["xdotool", "search", "--onlyvisible", "--name", f"^{title}$"]
    found = subprocess.run(command, env=_env(display), capture_output=True, timeout=20)
    return bool(found.stdout.strip())


def _env(display: str) -> dict[str, str]:
    return {**os.environ, "DISPLAY": display}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
