"""What a trigger does to the parameters. Every door (OSC, keys) fires triggers through `fire`."""

from __future__ import annotations

from collections.abc import Mapping

from tpos_live.core.parameter import Value
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.shown import SELECT, SLOTS, WEIGHTS

SAFE: Mapping[str, Value] = {
    **{"out.blackout": False, "out.freeze": False, "out.level": 1.0},
    **dict.fromkeys(WEIGHTS, 0.0),
}
"""What `out.panic` sets besides motion and finish."""
CALMED = tuple(name for name in TABLE if name.startswith(("motion.", "finish.")))
"""What `out.panic` sets back to its start value."""
KEPT = (
    *("out.fullscreen", "out.screen", "out.hud", "out.messages", "out.record", "audio.device", "tempo.trim"),
    *(f"prompt.{n}" for n in SLOTS),
)
"""What `reset` leaves alone: it is for the picture, and must not end a recording, move the window, shift the beat or
empty the prompt bank, which was filled for the whole night."""
RESTORED = tuple(p.name for p in TABLE.values() if p.kind != "trigger" and p.name not in KEPT)


def next_seed(seed: int) -> int:
    """Another seed, 0 to 2**31 - 1, that follows from the last one, so that a show can be repeated.

    A linear congruential step of full period (Hull and Dobell 1962): each seed comes once in 2**31 steps.
    """
    return (1103515245 * seed + 12345) % 2**31


def fire(store: ParameterStore, name: str) -> None:
    """Fire a trigger: count it for those who watch it, and do to the parameters what it stands for.

    Any thread may call it. Raises KeyError for a name that is no trigger.
    """
    store.trigger(name)
    if name == "out.panic":
        store.restore(CALMED)
        store.update({**SAFE, SELECT: store.snapshot()[SELECT]})  # a slot that is selected stays, a blend fades out
    elif name == "reset":
        store.restore(RESTORED)
    elif name == "seed.random":
        store.set("seed", next_seed(store.snapshot()["seed"]))
