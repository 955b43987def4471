"""The effects of triggers."""

import pytest

from tpos_live.control.triggers import CALMED, KEPT, fire, next_seed
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE


def test_panic_makes_the_image_safe_and_leaves_the_rest():
    store = ParameterStore({"finish.bloom": 0.6})
    store.update({"motion.zoom": 0.5, "finish.bloom": 2, "finish.light": 3, "out.blackout": 1, "out.freeze": 1})
    store.update({"out.level": 0, "prompt": "kept", "seed": 9})
    store.update({"out.testcard": 1, "pause": 1, "out.window.corner.top_left.x": 0.1})
    fire(store, "out.panic")
    now = store.snapshot()
    assert (now["out.testcard"], now["pause"], now["out.window.corner.top_left.x"]) == (False, False, 0.1)
    assert (now["motion.zoom"], now["finish.bloom"], now["finish.light"]) == (0.0, 0.6, 0.0)
    assert (now["out.blackout"], now["out.freeze"], now["out.level"]) == (False, False, 1.0)
    assert (now["prompt"], now["seed"], now.fired("out.panic")) == ("kept", 9, 1)
    assert {"motion.rotate", "finish.grain"} <= set(CALMED)


def test_panic_shows_an_image_even_if_the_show_began_black():
    store = ParameterStore({"out.level": 0.0, "out.blackout": True})
    fire(store, "out.panic")
    assert store.snapshot()["out.level"] == 1.0 and not store.snapshot()["out.blackout"]


def test_reset_restores_the_image_but_not_the_machine():
    store = ParameterStore({"prompt": "start"})
    store.update({"prompt": "else", "motion.zoom": 0.3, "map.kick.zoom": 0.2, "out.record": True, "out.screen": 1})
    store.update({"out.window.corner.top_left.x": 0.1, "out.wall.2.edge.left": 0.2})
    fire(store, "reset")
    now = store.snapshot()
    assert (now["prompt"], now["motion.zoom"]) == ("start", 0.0)
    assert now["map.kick.zoom"] == TABLE["map.kick.zoom"].default
    assert now["out.record"] is True and now["out.screen"] == 1
    assert now["out.window.corner.top_left.x"] == 0.1 and now["out.wall.2.edge.left"] == 0.2
    assert set(KEPT) <= set(TABLE)


def test_reset_leaves_what_was_set_up_for_the_room():
    """Mapping a window on a wall takes an hour, so a reset must keep it."""
    room = {"out.window.corner.top_left.x": 0.1, "out.window.rotate": "left", "out.window.edge.left": 0.2}
    room |= {"out.logo.x": 0.25, "out.fit": "contain", "audio.gain": 6.0, "engine.mode": "keyframes"}
    store = ParameterStore()
    store.update({**room, "out.testcard": True, "out.flash_limit": False})
    fire(store, "reset")
    now = store.snapshot()
    assert {name: now[name] for name in room} == room
    assert not now["out.testcard"] and now["out.flash_limit"]


def test_reset_leaves_the_prompt_bank_and_shows_the_prompt():
    store = ParameterStore({"prompt.1": "start"})
    store.update({"prompt.1": "first", "prompt.8": "last", "prompt.8.weight": 0.5, "prompt.select": 1, "prompt": "x"})
    fire(store, "reset")
    now = store.snapshot()
    assert (now["prompt.1"], now["prompt.8"], now["prompt"]) == ("first", "last", TABLE["prompt"].default)
    assert (now["prompt.8.weight"], now["prompt.select"]) == (0.0, 0)


def test_another_seed_follows_from_the_last():
    seeds = [0]
    for _ in range(10_000):
        seeds.append(next_seed(seeds[-1]))
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**31 for seed in seeds)
    a, b = ParameterStore({"seed": 7}), ParameterStore({"seed": 7})
    for store in (a, b):
        fire(store, "seed.random")
        fire(store, "seed.random")
    assert a.snapshot()["seed"] == b.snapshot()["seed"] == next_seed(next_seed(7))


def test_other_triggers_are_only_counted():
    store = ParameterStore()
    before = dict(store.snapshot().values)
    fire(store, "tempo.tap")
    fire(store, "out.snapshot")
    assert dict(store.snapshot().values) == before and store.snapshot().fired("tempo.tap") == 1
    with pytest.raises(KeyError):
        fire(store, "seed")
