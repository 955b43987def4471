"""The table of keys and their actions. The window reports which key was pressed; this module does not use the
window."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE, WALLS
from tpos_live.core.shown import SLOTS

Action = Literal["quit", "next_device", "next_screen"]
"""An action for the window or the sound input, because no parameter does it."""

SLOW_FADE = 8.0
"""Seconds of a fade with Shift."""
CUES = range(1, 10)
"""Cues that have a key."""
_GAIN_STEP = 1.0
_LEVEL_STEP = 0.05
_BEAT_STEP = 10.0
_PIN_STEP = 0.002
_PIN_STRIDE = 0.02
_IGNORED = frozenset({"shift", "capslock", "numlock", "scrolllock"})
_NAMES = {
    "equal": "+",
    "plus": "+",
    "num_add": "+",
    "minus": "-",
    "underscore": "-",
    "num_subtract": "-",
    "return": "enter",
    "motion_backspace": "backspace",
}


@dataclass(frozen=True)
class Key:
    """keys: names as in the documentation; more than one if they do the same. press: carries out the action."""

    keys: tuple[str, ...]
    text: str
    press: Callable[[ParameterStore], Action | None]


def key_name(symbol: str) -> str:
    """Convert the window library's name of a key: "_1" and "NUM_1" to "1", "NUM_ADD" to "+"."""
    name = symbol.lower()
    name = _NAMES.get(name, name).removeprefix("_")
    return name.removeprefix("num_") if name.removeprefix("num_").isdigit() else name


def apply_key(name: str, modifiers: Collection[str], store: ParameterStore) -> Action | None:
    """Carry out the action of a key. Unknown keys do nothing.

    name: from `key_name`. modifiers: any of shift, ctrl, command (same as ctrl), alt; locks are ignored.
    Returns an action that only the window or the sound can carry out, else None. Any thread may call it.
    """
    held = {"ctrl" if modifier == "command" else modifier for modifier in modifiers} - _IGNORED
    written = "+".join([*sorted(held), name])
    shifted = f"shift+{written}"
    if "shift" in modifiers and (shifted in _BY_NAME or "ctrl" in held):
        written = shifted
    key = _BY_NAME.get(written)
    return key.press(store) if key else None


def _toggle(name: str) -> Callable[[ParameterStore], None]:
    def press(store: ParameterStore) -> None:
        store.set(name, not store.snapshot()[name])

    return press


def _off(name: str) -> Callable[[ParameterStore], None]:
    return lambda store: _quietly(store.set(name, False))


def _set(name: str, value: str) -> Callable[[ParameterStore], None]:
    return lambda store: _quietly(store.set(name, value))


def _fire(name: str) -> Callable[[ParameterStore], None]:
    return lambda store: fire(store, name)


def _learn(store: ParameterStore) -> None:
    store.set("midi.learn", "" if store.snapshot()["midi.learn"] else "+")


def _ask(action: Action) -> Callable[[ParameterStore], Action]:
    return lambda store: action


def _nudge(name: str, step: float) -> Callable[[ParameterStore], None]:
    return lambda store: _quietly(store.set(name, store.snapshot()[name] + step))


def _next_corner(store: ParameterStore) -> None:
    choices = TABLE["out.window.pin"].choices
    store.set("out.window.pin", choices[(choices.index(store.snapshot()["out.window.pin"]) + 1) % len(choices)])


def _next_wall(store: ParameterStore) -> None:
    store.set("out.wall.pin", (store.snapshot()["out.wall.pin"] + 1) % (WALLS + 1))


def _pin(axis: str, step: float) -> Callable[[ParameterStore], None]:
    """Move the chosen corner; do nothing if none is chosen."""

    def press(store: ParameterStore) -> None:
        now = store.snapshot()
        corner, wall = now["out.window.pin"], now["out.wall.pin"]
        if corner != "off":
            _nudge(f"{f'out.wall.{wall}' if wall else 'out.window'}.corner.{corner}.{axis}", step)(store)

    return press


def _pin_keys() -> Iterator[Key]:
    for name, axis, sign in (("Left", "x", -1), ("Right", "x", 1), ("Up", "y", -1), ("Down", "y", 1)):
        for held, step in (("Ctrl", _PIN_STEP), ("Ctrl+Shift", _PIN_STRIDE)):
            text = f"corner pin: the chosen corner {name.lower()} by {100 * step:g} % of its screen"
            yield Key((f"{held}+{name}",), text, _pin(axis, sign * step))


def _quietly(_value: object) -> None:
    """Return None instead of a value."""


def _select(slot: int, slow: bool = False) -> Callable[[ParameterStore], None]:
    """Show a slot, 0 = the prompt itself. A slot without a text is ignored, as a wrong key press."""

    def press(store: ParameterStore) -> None:
        now = store.snapshot()
        if slot and not now[f"prompt.{slot}"].strip():
            return
        if slow:
            store.update({"prompt.fade": SLOW_FADE, "prompt.select": slot})
            return
        if now["prompt.fade"] == SLOW_FADE:
            store.restore(["prompt.fade"])
        store.set("prompt.select", slot)

    return press


def _step_slot(step: int) -> Callable[[ParameterStore], None]:
    """Show the next (1) or previous (-1) slot with a text, with wrap-around; from the prompt itself, the first or
    last."""

    def press(store: ParameterStore) -> None:
        now = store.snapshot()
        filled = [slot for slot in SLOTS if now[f"prompt.{slot}"].strip()]
        order = filled if step > 0 else filled[::-1]
        selected = int(store.coming("prompt.select"))
        beyond = [slot for slot in order if (slot - selected) * step > 0] if selected else order
        if order:
            _select((beyond or order)[0])(store)

    return press


KEYS: tuple[Key, ...] = (
    Key(("F", "F11"), "full screen on or off", _toggle("out.fullscreen")),
    Key(("Esc",), "leave full screen; never ends the show", _off("out.fullscreen")),
    Key(("Ctrl+M",), "next screen", _ask("next_screen")),
    Key(("B",), "blackout on or off", _toggle("out.blackout")),
    Key(("Space",), "freeze on or off", _toggle("out.freeze")),
    Key(("Backspace",), "panic: back to a safe image", _fire("out.panic")),
    Key(("Ctrl+Backspace",), "reset the parameters of the image; the prompt bank stays", _fire("reset")),
    Key(("Up",), "master level up", _nudge("out.level", _LEVEL_STEP)),
    Key(("Down",), "master level down", _nudge("out.level", -_LEVEL_STEP)),
    *(Key((str(n),), f"slot {n} of the prompt bank", _select(n)) for n in SLOTS),
    *(Key((f"Shift+{n}",), f"slot {n} in a slow fade ({SLOW_FADE:g} s)", _select(n, True)) for n in SLOTS),
    Key(("0",), "the prompt instead of a slot", _select(0)),
    Key(("Shift+0",), f"the prompt in a slow fade ({SLOW_FADE:g} s)", _select(0, True)),
    Key(("N",), "next slot that has a text", _step_slot(1)),
    Key(("P",), "previous slot that has a text", _step_slot(-1)),
    Key(("PageDown",), "next look", _fire("look.next")),
    Key(("PageUp",), "previous look", _fire("look.previous")),
    *(Key((f"Ctrl+{n}",), f"cue {n}, or look {n} if there are no cues", _set("look.cue", str(n))) for n in CUES),
    Key(("L",), "store what is shown as a new look", _set("look.store", "+")),
    Key(("Shift+L",), "store the look that is shown as a cue at the end", _fire("look.cue.store")),
    Key(("A",), "autopilot through the looks on or off", _toggle("autopilot")),
    Key(("K",), "keep this look: the autopilot counts its bars from 0 again", _fire("look.keep")),
    Key(("M",), "MIDI learn on or off: change a parameter, then move a fader", _learn),
    Key(("T",), "tap the tempo, four times or more", _fire("tempo.tap")),
    Key(("Y",), "the next beat is now", _fire("tempo.resync")),
    Key(("X",), "twice as many beats", _fire("tempo.double")),
    Key(("Shift+X",), "half as many beats", _fire("tempo.halve")),
    Key(("Right",), f"the beat {_BEAT_STEP:g} ms earlier", _nudge("tempo.shift", _BEAT_STEP)),
    Key(("Left",), f"the beat {_BEAT_STEP:g} ms later", _nudge("tempo.shift", -_BEAT_STEP)),
    Key(("R",), "another seed", _fire("seed.random")),
    Key(("D",), "director on or off", _toggle("director")),
    Key(("G",), "next scene of the director, at the next bar", _fire("director.next")),
    Key(("+",), "gain up 1 dB", _nudge("audio.gain", _GAIN_STEP)),
    Key(("-",), "gain down 1 dB", _nudge("audio.gain", -_GAIN_STEP)),
    Key(("Ctrl+A",), "next sound input", _ask("next_device")),
    Key(("Ctrl+P",), "corner pin: choose the next corner, after the last one none", _next_corner),
    Key(("Ctrl+Shift+P",), "corner pin: of wall 1, 2, 3, 4, then of the window again", _next_wall),
    *_pin_keys(),
    Key(("Ctrl+T",), "test card on every output on or off", _toggle("out.testcard")),
    Key(("H",), "status over the image on or off (never recorded)", _toggle("out.hud")),
    Key(("Shift+H",), "QR code of the control page's address on or off (never recorded)", _toggle("out.page_code")),
    Key(("S",), "save the image as PNG", _fire("out.snapshot")),
    Key(("Ctrl+R",), "recording on or off", _toggle("out.record")),
    Key(("Ctrl+Q",), "end the show", _ask("quit")),
)

_WRITTEN = {"esc": "escape"}


def _by_name() -> dict[str, Key]:
    keys = {}
    for key in KEYS:
        for written in key.keys:
            *held, name = written.lower().split("+") if written != "+" else ["+"]
            held.sort(key=lambda modifier: modifier != "shift")  # the order that `apply_key` uses
            keys["+".join([*held, _WRITTEN.get(name, name)])] = key
    return keys


_BY_NAME = _by_name()
LETTERS = "".join(sorted({name[-1] for name in _BY_NAME if name[-2:-1] in ("", "+") and name[-1].isalpha()}))
"""All letters that are keys, alone or with Ctrl."""


def key_rows() -> list[tuple[str, str]]:
    """The table for the documentation, (keys, text). Slots share one row, and cues another."""
    rows = []
    for key in KEYS:
        written = " or ".join(key.keys)
        *_, digit = written.split("+")
        if digit.isdigit() and digit != "0":
            if digit != "1":
                continue
            written += f" to {CUES[-1] if written.startswith('Ctrl') else SLOTS[-1]}"
            rows.append((written, re.sub(r"\b(slot|cue|look) 1\b", r"that \1", key.text)))
        else:
            rows.append((written, key.text))
    return rows
