"""The last command selects the shown prompt, by every control and in every order."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conditioning.test_prompt_bank import bank, encode

from tpos_live.control.keys import apply_key
from tpos_live.control.osc_router import Datagram, Router
from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.shown import SLOTS, WEIGHTS, showing, shown_text

START = {"prompt": "sea"} | {f"prompt.{n}": f"slot {n}" for n in SLOTS}


class Doors:
    """A store with OSC and keys, as in a show."""

    def __init__(self) -> None:
        self.store = ParameterStore(START)
        self._router = Router(self.store, lambda *answer: None)
        self._now = 0.0

    def osc(self, *messages: tuple[object, ...], together: bool = False) -> None:
        """Send messages. together: all of them in one batch."""
        from control.osc_client import message

        self._now += 1.0
        batch = [Datagram(message(*parts), "10.0.0.2", self._now) for parts in messages]
        for datagrams in [batch] if together else [[one] for one in batch]:
            self._router.apply(datagrams)

    @property
    def shown(self) -> str:
        return showing(self.store.snapshot().values)


Command = tuple[str, Callable[[Doors], None], str]
BLEND = ("/tpos/prompt/blend", "red rose", "blue sea", 0.5)
COMMANDS: list[Command] = [
    ("prompt", lambda d: d.osc(("/tpos/prompt", "new")), "prompt"),
    ("same prompt", lambda d: d.osc(("/tpos/prompt", d.store.snapshot()["prompt"])), "prompt"),
    ("select 0", lambda d: d.osc(("/tpos/prompt/select", 0)), "prompt"),
    ("select 3", lambda d: d.osc(("/tpos/prompt/select", 3.0)), "slot 3"),
    ("key 0", lambda d: apply_key("0", (), d.store) and None, "prompt"),
    ("key 2", lambda d: apply_key("2", (), d.store) and None, "slot 2"),
    ("key shift+4", lambda d: apply_key("4", ("shift",), d.store) and None, "slot 4"),
    ("blend", lambda d: d.osc(BLEND), "slot 7 50 % + slot 8 50 %"),
    ("blend 0", lambda d: d.osc((*BLEND[:3], 0.0)), "slot 7 100 %"),
]


@pytest.mark.parametrize("first", COMMANDS, ids=lambda c: c[0])
@pytest.mark.parametrize("second", COMMANDS, ids=lambda c: c[0])
def test_of_two_commands_the_last_one_wins(first: Command, second: Command) -> None:
    doors = Doors()
    for _, act, shown in (first, second, first):
        act(doors)
        assert doors.shown == shown
        values = doors.store.snapshot()
        assert not (values["prompt.select"] and any(values[name] for name in WEIGHTS))


@pytest.mark.parametrize("first", COMMANDS, ids=lambda c: c[0])
def test_a_moved_weight_wins_over_any_selection(first: Command) -> None:
    doors = Doors()
    first[1](doors)
    doors.osc(("/tpos/prompt/5/weight", 0.75))
    assert doors.store.snapshot()["prompt.select"] == 0 and "slot 5" in doors.shown
    first[1](doors)
    assert doors.shown == first[2]


def test_panic_ends_a_blend_and_leaves_a_slot() -> None:
    doors = Doors()
    doors.osc(BLEND, ("/tpos/out/panic",))
    assert doors.shown == "prompt"
    doors.osc(("/tpos/prompt/select", 3), ("/tpos/out/panic",))
    assert doors.shown == "slot 3"
    doors.osc(BLEND)
    fire(doors.store, "reset")
    assert doors.shown == "prompt"


OSC = {
    "prompt": ("/tpos/prompt", "new"),
    "select 0": ("/tpos/prompt/select", 0),
    "select 3": ("/tpos/prompt/select", 3),
    "weight": ("/tpos/prompt/5/weight", 1.0),
    "blend": BLEND,
}
RESULT = {
    "prompt": "prompt", "select 0": "prompt", "select 3": "slot 3", "weight": "slot 5",
    "blend": "slot 7 50 % + slot 8 50 %",
}  # fmt: skip


@pytest.mark.parametrize("pair", list(itertools.permutations(OSC, 2)), ids=" then ".join)
def test_packets_that_come_at_once_keep_their_order(pair: tuple[str, str]) -> None:
    doors = Doors()
    doors.osc(*(OSC[name] for name in pair), together=True)
    assert RESULT[pair[1]] in doors.shown or (pair == ("blend", "weight") and "slot 5 50 %" in doors.shown)


def test_weights_in_the_bundle_of_a_prompt_are_kept() -> None:
    """Some programs send the state of all their faders in each frame."""
    from control.osc_client import bundle, message

    doors = Doors()
    for order in itertools.permutations(
        (("/tpos/prompt", "new"), ("/tpos/prompt/select", 0), ("/tpos/prompt/5/weight", 0.5))
    ):
        doors.osc(("/tpos/prompt/select", 2))
        data = bundle(*(message(*parts) for parts in order))
        doors._now += 1.0
        doors._router.apply([Datagram(data, "10.0.0.2", doors._now)])
        assert doors.shown == "slot 5 50 % + prompt 50 %"


def test_text_put_into_a_slot_changes_nothing_but_that_slot() -> None:
    doors = Doors()
    for command in ((), ("/tpos/prompt/select", 3), BLEND):
        if command:
            doors.osc(command)
        before = doors.shown
        doors.osc(("/tpos/prompt/1", "another"), ("/tpos/prompt/3", "ice"))
        assert doors.shown == before
    doors.osc(("/tpos/prompt/select", 3))
    assert shown_text(doors.store.snapshot().values) == "ice"


def test_weights_that_do_not_move_leave_a_selected_slot() -> None:
    doors = Doors()
    doors.osc(("/tpos/prompt/select", 3), ("/tpos/prompt/5/weight", 0.0))
    assert doors.shown == "slot 3"


def test_the_settings_file_and_a_prompt_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[parameters]\n'prompt.1' = 'ice'\n'prompt.1.weight' = 0.5\nprompt = 'sea'\n")
    mixed = ParameterStore(load_settings({}, file, here=tmp_path).start_values())
    assert showing(mixed.snapshot().values) == "slot 1 50 % + prompt 50 %"
    given = ParameterStore(load_settings({"parameters.prompt": "fire"}, file, here=tmp_path).start_values())
    assert showing(given.snapshot().values) == "prompt" and given.snapshot()["prompt.1"] == "ice"
    file.write_text("[parameters]\n'prompt.1' = 'ice'\n'prompt.1.weight' = 0.5\n'prompt.select' = 1\n")
    both = ParameterStore(load_settings({}, file, here=tmp_path).start_values()).snapshot()
    assert showing(both.values) == "slot 1" and both["prompt.1.weight"] == 0.0


@pytest.mark.parametrize("command", [{"prompt": "new"}, {"prompt": "sea"}, {"prompt.select": 0}, {"prompt.select": 3}])
def test_a_cleared_blend_fades_out(command: dict[str, object]) -> None:
    """In prompt.fade seconds, as any change of the prompt, and not in a fader's 0.1 s."""
    prompts, store = bank(), ParameterStore(START)
    store.update({"prompt.7.weight": 0.5, "prompt.8.weight": 0.5})
    prompts.tokens(0.0, store.snapshot())
    store.update(command)
    goal = encode(shown_text(store.snapshot().values))
    distances = []
    for n in range(1, 300):
        tokens = prompts.tokens(n / 100, store.snapshot())
        assert tokens is not None
        distances.append(float((tokens - goal).norm()))
    assert distances[-1] == 0.0
    assert distances[99] > 0.25 * distances[0], "half-way through the fade it is still seen"
    steps = [a - b for a, b in itertools.pairwise(distances)]
    assert max(steps) < 0.03 * distances[0] and torch.isfinite(torch.tensor(distances)).all()


def test_a_slot_without_a_text_shows_the_prompt() -> None:
    """A fader of 0 to 1 on /tpos/prompt/select ends at slot 1, which may be empty."""
    prompts, store = bank(), ParameterStore({"prompt": "sea", "prompt.2": " "})
    for slot in (1, 2):
        store.set("prompt.select", slot)
        values = store.snapshot().values
        assert shown_text(values) == "sea" and showing(values) == f"prompt (slot {slot} is empty)"
        tokens = prompts.tokens(10.0 * slot, store.snapshot())
        assert tokens is not None and torch.equal(tokens, encode("sea"))
    store.update({"prompt.2": "fire", "prompt.fade": 0.0})
    prompts.tokens(30.0, store.snapshot())
    tokens = prompts.tokens(31.0, store.snapshot())
    assert showing(store.snapshot().values) == "slot 2"
    assert tokens is not None and torch.equal(tokens, encode("fire"))
