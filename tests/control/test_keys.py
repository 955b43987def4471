"""The table of keys."""

import subprocess
import sys

import pytest

from tpos_live.control.keys import KEYS, SLOW_FADE, apply_key, key_name, key_rows
from tpos_live.core.parameter_store import ParameterStore


@pytest.fixture
def store():
    return ParameterStore({"prompt.1": "one", "prompt.2": "two", "prompt.5": "five", "prompt.fade": 3.0})


def press(store, name, *modifiers):
    return apply_key(name, modifiers, store)


@pytest.mark.parametrize(
    ("key", "parameter"),
    [
        ("f", "out.fullscreen"),
        ("f11", "out.fullscreen"),
        ("b", "out.blackout"),
        ("space", "out.freeze"),
        ("h", "out.hud"),
    ],
)
def test_toggles(store, key, parameter):
    assert press(store, key) is None and store.snapshot()[parameter] is True
    press(store, key, "capslock", "numlock")
    assert store.snapshot()[parameter] is False


def test_escape_only_leaves_full_screen(store):
    before = dict(store.snapshot().values)
    assert press(store, "escape") is None and dict(store.snapshot().values) == before
    press(store, "f")
    press(store, "escape")
    assert dict(store.snapshot().values) == before


def test_actions_for_window_and_sound(store):
    assert press(store, "q", "ctrl") == "quit" and press(store, "q", "command") == "quit"
    assert press(store, "a", "ctrl") == "next_device" and press(store, "m", "ctrl") == "next_screen"
    before = store.snapshot().version
    for key, modifiers in (("q", ()), ("f", ("alt",)), ("b", ("ctrl",)), ("f12", ()), ("", ()), ("q", ("ctrl", "alt"))):
        assert press(store, key, *modifiers) is None
    assert store.snapshot().version == before


def test_slots(store):
    press(store, "2")
    assert store.snapshot()["prompt.select"] == 2
    press(store, "3")  # empty
    assert store.snapshot()["prompt.select"] == 2
    press(store, "5", "shift")
    assert (store.snapshot()["prompt.select"], store.snapshot()["prompt.fade"]) == (5, SLOW_FADE)
    press(store, "1")
    assert (store.snapshot()["prompt.select"], store.snapshot()["prompt.fade"]) == (1, 3.0)
    press(store, "0")
    assert store.snapshot()["prompt.select"] == 0


def test_next_and_previous_skip_empty_slots_and_go_round(store):
    seen = []
    for key in "nnnnpp":
        press(store, key)
        seen.append(store.snapshot()["prompt.select"])
    assert seen == [1, 2, 5, 1, 5, 2]
    store.update({"prompt.1": "", "prompt.2": " ", "prompt.5": "", "prompt.select": 0})
    press(store, "n")
    assert store.snapshot()["prompt.select"] == 0


def test_gain_and_level_stay_in_range(store):
    for _ in range(60):
        press(store, "+", "shift")
        press(store, "up")
    assert store.snapshot()["audio.gain"] == 24 and store.snapshot()["out.level"] == 1
    press(store, "-")
    assert store.snapshot()["audio.gain"] == 23


def test_the_chosen_corner_is_moved_and_no_other(store):
    press(store, "left", "ctrl")
    assert not any(value for name, value in store.snapshot().values.items() if name.startswith("out.window.corner."))
    corners = []
    for _ in range(4):
        press(store, "p", "ctrl")
        corner = store.snapshot()["out.window.pin"]
        corners.append(corner)
        press(store, "right", "ctrl")
        press(store, "up", "ctrl", "shift")
        now = store.snapshot()
        assert now[f"out.window.corner.{corner}.x"] == pytest.approx(0.002)
        assert now[f"out.window.corner.{corner}.y"] == pytest.approx(-0.02)
    assert len(set(corners)) == 4 and store.snapshot()["tempo.shift"] == 0 and store.snapshot()["out.level"] == 1
    press(store, "p", "ctrl")
    assert store.snapshot()["out.window.pin"] == "off"


def test_the_corners_of_the_walls_are_moved_too(store):
    press(store, "p", "ctrl")
    for wall in (1, 2, 3, 4, 0):
        press(store, "p", "ctrl", "shift")
        press(store, "right", "ctrl")
        name = f"out.wall.{wall}" if wall else "out.window"
        assert store.snapshot()[f"{name}.corner.top_left.x"] == pytest.approx(0.002)


def test_triggers(store):
    for key, name in (("t", "tempo.tap"), ("y", "tempo.resync"), ("r", "seed.random"), ("s", "out.snapshot")):
        press(store, key)
        assert store.snapshot().fired(name) == 1
    store.set("out.blackout", True)
    press(store, "backspace")
    assert store.snapshot()["out.blackout"] is False
    press(store, "r", "ctrl")
    assert store.snapshot()["out.record"] is True and store.snapshot().fired("seed.random") == 1


def test_names_of_the_window_library():
    """In another process, because the library opens a hidden window by default."""
    wanted = {"_1": "1", "NUM_1": "1", "F11": "f11", "SPACE": "space", "ESCAPE": "escape", "BACKSPACE": "backspace"}
    wanted |= {"EQUAL": "+", "PLUS": "+", "NUM_ADD": "+", "MINUS": "-", "NUM_SUBTRACT": "-", "A": "a", "UP": "up"}
    script = (
        "import sys, pyglet; pyglet.options['shadow_window'] = False; from pyglet.window import key\n"
        "print(*(key.symbol_string(getattr(key, name)) for name in sys.argv[1:]))"
    )
    result = subprocess.run([sys.executable, "-c", script, *wanted], capture_output=True, text=True, check=True)
    symbols = result.stdout.split()
    assert dict(zip(wanted, map(key_name, symbols), strict=True)) == wanted


def test_every_key_is_reachable_once():
    written = [name for key in KEYS for name in key.keys]
    assert len(written) == len(set(written))
    for key in KEYS:
        for name in key.keys:
            *held, last = name.lower().split("+") if name != "+" else ["+"]
            before = ParameterStore(
                {f"prompt.{n}": str(n) for n in range(1, 9)}
                | {"out.fullscreen": True, "out.level": 0.5, "out.window.pin": "top_left"}
            )
            before.set("prompt.select", 4)
            version = before.snapshot().version
            action = apply_key("escape" if last == "esc" else last, held, before)
            assert action or before.snapshot().version > version or last == "4", name


def test_help_names_every_key():
    text = [written for written, _ in key_rows()]
    for name in ("F or F11", "Ctrl+M", "Space", "1 to 8", "Shift+1 to 8", "Ctrl+1 to 9", "Backspace", "Ctrl+Q"):
        assert name in text


def test_cues_are_stored_and_recalled(store):
    press(store, "l", "shift")
    assert store.snapshot().fired("look.cue.store") == 1 and not store.snapshot()["look.store"]
    press(store, "9", "ctrl")
    assert store.snapshot()["look.cue"] == "9"
    press(store, "3", "command", "numlock")
    assert store.snapshot()["look.cue"] == "3" and store.snapshot()["prompt.select"] == 0
