"""The effects of triggers on parameters. OSC, MIDI and keys fire triggers through `fire`."""

from __future__ import annotations

from collections.abc import Mapping

from tpos_live.core.parameter import Value
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.shown import SELECT, SLOTS, WEIGHTS

SAFE: Mapping[str, Value] = {
    **{"out.blackout": False, "out.freeze": False, "out.testcard": False, "out.level": 1.0, "pause": False},
    **dict.fromkeys(WEIGHTS, 0.0),
}
"""Values that `out.panic` sets, besides CALMED."""
CALMED = tuple(name for name in TABLE if name.startswith(("motion.", "finish.")))
"""Parameters that `out.panic` resets to their start values."""
KEPT = (
    *("out.fullscreen", "out.screen", "out.hud", "out.page_code", "out.messages", "out.record", "out.fit", "out.alpha"),
    *(name for name in TABLE if name.startswith(("out.window", "out.wall", "out.logo.", "engine."))),
    *("audio.device", "audio.gain", "tempo.trim"),
    *("look.fade", "look.start", "quantise", "autopilot", "autopilot.bars", "autopilot.order"),
    *("midi.learn", "midi.forget"),
    *(f"prompt.{n}" for n in SLOTS),
)
"""Parameters that `reset` keeps: it must not end a recording, move the window or its corners on a wall, undo the gain
that was set for the room, shift the beat or empty the prompt bank."""
RESTORED = tuple(p.name for p in TABLE.values() if p.kind != "trigger" and p.name not in KEPT)


def next_seed(seed: int) -> int:
    """The next seed, 0 to 2**31 - 1. It depends on the last one alone, so a session can be repeated.

    A linear congruential generator of full period (Hull and Dobell 1962): each seed comes once in 2**31 steps.
    """
    return (1103515245 * seed + 12345) % 2**31


def fire(store: ParameterStore, name: str, at_once: bool = False) -> None:
    """Fire a trigger: count it, and apply its effect on the parameters.

    at_once: do not wait for the beat, whatever `quantise` is. Panic and reset drop waiting changes.
    Any thread may call it. Raises KeyError for a name that is no trigger.
    """
    # The look player delays triggers of looks, and the director waits for a bar after director.next.
    if name == "seed.random" and not at_once and store.snapshot()["quantise"] != "off":
        store.hold(name)
        return
    store.trigger(name)
    if name in ("out.panic", "reset"):
        store.take_waiting()
    if name == "out.panic":
        store.restore(CALMED)
        # A selected slot stays; a blend fades out.
        store.update({**SAFE, SELECT: store.snapshot()[SELECT]}, at_once=True)
    elif name == "reset":
        store.restore(RESTORED)
    elif name in ("tempo.tap", "tempo.resync"):  # the user sets the beat directly, so the shift ends
        store.set("tempo.shift", 0.0)
    elif name == "seed.random":
        store.set("seed", next_seed(store.snapshot()["seed"]))
