"""Selects the shown prompt: the prompt itself, one slot of the bank, or weighted slots. The last command wins.

Three kinds of parameters select what is shown. A later command of one kind ends an earlier one of another kind, so that
no old setting hides a new one:

- `prompt` and `prompt.select` set all weights to 0, and a new `prompt` sets `prompt.select` to 0;
- a weight that changes sets `prompt.select` to 0.

So a slot is never selected while another has weight. Values that are set together (an OSC bundle, a blend, the settings
file) are one state: weights above 0 in it are kept beside a prompt, and beside a selected slot the later one wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

SLOTS = range(1, 9)
"""Numbers of the prompt bank's slots."""
PROMPT, SELECT = "prompt", "prompt.select"
WEIGHTS = tuple(f"prompt.{n}.weight" for n in SLOTS)
COMMANDS = frozenset((PROMPT, SELECT, *WEIGHTS))
"""Parameters that select what is shown; a slot's text only fills the bank."""
CLEARED = "prompt.cleared"
"""Counter among a snapshot's triggers: how often a command set the weights to 0. That starts a fade, unlike a fader."""
VISIBLE = 1e-3
"""Weight below which a prompt, a scene or a mood cannot be seen, and need not be drawn."""


def is_prompt(name: str) -> bool:
    """Whether a live parameter belongs to the prompts (`prompt` or `prompt.…`)."""
    return name.partition(".")[0] == PROMPT


def settle(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The further changes that `new` causes, and whether it clears weights.

    old, new: valid values by name; `new` contains values that were set together, in the order of the commands.
    """
    last = {name: at for at, name in enumerate(new) if name in COMMANDS}
    raised = [name for name in WEIGHTS if new.get(name, 0.0) > 0]
    if PROMPT in new or SELECT in new:
        slot = new.get(SELECT, 0)
        mixed = bool(raised) and (not slot or max(last[name] for name in raised) > last[SELECT])
        if mixed:
            return {SELECT: 0}, False
        cleared = any(old[name] > 0 for name in WEIGHTS)
        return {**dict.fromkeys(WEIGHTS, 0.0), SELECT: slot}, cleared
    changed = any(new[name] != old[name] for name in raised)
    return ({SELECT: 0}, False) if changed else ({}, False)


class Values(Protocol):
    """Values by name: a mapping, or a snapshot."""

    def __getitem__(self, name: str, /) -> Any: ...


def selected_text(values: Values) -> str:
    """The text of the selected slot, or of the prompt if the slot is empty: a fader passes slots without a text."""
    text = str(values[f"prompt.{values[SELECT]}"])
    return text if text.strip() else str(values[PROMPT])


def showing(values: Mapping[str, Any]) -> str:
    """Description of the selection: `prompt`, `slot 3`, or `slot 7 50 % + slot 8 50 %`."""
    if values[SELECT]:
        filled = values[f"prompt.{values[SELECT]}"].strip()
        return f"slot {values[SELECT]}" if filled else f"prompt (slot {values[SELECT]} is empty)"
    mixed = [(n, values[f"prompt.{n}.weight"]) for n in SLOTS if values[f"prompt.{n}"] and _is_visible(values, n)]
    if not mixed:
        return "prompt"
    total = sum(weight for _, weight in mixed)
    parts = [f"slot {n} {weight / max(total, 1.0):.0%}" for n, weight in mixed]
    if total < 1.0 - VISIBLE:
        parts.append(f"prompt {1.0 - total:.0%}")
    return " + ".join(parts).replace("%", " %")


def shown_text(values: Values) -> str:
    """The shown text; for a blend, all texts with their weights."""
    if values[SELECT]:
        return selected_text(values)
    slots = [n for n in SLOTS if values[f"prompt.{n}"] and _is_visible(values, n)]
    if not slots:
        return str(values[PROMPT])
    weights = [float(values[f"prompt.{n}.weight"]) for n in slots]
    parts = [f"{values[f'prompt.{n}']} {weight:.1f}" for n, weight in zip(slots, weights, strict=True)]
    rest = 1.0 - sum(weights)
    if rest > VISIBLE and values[PROMPT]:
        parts.append(f"{values[PROMPT]} {rest:.1f}")
    return " + ".join(parts)


def _is_visible(values: Values, slot: int) -> bool:
    return bool(values[f"prompt.{slot}.weight"] > VISIBLE)
