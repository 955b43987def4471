"""Converts the arguments of OSC commands to values of parameters. All functions raise ParameterError."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tpos_live.control.osc_addresses import BLEND_SLOTS
from tpos_live.core.parameter import ParameterError, Value, parse_number, shorten
from tpos_live.core.parameters import LORAS, TABLE
from tpos_live.core.shown import PROMPT, SELECT, SLOTS, WEIGHTS

BARE = ((), (None,), ("bang",))
"""Arguments that count as none."""


def blend(args: tuple[Any, ...]) -> dict[str, Value]:
    """/tpos/prompt/blend: two texts, and a number, 0 the first to 1 the second."""
    if len(args) != 3 or not all(isinstance(text, str) for text in args[:2]):
        raise ParameterError("takes two texts and a number; in Max write a text of several words in quotes")
    share = float(TABLE[f"prompt.{BLEND_SLOTS[1]}.weight"].parse(args[2]))
    return _slots(BLEND_SLOTS, [(args[0], 1.0 - share), (args[1], share)])


def prompt_list(args: tuple[Any, ...]) -> dict[str, Value]:
    """/prompt_list: JSON of texts with weights, [["fire", 0.7], ["ice", 0.3]]. Sets the prompt, or the last slots."""
    entries = [(text, weight) for text, weight in _pairs(args, "texts") if isinstance(text, str) and text.strip()]
    total = sum(weight for _, weight in entries)
    if not entries or total <= 0:
        raise ParameterError("takes a JSON list with at least one text whose weight is above 0")
    if len(entries) > len(SLOTS):
        raise ParameterError(f"takes at most {len(SLOTS)} texts, not {len(entries)}")
    if len(entries) == 1:
        return {PROMPT: entries[0][0]}
    shares = [(text, weight / total) for text, weight in entries]
    return _slots(SLOTS[-len(shares) :], shares)


def seed_list(args: tuple[Any, ...]) -> dict[str, Value]:
    """/seed_list: JSON of seeds with weights, [[7, 0.2], [12, 0.8]]. Sets the seed of the largest weight."""
    pairs = _pairs(args, "seeds")
    if not pairs:
        raise ParameterError("takes a JSON list with at least one seed")
    return {"seed": TABLE["seed"].parse(max(pairs, key=lambda pair: pair[1])[0])}


def feedback(args: tuple[Any, ...]) -> dict[str, Value]:
    """/latent_feedback_strength: share of the last frame's latent, 0 to 1. Sets strength to 1 minus it."""
    number = parse_number(args[0]) if len(args) == 1 else None
    if number is None:
        raise ParameterError("takes a number from 0 to 1, how much of the last frame stays")
    return {"strength": TABLE["strength"].parse(1.0 - number)}


def lora_weights(args: tuple[Any, ...]) -> dict[str, Value]:
    """/lora_weights: JSON of names with weights, {"style": 0.8}. Sets the live LoRAs in order; names have no effect."""
    wanted = "takes a JSON object of names with weights"
    given = _json(args, wanted)
    pairs = list(given.items()) if isinstance(given, dict) else _pairs(args, "names")
    if not 1 <= len(pairs) <= len(LORAS):
        raise ParameterError(f"takes 1 to {len(LORAS)} weights, not {len(pairs)}")
    return {name: TABLE[name].parse(weight) for name, (_, weight) in zip(LORAS, pairs, strict=False)}


def nudge(args: tuple[Any, ...], now: float, tempo: float) -> dict[str, Value]:
    """/tpos/tempo/nudge: milliseconds, or beats with the word `beat`, added to the shift `now` in ms. tempo: BPM or
    0."""
    step = parse_number(args[0]) if args else None
    unit = args[1] if len(args) > 1 else "ms"
    if step is None or len(args) > 2 or unit not in ("ms", "beat", "beats"):
        raise ParameterError("takes milliseconds, such as 20 or -20, or a part of a beat, such as 0.25 beat")
    if unit != "ms":
        if tempo <= 0:
            raise ParameterError("no tempo is known yet: nudge in milliseconds, or tap the tempo")
        step *= 60_000.0 / tempo
    return {"tempo.shift": TABLE["tempo.shift"].parse(now + step)}


def port(args: tuple[Any, ...], host: str, sent_from: int) -> int:
    """The port of a subscription: [HOST] PORT, "HOST:PORT", or nothing for the sender's port. host: the sender's."""
    named, number = "", parse_number(sent_from)
    words = [] if args in BARE else [str(arg) for arg in args]
    if len(words) == 1 and ":" in words[0]:
        words = words[0].rsplit(":", 1)
    if words:
        number = parse_number(words[-1])
    if len(words) == 2:
        named = words[0]
    if len(words) > 2 or number is None or number != int(number) or not 0 < number < 65536:
        raise ParameterError("takes a port from 1 to 65535, such as 9011")
    if named not in ("", host, "localhost" if host.startswith("127.") else ""):
        raise ParameterError(f"only your own address can be subscribed, {host}; others by --osc-reply")
    return int(number)


def _slots(slots: Sequence[int], shares: Sequence[tuple[str, float]]) -> dict[str, Value]:
    values: dict[str, Value] = dict.fromkeys(WEIGHTS, 0.0)
    for slot, (text, share) in zip(slots, shares, strict=True):
        values |= {f"prompt.{slot}": text, f"prompt.{slot}.weight": TABLE[f"prompt.{slot}.weight"].parse(share)}
    return {**values, SELECT: 0}


def _pairs(args: tuple[Any, ...], what: str) -> list[tuple[Any, float]]:
    """The pairs of a JSON list; an entry without a weight has weight 1."""
    wanted = f"takes a JSON list of {what} with weights"
    entries = _json(args, wanted)
    if not isinstance(entries, list):
        raise ParameterError(f"{wanted}, not {shorten(entries)}")
    found = []
    for entry in entries:
        thing, weight = entry if isinstance(entry, list) and len(entry) == 2 else (entry, 1.0)
        number = parse_number(weight)
        if isinstance(thing, list | dict | None) or number is None or number < 0:
            raise ParameterError(f"{wanted}; {shorten(entry)} is none")
        found.append((thing, number))
    return found


def _json(args: tuple[Any, ...], wanted: str) -> Any:
    """Parse the one argument of a message as JSON. wanted: error text for other arguments."""
    if len(args) != 1 or not isinstance(args[0], str):
        raise ParameterError(wanted)
    try:
        return json.loads(args[0])
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{wanted}, not {shorten(args[0])}") from error
