"""Where the window is placed, tested without a display: screens that are missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tpos_live.display.placement import SETTLE, WindowPlacement


class Window:
    """What the placement needs of pyglet's window."""

    def __init__(self) -> None:
        self.fullscreen, self.size, self.place = False, (640, 360), (0, 0)
        self.handles: list[Any] = []
        self.display = SimpleNamespace(get_screens=lambda: self.handles)

    def get_size(self) -> tuple[int, int]:
        return self.size

    def set_size(self, width: int, height: int) -> None:
        self.size = width, height

    def get_location(self) -> tuple[int, int]:
        return self.place

    def set_location(self, x: int, y: int) -> None:
        self.place = x, y

    def set_fullscreen(self, full: bool, screen: Any = None, width: int = 0, height: int = 0) -> None:
        self.fullscreen, self.size = full, (screen.width, screen.height) if screen else (width, height)

    def set_mouse_visible(self, visible: bool) -> None:
        return


def test_a_computer_without_any_screen_ends_no_show(messages: list[str]) -> None:
    """For example with a projector alone that is still off; the window fills it once it is on."""
    window = Window()
    placement = WindowPlacement(window)
    assert placement.follow(True, 0, 0.0) and not window.fullscreen and window.size == (640, 360)
    for tick in range(1, 8):
        placement.follow(True, 0, tick * SETTLE)
    assert not placement.fills_a_screen
    window.handles = [SimpleNamespace(x=0, y=0, width=800, height=450)]
    assert placement.follow(True, 0, 10.0) and window.fullscreen and window.size == (800, 450)
    assert len(messages) == 2 and "there is no screen 0" in messages[0] and "is here" in messages[1]


def test_the_next_of_no_screens() -> None:
    window = Window()
    assert WindowPlacement(window).next() == 0


def test_a_window_leaves_the_screens_of_others_for_a_free_one() -> None:
    window = Window()
    window.handles = [SimpleNamespace(x=800 * n, y=0, width=800, height=450) for n in range(3)]
    placement = WindowPlacement(window)
    for place, taken, wanted in (
        ((900, 50), {"screen #2"}, (80, 45)),
        ((900, 50), {"screen", "screen #2"}, (1680, 45)),
        ((900, 50), {"screen", "screen #3"}, (900, 50)),
        ((900, 50), {"screen", "screen #2", "screen #3"}, (900, 50)),  # there is no free one
    ):
        window.place = place
        placement.keep_off(taken, (*place, 640, 360))
        assert window.place == wanted
    placement.keep_off({"screen"}, (0, 0, 1280, 720))  # larger than a screen, and its middle on the first
    assert window.place == (800, 0)


def test_a_screen_that_a_system_refuses_is_asked_for_once() -> None:
    """Not at every frame, because each request blocks."""
    window, asked = Window(), list[object]()
    window.handles = [SimpleNamespace(x=0, y=0, width=800, height=450)]

    def refuse(full: bool, screen: Any = None, width: int = 0, height: int = 0) -> None:
        asked.append(screen)
        raise OSError(22, "no such mode")

    window.set_fullscreen = refuse  # type: ignore[method-assign]
    placement = WindowPlacement(window)
    with pytest.raises(OSError, match="no such mode"):
        placement.follow(True, 0, 0.0)
    assert not placement.follow(True, 0, 1.0) and len(asked) == 1


def test_a_screen_that_does_not_say_its_name_is_used() -> None:
    """For example one that was just disconnected."""

    def fail() -> str:
        raise OSError(121, "Remote I/O error")

    window = Window()
    window.handles = [SimpleNamespace(x=0, y=0, width=800, height=450, get_monitor_name=fail) for _ in range(2)]
    assert [screen.name for screen in WindowPlacement(window).screens.all] == ["screen", "screen #2"]
