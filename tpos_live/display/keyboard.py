"""Physical keys: F is the key where a US keyboard has F, whatever layout is set.

pyglet reports what a layout writes on a key: `exclamation` for Shift+1, `ampersand` for 1 on a French keyboard, a
number for a Cyrillic letter. So letters, digits, + and - are read by position instead: on X11 by XKB's key names, on
Windows by scan code, on macOS by virtual key code.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ROWS = (("AE", 0x02, "1234567890-="), ("AD", 0x10, "qwertyuiop"), ("AC", 0x1E, "asdfghjkl"), ("AB", 0x2C, "zxcvbnm"))
"""XKB's name of each row of keys, the scan code of its first key, and what a US keyboard writes on them."""
_KEYPAD = (0x52, 0x4F, 0x50, 0x51, 0x4B, 0x4C, 0x4D, 0x47, 0x48, 0x49)
"""Scan codes of the keypad's digits from 0. They count as digits whether NumLock is on or off."""
_NUM_0, _NUM_ADD, _NUM_SUBTRACT = 0xFFB0, 0xFFAB, 0xFFAD
_WRITING = re.compile(r"A[B-E]\d\d|TLDE|BKSL|LSGT")
"""XKB's names of keys that write a character."""
_CORE_KEYBOARD, _KEY_NAMES = 0x100, 1 << 9
_EXTENDED = 1 << 24
"""Bit of a Windows key message: an arrow or another key that the first PC's keyboard did not have."""


@dataclass(frozen=True)
class PhysicalKey:
    """name: XKB's. scan_code: a PC's (set 1). symbol: pyglet's for what a US keyboard writes there; for letters,
    digits, - and = the character code."""

    name: str
    scan_code: int
    symbol: int


PHYSICAL_KEYS = (
    *(PhysicalKey(f"{row}{n + 1:02}", code + n, ord(c)) for row, code, written in _ROWS for n, c in enumerate(written)),
    *(PhysicalKey(f"KP{digit}", code, _NUM_0 + digit) for digit, code in enumerate(_KEYPAD)),
    PhysicalKey("KPAD", 0x4E, _NUM_ADD),
    PhysicalKey("KPSU", 0x4A, _NUM_SUBTRACT),
)


def physical_keys(window: type) -> type:
    """pyglet's window class of this system, with key symbols by position."""
    if hasattr(window, "_event_text_symbol"):
        return _on_x11(window)
    if hasattr(window, "_event_key"):
        return _on_windows(window)
    if sys.platform == "darwin":
        _on_macos()
    return window


def forget_keys(window: Any) -> None:
    """Clear pyglet's set of held keys, as when the window loses the focus: the release goes to another window, and
    pyglet would drop the next press as a key repeat."""
    getattr(window, "pressed_keys", set()).clear()


def describe_layout(display: Any, letters: str) -> str:
    """One line if the current layout writes some of these letters on other keys; "" if not, or if unknown.

    display: pyglet's. letters: those that are keys of the session.
    """
    connection = getattr(display, "_display", None)
    moved = moved_letters(x11_written(connection) if connection else {})
    pairs = [f"{letter.upper()} is the key {moved[letter].upper()}" for letter in letters if letter in moved]
    return f"keys go by their position on a US keyboard; here {', '.join(pairs)}" if pairs else ""


def moved_letters(written: Mapping[str, str]) -> dict[str, str]:
    """The letters of a US keyboard where a layout writes another Latin letter, and that letter."""
    return {
        us: letter
        for us, letter in sorted(written.items())
        if us.isalpha() and letter.isascii() and letter.isalpha() and letter.lower() != us
    }


def _on_x11(window: type) -> type:
    class PhysicalKeyWindow(window):  # type: ignore[misc, valid-type]
        """Reads a key's position. Bypasses the input method, which would hold letters back to compose a text."""

        _symbols: Mapping[int, int] = {}
        _writing: frozenset[int] = frozenset()

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            symbols, names = {key.name: key.symbol for key in PHYSICAL_KEYS}, x11_names(self._x_display)
            self._symbols = {code: symbols[name] for code, name in names.items() if name in symbols}
            self._writing = frozenset(code for code, name in names.items() if _WRITING.fullmatch(name))

        def _event_text_symbol(self, event: Any) -> tuple[None, int | None]:
            return None, self._symbols.get(event.xkey.keycode) or self._other_symbol(event)

        def _other_symbol(self, event: Any) -> int | None:
            """The layout's symbol, for keys that are not in PHYSICAL_KEYS. None for a letter or digit on a key that
            writes other characters on a US keyboard: letters and digits count by position alone."""
            from pyglet.libs.x11 import xlib
            from pyglet.window import key

            symbol, buffer = xlib.KeySym(), ctypes.create_string_buffer(32)
            xlib.XLookupString(event.xkey, buffer, len(buffer) - 1, ctypes.byref(symbol), None)
            taken = event.xkey.keycode in self._writing and symbol.value < 128 and chr(symbol.value).isalnum()
            return symbol.value if symbol.value in key._key_names and not taken else None

    return PhysicalKeyWindow


def x11_names(display: Any) -> dict[int, str]:
    """XKB's name of the physical key of each key code; {} where the X server has none. display: Xlib's."""
    from pyglet.libs.x11 import xlib

    library = xlib._lib
    library.XkbGetMap.restype = ctypes.POINTER(_Keyboard)
    library.XkbGetMap.argtypes = [ctypes.POINTER(xlib.Display), ctypes.c_uint, ctypes.c_uint]
    library.XkbGetNames.argtypes = [ctypes.POINTER(xlib.Display), ctypes.c_uint, ctypes.POINTER(_Keyboard)]
    library.XkbFreeKeyboard.argtypes = [ctypes.POINTER(_Keyboard), ctypes.c_uint, ctypes.c_int]
    keyboard = library.XkbGetMap(display, 0, _CORE_KEYBOARD)
    if not keyboard:
        return {}
    try:
        if library.XkbGetNames(display, _KEY_NAMES, keyboard) or not keyboard.contents.names:
            return {}
        names, codes = keyboard.contents.names.contents.keys, keyboard.contents
        if not names:
            return {}
        return {
            code: bytes(names[code]).rstrip(b"\0").decode("ascii", "replace")
            for code in range(codes.min_key_code, codes.max_key_code + 1)
        }
    finally:
        library.XkbFreeKeyboard(keyboard, 0, 1)


def x11_written(display: Any) -> dict[str, str]:
    """Characters (Latin-1) that the current layout writes, by the letter or digit that a US keyboard has on that
    key."""
    from pyglet.libs.x11 import xlib

    library = xlib._lib
    library.XkbKeycodeToKeysym.restype = ctypes.c_ulong
    library.XkbKeycodeToKeysym.argtypes = [ctypes.POINTER(xlib.Display), ctypes.c_ubyte, ctypes.c_int, ctypes.c_int]
    symbols = {key.name: key.symbol for key in PHYSICAL_KEYS}
    return {
        chr(symbols[name]): chr(symbol)
        for code, name in x11_names(display).items()
        if symbols.get(name, 128) < 128 and 32 < (symbol := library.XkbKeycodeToKeysym(display, code, 0, 0)) < 256
    }


class _Names(ctypes.Structure):
    """XkbNamesRec, up to its key names."""

    _fields_ = [
        ("sets", ctypes.c_ulong * 5),
        ("modifiers", ctypes.c_ulong * 16),
        ("indicators", ctypes.c_ulong * 32),
        ("groups", ctypes.c_ulong * 4),
        ("keys", ctypes.POINTER(ctypes.c_char * 4)),
    ]


class _Keyboard(ctypes.Structure):
    """XkbDescRec, up to its names."""

    _fields_ = [
        ("display", ctypes.c_void_p),
        ("flags", ctypes.c_ushort),
        ("device", ctypes.c_ushort),
        ("min_key_code", ctypes.c_ubyte),
        ("max_key_code", ctypes.c_ubyte),
        *((part, ctypes.c_void_p) for part in ("controls", "server", "map", "indicators")),
        ("names", ctypes.POINTER(_Names)),
    ]


def _on_windows(window: type) -> type:
    class PhysicalKeyWindow(window):  # type: ignore[misc, valid-type]
        """Reads the scan code of a key message. Not tested on Windows."""

        _scan_code = 0

        def _event_key(self, message: int, key: int, details: int) -> Any:
            self._scan_code = 0 if details & _EXTENDED else details >> 16 & 0xFF
            try:
                return super()._event_key(message, key, details)
            finally:
                self._scan_code = 0

        _event_key._platform_event = True  # type: ignore[attr-defined]
        _event_key._platform_event_data = window._event_key._platform_event_data  # type: ignore[attr-defined]

        def dispatch_event(self, name: str, *arguments: Any) -> Any:
            if name in ("on_key_press", "on_key_release") and self._scan_code in symbols:
                arguments = (symbols[self._scan_code], *arguments[1:])
            return super().dispatch_event(name, *arguments)

    symbols = {key.scan_code: key.symbol for key in PHYSICAL_KEYS}
    return PhysicalKeyWindow


def _on_macos() -> None:
    """Add letters and digits to pyglet's table of keys that no layout moves. Not tested on macOS."""
    from pyglet.libs.darwin import quartzkey

    names = {"-": "MINUS", "=": "EQUALS"}
    for character in "".join(written for _, _, written in _ROWS):
        quartzkey.keymap[getattr(quartzkey, f"QZ_{names.get(character, character)}")] = ord(character)
