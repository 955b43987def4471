"""Applies the prompt and seed that `quantise` holds back, on the beat or bar."""

from __future__ import annotations

from tpos_live.control.beat_grid import BeatGrid
from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore


def release_due(store: ParameterStore, grid: BeatGrid) -> None:
    """Apply the waiting prompt and seed if they are due. Call once per refresh, after the grid's step."""
    if not store.waiting or not grid.due(str(store.snapshot()["quantise"])):
        return
    values, triggers = store.take_waiting()
    store.update(values, at_once=True)
    for name in triggers:
        fire(store, name, at_once=True)


def waiting_text(store: ParameterStore) -> str:
    """What waits, as text: "prompt (next bar)"; "" for nothing."""
    names = dict.fromkeys(name.split(".")[0] for name in store.waiting)
    return f"{', '.join(names)} (next {store.snapshot()['quantise']})" if names else ""
