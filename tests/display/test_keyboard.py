"""Real key presses, by the key's position, under the layouts that people have."""

from __future__ import annotations

import sys

import pytest
from fakes.tools import require_tool
from fakes.waiting import wait_until
from fakes.xvfb import one_screen, run
from test_window import Show, show_on

from tpos_live.control.keys import KEYS, SLOW_FADE, apply_key, key_name
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.keyboard import PHYSICAL_KEYS, moved_letters, physical_keys
from tpos_live.display.open_window import TITLE

LAYOUTS = ("us", "fr", "de", "ru", "gr", "us -variant dvorak")
CODES = {
    "esc": "Escape",
    "backspace": 22,
    "space": 65,
    "up": 111,
    "down": 116,
    "left": 113,
    "right": 114,
    "f11": 95,
    "pageup": 112,
    "pagedown": 117,
}
"""X's key codes by position: those of the kernel plus 8, on every PC keyboard."""
for first, written in ((10, "1234567890-+"), (24, "qwertyuiop"), (38, "asdfghjkl"), (52, "zxcvbnm")):
    CODES |= {character: first + n for n, character in enumerate(written)}


def presses(key: str) -> str:
    """A key as the table writes it, as xdotool presses it: "Shift+1" is "shift+10"."""
    *held, name = key.lower().split("+") if key != "+" else ["+"]
    return "+".join([*held, str(CODES[name])])


def focus(show: Show) -> None:
    show.tell("frame 90")  # else the start screen makes it slow
    window = run(show.display, "xdotool", "search", "--onlyvisible", "--name", f"^{TITLE}$").split()[0]
    assert wait_until(lambda: run(show.display, "xdotool", "windowfocus", window, "getwindowfocus").strip() == window)


def keys_of(show: Show, *pressed: str) -> list[str]:
    """Press keys; what the window tells of them, without Shift and Ctrl by themselves."""
    before = len(show.tell()["keys"])
    run(show.display, "xdotool", "key", "--delay", "4", *pressed)

    def told() -> list[str]:
        return [name for name in show.tell()["keys"][before:] if not name.endswith(("lshift", "lctrl"))]

    assert wait_until(lambda: len(told()) >= len(pressed)), (pressed, told())
    return told()


@pytest.mark.display
def test_every_key_of_the_table_by_its_position_on_every_layout() -> None:
    require_tool("Xvfb", "xdotool", "setxkbmap")
    written = [name for key in KEYS for name in key.keys if name != "Ctrl+Q"]
    wanted = [name.lower().replace("esc", "escape") for name in written]
    with one_screen((320, 180)) as display, show_on(display, acts=False) as show:
        focus(show)
        for layout in LAYOUTS:
            run(display, "setxkbmap", "-layout", *layout.split())
            told = keys_of(show, *map(presses, written))
            plain = ["+".join([*held, key_name(name)]) for *held, name in (each.split("+") for each in told)]
            assert plain == wanted, layout
            # The keypad without NumLock: digits, not Home, Up and the rest.
            assert keys_of(show, "87", "shift+88", "86", "82") == ["num_1", "shift+num_2", "num_add", "num_subtract"]
        # + and - also where the layout writes them; a letter counts by its position alone.
        run(display, "setxkbmap", "-layout", "de")
        assert key_name(keys_of(show, "35")[0]) == "+" and key_name(keys_of(show, "61")[0]) == "-"
        run(display, "setxkbmap", "-layout", "us", "-variant", "dvorak")
        before = len(show.tell()["keys"])
        run(display, "xdotool", "key", "47")  # Dvorak's S, where the table has no key
        assert keys_of(show, "41") == ["f"] and len(show.tell()["keys"]) == before + 1


@pytest.mark.display
def test_a_layout_that_moves_letters_is_told() -> None:
    require_tool("Xvfb", "setxkbmap")
    script = (
        "from pyglet.display import get_display; from tpos_live.display.keyboard import describe_layout; "
        "print(describe_layout(get_display(), 'afmqy'))"
    )
    start = "keys go by their position on a US keyboard; here "
    with one_screen((320, 180)) as display:
        for layout, told in (
            ("us", ""),
            ("ru", ""),  # has Latin letters in their places beside its own
            ("de", start + "Y is the key Z"),
            ("fr", start + "A is the key Q, Q is the key A"),
        ):
            run(display, "setxkbmap", "-layout", layout)
            assert run(display, sys.executable, "-c", script).strip() == told


@pytest.mark.display
@pytest.mark.parametrize("layout", ["fr", "ru"])
def test_keys_do_what_they_say(layout: str) -> None:
    require_tool("Xvfb", "xdotool", "setxkbmap")
    with one_screen((320, 180)) as display:
        run(display, "setxkbmap", "-layout", layout)
        with show_on(display, prompt__3="sea", prompt__8="ice", prompt__fade=1.0) as show:
            focus(show)
            for key, slot, fade in (("3", 3, 1.0), ("Shift+8", 8, SLOW_FADE), ("0", 0, 1.0), ("N", 3, 1.0)):
                run(display, "xdotool", "key", presses(key))
                assert wait_until(lambda slot=slot, fade=fade: show.tell()["slot"] == [slot, fade]), key
            run(display, "xdotool", "key", presses("Ctrl+Q"))
            assert show.wait_end(5)


def test_scan_codes_of_windows() -> None:
    """pyglet's window of Windows is not to be had here; one that stands for it gets messages as Windows sends them."""
    told: list[tuple[str, int]] = []

    class Window:
        def _event_key(self, message: int, key: int, details: int) -> None:
            self.dispatch_event("on_key_press", -key, 0)

        _event_key._platform_event_data = ("WM_KEYDOWN",)  # type: ignore[attr-defined]

        def dispatch_event(self, name: str, *arguments: int) -> None:
            told.append((name, arguments[0]))

    window = physical_keys(Window)()
    assert window._event_key._platform_event_data == ("WM_KEYDOWN",)
    for details in (0x04 << 16, 0x21 << 16, 0x4F << 16, 0x4F << 16 | 1 << 24, 0x39 << 16):
        window._event_key(0x100, 99, details)
    window.dispatch_event("on_key_press", 7, 0)  # as raw input tells Shift
    keypad_1 = next(key.symbol for key in PHYSICAL_KEYS if key.name == "KP1")
    assert [symbol for _, symbol in told] == [ord("3"), ord("f"), keypad_1, -99, -99, 7]


def test_letters_that_a_layout_writes_elsewhere() -> None:
    assert moved_letters({"a": "q", "q": "a", "b": "b", "m": ",", "f": "\u00e4", "1": "&"}) == {"a": "q", "q": "a"}


def test_ctrl_and_shift_together_are_no_key_of_the_table() -> None:
    store = ParameterStore()
    before = store.snapshot().version
    assert apply_key("1", ("ctrl", "shift"), store) is None and store.snapshot().version == before
