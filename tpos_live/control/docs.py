"""Writes docs/osc.md and docs/keys.md from the tables: `python -m tpos_live.control.docs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tpos_live.control.keys import KEYS, key_rows
from tpos_live.control.osc_addresses import ALIASES, COMMANDS, INSTEAD
from tpos_live.control.osc_feedback import AUDIO_HZ, NUMBERS, NUMBERS_HZ, WORDS
from tpos_live.control.osc_router import HELD, SILENCE
from tpos_live.control.osc_targets import LEASE, MAX_HOSTS, MAX_SUBSCRIBERS, REPLY_PORT
from tpos_live.core.parameter import Parameter
from tpos_live.core.parameters import FEATURES, LORAS, MAP_DEFAULTS, RANDOM_START, TABLE, TARGETS, WALLS
from tpos_live.core.shown import SLOTS

_TAGS = {"float": "f", "int": "i", "bool": "b", "text": "s", "choice": "c", "trigger": "x"}
_SLOTS = {"prompt": len(SLOTS), "lora": len(LORAS), "out.wall": WALLS}
"""Numbered parameters, and how many there are: one row describes all of them."""
_SLOT = re.compile(rf"({'|'.join(map(re.escape, _SLOTS))})\.(\d+)")
_MAP_PARTS = ("", ".curve", ".attack", ".release")


def _allowed(p: Parameter) -> str:
    if p.kind == "choice":
        return ", ".join(f"{n} {word}" for n, word in enumerate(p.choices))
    if p.kind == "bool":
        return "0 or 1"
    if p.kind in ("text", "trigger"):
        return ""
    return f"{'0, ' if p.off_below else ''}{_number(p.low)} to {_number(p.high)} {p.unit}".rstrip()


def _number(number: float) -> str:
    return f"{number:.0f}" if number == round(number) else f"{number:g}"


def _default(p: Parameter) -> str:
    if p.name in RANDOM_START:
        return "random"
    if p.kind in ("trigger", "text") and not p.default:
        return ""
    return f"{p.default:g}" if isinstance(p.default, int | float) else str(p.default)


def _own_rows() -> list[tuple[str, str, str, str, str]]:
    """(address, type, allowed, default, text) of every parameter outside the map. Numbered ones share one row."""
    rows = []
    for p in TABLE.values():
        slot = _SLOT.match(p.name)
        if p.name.startswith("map.") or (slot and slot[2] != "1"):
            continue
        address, text = p.address, p.text
        if slot:
            address, text = address.replace("/1", f"/{{1..{_SLOTS[slot[1]]}}}"), text.replace("slot 1", "that slot")
            text = text.replace("live LoRA 1", "live LoRA of that number").replace("wall 1", "that wall")
        rows.append((address, _TAGS[p.kind], _allowed(p), _default(p), text))
    rows += [(c.address, c.arguments, "", "", c.text) for c in COMMANDS]
    return rows


def _map_rows() -> list[tuple[str, str, str, str]]:
    """(address suffix, allowed, default, text) of the four parameters of a map pair."""
    rows = []
    for part in _MAP_PARTS:
        p = TABLE[f"map.level.zoom{part}"]
        if part:
            rows.append((part.replace(".", "/"), _allowed(p), _default(p), p.text))
        else:
            rows.append(("", "see the targets", "see below, else 0", "depth: how far the feature moves the target"))
    return rows


def list_osc() -> str:
    """Every address as a plain table, for a terminal."""
    rows = [("ADDRESS", "TYPE", "ALLOWED", "DEFAULT", "WHAT"), *_own_rows()]
    for suffix, allowed, default, text in _map_rows():
        rows.append((f"/tpos/map/<feature>/<target>{suffix}", "f", allowed, default, text))
    rows += [(alias, "", "", "", f"the same as {address}") for alias, address in ALIASES.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    lines += [
        "",
        "types: f number, i whole number, b 0 or 1, s text, c word or its number, x trigger (floats do for all)",
    ]
    lines += [f"features: {' '.join(FEATURES)}", f"targets: {' '.join(TARGETS)}"]
    return "\n".join(line.rstrip() for line in lines)


def osc_page() -> str:
    """docs/osc.md."""
    page = [_INTRO, "## Addresses", "", *_table(("address", "type", "allowed", "default", "what it does"), _own_rows())]
    page += ["", _TYPES, "## What the sound moves", "", _MAP]
    page += _table(("address", "allowed", "default", "what it is"), [
        (f"/tpos/map/{{feature}}/{{target}}{suffix}", allowed, default, text)
        for suffix, allowed, default, text in _map_rows()
    ])  # fmt: skip
    page += ["", *_table(("feature", "what it is"), list(FEATURES.items()))]
    targets = [(name, f"{low:g} to {high:g} {unit}".strip(), text) for name, (low, high, unit, text) in TARGETS.items()]
    page += ["", *_table(("target", "depth", "what it is"), targets)]
    page += ["", "Connections at the start; every other depth is 0:", ""]
    page += _table(("address", "depth", "curve", "attack, s", "release, s"), [
        (f"/tpos/map/{feature}/{target}", *(f"{n:g}" for n in (d.depth, d.curve, d.attack, d.release)))
        for (feature, target), d in MAP_DEFAULTS.items()
    ])  # fmt: skip
    page += ["", _FEEDBACK]
    status = [("/tpos/status/alive", "f", "1 Hz", "counts seconds: while it changes, the show runs")]
    status += [(f"/tpos/status/{n}", "f", f"{NUMBERS_HZ} Hz", text) for n, (_, text) in NUMBERS.items()]
    status += [(f"/tpos/status/{n}", "s", "on change, 1 Hz", text) for n, (_, text) in WORDS.items()]
    status += [("/tpos/status/applied", "s", "on change, 1 Hz", "the last message that was applied")]
    page += ["", *_table(("address", "type", "sent", "what it is"), status)]
    page += ["", _AUDIO, "## Other names", "", "For existing patches, such as those for StreamDiffusionTD:", ""]
    page += _table(("address", "is the same as"), list(ALIASES.items()))
    page += ["", _LEAVES, "", "These mean nothing here. Each is answered once, with what to use instead:", ""]
    page += _table(("address", "instead"), list(INSTEAD.items()))
    return "\n".join(page) + "\n"


def keys_page() -> str:
    """docs/keys.md."""
    header = "<!-- written by python -m tpos_live.control.docs -->"
    page = [
        "# Keys",
        "",
        header,
        "",
        "The keys work while the window has the focus, also while the engine loads or hangs.",
        "",
    ]
    page += _table(("key", "what it does"), key_rows())
    page += ["", _LAYOUTS]
    return "\n".join(page) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    def code(cell: str) -> str:
        return f"`{cell}`" if cell.startswith("/") else cell.replace("<", "&lt;").replace("|", "\\|")

    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(code(cell) for cell in row)} |" for row in rows]


_LEASE = f"{LEASE:g}"
_MS = f"{SILENCE * 1000:.0f}"
_INTRO = f"""# OSC

<!-- written by python -m tpos_live.control.docs -->

Every live parameter has an OSC address. `tpos-live --list-osc` prints the same table.
First connection, step by step: [TouchDesigner](touchdesigner.md), [Ableton Live and Max](ableton.md).

- tpos-live listens on UDP **127.0.0.1:9000** (`--osc-host`, `--osc-port`; `--osc-host 0.0.0.0` opens it to
  the network: everyone there can then control the show). If the port is taken, the show starts without OSC and says so.
- `--osc-allow 192.168.1.0/24` accepts messages from that network and this machine only; it can be repeated. Another
  machine gets 64 answers to its questions at once, then 32 a second.
- Blackout, freeze and panic overtake all waiting messages; a panic drops the messages that came before it.
- Status and answers go to port **{REPLY_PORT}** of whoever sends, before that to port {REPLY_PORT} of this
  machine; to other ports or machines see [Feedback](#feedback).
- **Floats work everywhere** except for texts: a switch is on from 0.5, whole numbers and choices are rounded. Numbers
  outside the range are clamped. Choices also take their word.
- **Integers, doubles, true and false, and text** work too: `"0.5"`, `" 1 "`, `"true"`, `"on"`, `"off"`.
- **The tempo is the exception**: below 20 BPM it follows the sound, so that a fader of 0 to 1 does not stop the beat,
  and above 240 it is refused.
- **Two values at once**: an XY pad moves `motion/pan_x` and `motion/pan_y` together when it sends both to
  `/tpos/motion/pan` or to one of the two. Elsewhere a number takes the first value; a switch and a trigger take the
  last, which is the state of a button (*number of the pad, velocity*). A message says so once.
- **A trigger fires** when its value goes from 0 to anything else, on a message without an argument (or with
  the text `bang`), or when {_MS} ms have passed since the last message at its address. Sending 1 in
  every frame fires it once.
- **A value that is repeated in every frame** counts until it has come {HELD + 1} times; then it is ignored until
  it changes or pauses for {_MS} ms. So a key or a panic wins against a program that sends all channels all
  the time.
- **Texts**: several arguments are joined by spaces. A float alone is refused: a fader must not replace the prompt.
- **Bundles** are applied together, at once; their time tags are ignored.
- **Questions**: `/tpos/motion/zoom ?`, `/tpos/motion/zoom/?` or `/tpos/get motion.zoom` are answered with the value at
  `/tpos/motion/zoom`; `/tpos/get motion.*` gives several.
- **What is shown**: the last command wins. `/tpos/prompt`, `/tpos/prompt/select` and panic set the slots' weights to 0;
  a new prompt and a weight that moves set `/tpos/prompt/select` to 0. In one bundle, weights above 0 are kept.
- **Patterns** such as `/tpos/motion/*` or `/tpos/prompt/{{1,2}}/weight` reach all values they match, never triggers.
- A message that cannot be understood is counted, reported once for each address on the terminal and at
  `/tpos/status/error`, and stops nothing.
"""

_TYPES = """Types: f number, i whole number, b switch, s text, c choice (word or number), x trigger.
"""

_TWICE = f"{2 * MAP_DEFAULTS['kick', 'zoom'].depth:g}"
_MAP = f"""Each of {len(FEATURES)} features of the sound can move each of {len(TARGETS)} targets:
target += depth x feature ^ curve, rising in `attack` and falling in `release` seconds.
For example `/tpos/map/kick/zoom {_TWICE}` doubles the kick's zoom. `/tpos/audio/sensitivity` scales all depths at once.
"""

_FEEDBACK = f"""## Feedback

Feedback starts before the engine is loaded. Numbers are one float for each address, as an OSC In CHOP expects.
A parameter that changes (by a key, or set by another controller) is sent at its own address, so that faders
follow; a parameter that a controller is moving is sent when it stops.

Where it goes:

- To port **{REPLY_PORT}** of every machine that has sent something within {_LEASE} s, of the {MAX_HOSTS} that
  sent last if there are more; before that, of this machine.
- Instead, to fixed targets: `--osc-reply 10.0.0.7:9001 --osc-reply 10.0.0.8:9011`, or in config.toml, section
  `[osc]`, `reply = ["10.0.0.7:9001", "10.0.0.8:9011"]`. A broadcast address (`10.0.0.255:9001`) reaches all computers
  of that network. A name that is not found is looked up again every 30 s.
- Also to every program that **subscribes**: `/tpos/subscribe 9011` sends everything to port 9011 of the sender, so two
  programs on one machine can each use a port of their own; without a number, to the port that the message came from,
  which is where SuperCollider listens. It is answered by `/tpos/subscribed {_LEASE}` and lasts {_LEASE} s: send it
  again every 20 s; `/tpos/unsubscribe 9011` ends it. Answers to questions of that machine go there too. At most
  {MAX_SUBSCRIBERS} can subscribe, and only for the address that the message comes from.

When a message cannot be sent (no network, no such host), the terminal says so once for each target and cause; the
next message is tried again.

What is sent:"""

_AUDIO = f"""With `audio = true` under `[osc]` in config.toml, the features of the sound are sent {AUDIO_HZ} times
a second with the addresses that Synesthesia uses: `/audio/level/{{all,bass,mid,midhigh,high}}`, `/audio/hits/...`,
`/audio/presence/...`, `/audio/beat/onbeat`, `/audio/beat/beattime`, `/audio/bpm`, `/audio/bpm/bpmconfidence`.
"""

_LEAVES = """A parameter that has addresses below it has a second one with `/value` at its end: `/tpos/prompt/value` is
`/tpos/prompt`. OSCQuery lists these, because programs such as Chataigne show no value that has others below it."""

_MOVED = {
    "German (QWERTZ)": dict(zip("YZ", "ZY", strict=True)),
    "French (AZERTY)": dict(zip("AQWZM", "QAZW,", strict=True)),
    "Dvorak": dict(zip("QWERTYUIOPSDFGHJKLZXCVBN", "',.PYFGCRLOEUIDHTN;QJKXB", strict=True)),
}
"""By layout: the label of the key that has this letter on a US keyboard, where the two differ."""


def _layout_table() -> str:
    """Markdown table: each letter key, alone or with Ctrl, and its label on other layouts."""
    keys = dict.fromkeys(name.removeprefix("Shift+") for key in KEYS for name in key.keys)
    letters = [name for name in keys if name.removeprefix("Ctrl+").isalpha() and len(name.removeprefix("Ctrl+")) == 1]
    rows = []
    for name in letters:
        there = [name[:-1] + moved.get(name[-1], name[-1]) for moved in _MOVED.values()]
        # Bold: a label that is the name of another key, where pressing it would end the show.
        rows.append((name, *(f"**{key}**" if name == "Ctrl+Q" != key and key in letters else key for key in there)))
    return "\n".join(_table(("on the table", *_MOVED), rows))


_LAYOUTS = f"""## Other keyboards

Keys go by their **physical position**: F is the key where a US keyboard has F, whatever your layout writes there, and
1 to 0 are the row above the letters, with Shift or without. So they work with Russian, Greek, Hebrew or Japanese
layouts. The keypad's digits, + and - count whether NumLock is on or off. + is the key left of Backspace and - the one
left of that; + and - also work where the layout writes them, if that key does nothing else.

Where a layout moves letters, press what is written here:

{_layout_table()}

On AZERTY, Ctrl and the key A **end the show**. On Linux the show says at its start, and `tpos-live doctor` at any time,
which letters are elsewhere. Tested on Linux under X11 with real key presses on US, French, German, Russian, Greek and
Dvorak layouts (Wayland desktops run the window under XWayland, which names keys in the same way). On Windows keys are
taken by scan code and on macOS by virtual key code; that has not been tried on those systems yet.

On a Mac, Command does what Ctrl does. What a key sets can also be set by OSC: see [OSC](osc.md)."""

PAGES = {"osc.md": osc_page, "keys.md": keys_page}


def main(folder: Path = Path("docs")) -> None:
    """Write the pages to `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
