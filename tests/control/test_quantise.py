"""quantise: prompts, looks and seeds wait for the bar; faders and safety controls do not."""

from __future__ import annotations

import pytest

from tpos_live.control.beat_grid import release_due, waiting_text
from tpos_live.control.keys import apply_key
from tpos_live.control.look_player import LookPlayer
from tpos_live.control.triggers import fire
from tpos_live.core.looks import Look, Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import Features

BANK = {"prompt": "sea", "prompt.1": "one", "prompt.2": "two"}


class Stage:
    """A store whose beat runs at 120 BPM, 60 refreshes a second."""

    def __init__(self, quantise: str) -> None:
        self.store = ParameterStore({**BANK, "quantise": quantise})
        self.player = LookPlayer(self.store, Show((Look("deep", {"prompt": "deep sea"}),)))
        self.frame = 0

    def run_until(self, name: str, value: object, seconds: float = 12.0, tempo: float = 120.0) -> float:
        """Seconds on the clock at which a parameter has the value."""
        for _ in range(round(seconds * 60)):
            self.step(tempo)
            if self.store.snapshot()[name] == value:
                return self.frame / 60
        raise AssertionError(f"{name} is {self.store.snapshot()[name]} after {seconds} s")

    def step(self, tempo: float = 120.0, beats: float | None = None) -> None:
        self.frame += 1
        beats = self.frame / 60 * tempo / 60 if beats is None else beats
        self.player.step(self.frame / 60, Features(tempo=tempo, beats=int(beats), bar_phase=beats / 4 % 1.0))
        release_due(self.store, self.player.grid)

    def until(self, seconds: float) -> None:
        while self.frame / 60 < seconds:
            self.step()

    def __getitem__(self, name: str) -> object:
        return self.store.snapshot()[name]


@pytest.mark.parametrize(("quantise", "at"), [("off", 1.1), ("beat", 1.5), ("bar", 2.0), ("4 bars", 8.0)])
@pytest.mark.parametrize("door", ["prompt", "key", "seed", "look"])
def test_a_change_takes_effect_on_the_grid(quantise: str, at: float, door: str) -> None:
    stage = Stage(quantise)
    stage.until(1.1)
    seed = stage["seed"]
    if door == "prompt":
        stage.store.set("prompt", "sky")
        assert stage["prompt"] == ("sky" if quantise == "off" else "sea")
        assert waiting_text(stage.store) == ("" if quantise == "off" else f"prompt (next {quantise})")
        happened = stage.run_until("prompt", "sky")
    elif door == "key":
        apply_key("2", (), stage.store)
        happened = stage.run_until("prompt.select", 2)
    elif door == "seed":
        fire(stage.store, "seed.random")
        while stage["seed"] == seed and stage.frame < 600:
            stage.step()
        happened = stage.frame / 60
    else:
        stage.store.update({"look.recall": "deep", "look.fade": 0.0})
        stage.step()
        assert stage.player.waiting == ("" if quantise == "off" else f"look deep (next {quantise})")
        happened = 1.1 if stage["prompt"] == "deep sea" else stage.run_until("prompt", "deep sea")
    assert happened == pytest.approx(at, abs=0.04)
    assert waiting_text(stage.store) == stage.player.waiting == ""


@pytest.mark.parametrize(
    "values",
    [
        {"out.blackout": True},
        {"out.freeze": True},
        {"out.level": 0.2},
        {"prompt.1.weight": 0.5},
        {"prompt.7": "fills the bank"},
        {"finish.bloom": 1.0},
        {"tempo": 128.0},
    ],
)
def test_faders_and_safe_controls_never_wait(values: dict[str, object]) -> None:
    stage = Stage("4 bars")
    stage.store.update(values)
    assert all(stage[name] == value for name, value in values.items()) and not stage.store.waiting


@pytest.mark.parametrize("trigger", ["out.panic", "reset"])
def test_panic_and_reset_come_at_once_and_drop_what_waits(trigger: str) -> None:
    stage = Stage("bar")
    stage.until(0.2)
    stage.store.update({"prompt": "sky", "finish.bloom": 2.0, "prompt.1.weight": 0.5, "out.blackout": True})
    fire(stage.store, trigger)
    assert stage["finish.bloom"] == 0.35 and not stage["out.blackout"] and not stage.store.waiting
    stage.until(5.0)
    assert stage["prompt"] == "sea"


def test_the_last_of_several_waiting_commands_wins() -> None:
    stage = Stage("bar")
    stage.until(0.2)
    stage.store.set("prompt.select", 2)
    stage.store.update({"prompt": "sky"})
    stage.until(2.1)
    assert (stage["prompt"], stage["prompt.select"]) == ("sky", 0)
    for key in "nn":
        apply_key(key, (), stage.store)
    assert stage["prompt.select"] == 0, "still waiting"
    stage.until(4.1)
    assert stage["prompt.select"] == 2, "the second key counted from what waits"
    stage.store.set("prompt.select", 1)
    stage.store.set("prompt.select", 2)
    assert not stage.store.waiting, "back to what is shown"


def test_a_blend_waits_with_its_weights() -> None:
    stage = Stage("bar")
    stage.until(0.2)
    blend = {"prompt.7": "fire", "prompt.8": "ice", "prompt.7.weight": 0.25, "prompt.8.weight": 0.75}
    stage.store.update({**blend, "prompt.select": 0})
    assert stage["prompt.8.weight"] == 0.0
    stage.until(2.1)
    assert (stage["prompt.7.weight"], stage["prompt.8.weight"], stage["prompt.8"]) == (0.25, 0.75, "ice")


def test_without_a_beat_it_waits_no_longer_than_a_slow_bar() -> None:
    silent = Stage("4 bars")
    silent.step(tempo=0.0)
    silent.store.set("prompt", "sky")
    assert silent.run_until("prompt", "sky", 0.1, tempo=0.0)
    stalled = Stage("4 bars")
    stalled.until(1.0)
    stalled.store.set("prompt", "sky")
    for _ in range(60 * 5):
        stalled.step(beats=2.0)  # the audio has stopped: the beat stands still
    assert stalled["prompt"] == "sky"


def test_off_lets_go_of_what_waits() -> None:
    stage = Stage("4 bars")
    stage.until(0.2)
    stage.store.set("prompt", "sky")
    stage.store.set("quantise", "off")
    stage.step()
    assert stage["prompt"] == "sky"
