"""Cues: stored from the shown look, moved and deleted, while the show keeps its place in the list."""

from __future__ import annotations

import pytest

from tpos_live.control.look_player import LookPlayer
from tpos_live.control.triggers import fire
from tpos_live.core.looks import Cue, Look, Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import Features

LOOKS = tuple(Look(name, {"prompt": name}) for name in ("a", "b", "c", "d"))


class Desk:
    """A player with three cues, and what it has saved."""

    def __init__(self, cues: str = "abc", here: int = -1) -> None:
        self.saved: list[Show] = []
        self.player = LookPlayer(
            ParameterStore(), Show(LOOKS, tuple(Cue(c) for c in cues)), self.saved.append, cue=here
        )
        self.now = 0.0
        self.step()  # the first step only learns the counts of triggers

    def step(self) -> None:
        self.now += 0.1
        self.player.step(self.now, Features())

    def ask(self, **edits: str) -> None:
        self.player.store.update({f"look.cue.{name}": called for name, called in edits.items()})
        self.step()
        assert all(self.player.store.snapshot()[f"look.cue.{name}"] == "" for name in edits)

    def press(self, trigger: str) -> None:
        fire(self.player.store, trigger)
        self.step()

    @property
    def cues(self) -> str:
        return "".join(cue.look for cue in self.player.show.cues)


def test_the_look_that_is_shown_becomes_the_last_cue(messages: list[str]) -> None:
    desk = Desk()
    desk.player.store.update({"look.recall": "d", "look.fade": 0.0})
    desk.step()
    desk.player.store.update({"look.fade": 8.0, "look.start": "4 bars", "quantise": "bar"})
    desk.press("look.cue.store")
    assert desk.player.show.cues[-1] == Cue("d", 8.0, "4 bars") and desk.cues == "abcd"
    assert desk.saved == [desk.player.show] and messages[-1] == "stored as cue 4: d"
    desk.player.store.update({"look.store": "mine"})
    desk.step()
    desk.press("look.cue.store")
    assert desk.player.show.cues[-1].look == "mine", "a look that was stored is shown too"


def test_it_is_said_that_a_cue_lacks_what_was_changed_since_the_recall(messages: list[str]) -> None:
    desk = Desk()
    desk.player.store.update({"look.recall": "d", "look.fade": 0.3})
    desk.step()
    desk.press("look.cue.store")
    assert messages[-1] == "stored as cue 4: d", "what a fade still moves was changed by nobody"
    for _ in range(5):
        desk.step()
    desk.player.store.update({"finish.bloom": 1.0, "out.level": 0.5})
    desk.press("look.cue.store")
    assert messages[-1] == "stored as cue 5: d, without what was changed since: L stores that as another look"
    desk.player.store.update({"look.store": "d"})
    desk.step()
    desk.press("look.cue.store")
    assert messages[-1] == "stored as cue 6: d", "the level is the room's"


def test_a_recall_that_waits_is_not_ended_by_a_cue_that_is_stored() -> None:
    desk = Desk()
    desk.player.store.update({"look.recall": "d", "look.fade": 0.0})
    desk.step()
    desk.player.recall("b", 0.0, "16 bars")
    desk.press("look.cue.store")
    assert desk.player.show.cues[-1].look == "d"
    desk.step()
    assert desk.player.shown == "b", "without a tempo it begins at once"


def test_without_a_look_nothing_is_stored(messages: list[str]) -> None:
    desk = Desk()
    desk.press("look.cue.store")
    assert desk.cues == "abc" and not desk.saved
    assert messages == ["no look is shown that a cue could recall: store or recall one first"]


def test_no_more_cues_are_stored_than_a_show_file_takes(messages: list[str]) -> None:
    desk = Desk("a" * 5000)
    desk.player.shown = "a"
    desk.press("look.cue.store")
    assert len(desk.player.show.cues) == 5000 and not desk.saved
    assert messages == ["the cue is not stored: 5000 cues are the most; delete one"]


@pytest.mark.parametrize(
    ("edit", "called", "cues", "line"),
    [
        ("up", "3", "acb", "cue 3 is now cue 2: c"),
        ("down", "1", "bac", "cue 1 is now cue 2: a"),
        ("delete", "2", "ac", "cue 2 deleted: b"),
    ],
)
def test_a_cue_is_moved_and_deleted_by_its_number(
    edit: str, called: str, cues: str, line: str, messages: list[str]
) -> None:
    desk = Desk()
    desk.ask(**{edit: called})
    assert desk.cues == cues and desk.saved == [desk.player.show] and messages == [line]
    assert len(desk.player.show.looks) == 4, "the looks stay"


@pytest.mark.parametrize(
    ("edit", "called", "line"),
    [
        ("up", "1", "cue 1 is the first"),
        ("down", "3", "cue 3 is the last"),
        ("up", "4", "there is no cue '4'; there are 3"),
        ("down", "0", "there is no cue '0'; there are 3"),
        ("delete", "b", "there is no cue 'b'; there are 3"),
        ("delete", "-1", "there is no cue '-1'; there are 3"),
        ("delete", "1.5", "there is no cue '1.5'; there are 3"),
        ("delete", "²", "there is no cue '²'; there are 3"),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line(edit: str, called: str, line: str, messages: list[str]) -> None:
    desk = Desk()
    desk.ask(**{edit: called})
    assert desk.cues == "abc" and not desk.saved and messages == [line]


@pytest.mark.parametrize(
    ("edits", "next_look"),
    [
        ([("up", "3")], "d"),  # a c b d: b is shown
        ([("down", "2")], "d"),
        ([("up", "2")], "a"),  # b a c d
        ([("delete", "1")], "c"),
        ([("delete", "2")], "c"),  # the one that is shown
        ([("delete", "4")], "c"),
        ([("delete", "2"), ("delete", "1")], "c"),
    ],
)
def test_the_show_stays_where_it_is_in_the_list(edits: list[tuple[str, str]], next_look: str) -> None:
    """The second of the cues a b c d was recalled last."""
    desk = Desk("abcd", here=1)
    for edit, called in edits:
        desk.ask(**{edit: called})
    desk.press("look.next")
    assert desk.player.shown == next_look


@pytest.mark.parametrize(
    ("here", "edits", "shown"),
    [
        (1, [("delete", "2")], "a"),
        (2, [("delete", "3"), ("delete", "2")], "a"),
        (3, [("delete", "4"), ("delete", "1")], "c"),
        (1, [("delete", "2"), ("delete", "2")], "a"),
        (0, [("delete", "1")], "d"),  # before the first comes the last
        (1, [("delete", "2"), ("down", "1")], "c"),  # c a d
        (1, [("delete", "3")], "a"),
    ],
)
def test_the_cue_before_one_that_was_deleted_is_the_previous_one(
    here: int, edits: list[tuple[str, str]], shown: str
) -> None:
    desk = Desk("abcd", here)
    for edit, called in edits:
        desk.ask(**{edit: called})
    desk.press("look.previous")
    assert desk.player.shown == shown


@pytest.mark.parametrize(
    ("deleted", "trigger", "shown"),
    [
        ("b", "look.next", "c"),
        ("b", "look.previous", "a"),
        ("ba", "look.next", "c"),
        ("bc", "look.previous", "a"),
        ("ba", "look.previous", "d"),
    ],
)
def test_without_cues_a_look_that_is_deleted_leaves_the_show_between_its_neighbours(
    deleted: str, trigger: str, shown: str
) -> None:
    desk = Desk("")
    desk.player.store.update({"look.recall": "b", "look.fade": 0.0})
    desk.step()
    for look in deleted:
        desk.player.store.set("look.delete", look)
        desk.step()
    assert desk.player.shown == ""
    desk.press(trigger)
    assert desk.player.shown == shown


def test_which_cue_is_shown_and_which_comes_next() -> None:
    desk = Desk("abca")
    assert desk.player.cues == (0, 1)
    desk.press("look.previous")
    assert desk.player.cues == (4, 1) and desk.player.shown == "a"
    desk.ask(delete="4")
    assert desk.player.cues == (0, 1), "the one that is shown was deleted"
    desk.press("look.next")
    assert desk.player.cues == (1, 2)
    desk.player.recall("d", 0.0, "now")
    assert desk.player.cues == (0, 2), "a look by hand is no cue, and the next one stays the next"
    desk.step()
    assert desk.player.cues == (0, 2) and desk.player.shown == "d"
    desk.player.show = Show(LOOKS)
    assert desk.player.cues == (0, 0)


def test_a_cue_that_waits_for_its_bar_is_told_before_it_is_shown() -> None:
    desk = Desk("ab")
    desk.player.show = Show(LOOKS, (Cue("a"), Cue("b", 0.0, "16 bars")))
    desk.press("look.next")
    desk.player.step(desk.now, Features(tempo=120.0, beats=1, bar_phase=0.1))
    fire(desk.player.store, "look.next")
    for beat in (2, 3):
        desk.now += 0.5
        desk.player.step(desk.now, Features(tempo=120.0, beats=beat, bar_phase=0.1 + beat / 10))
    assert (desk.player.shown, desk.player.cues) == ("a", (2, 1)) and desk.player.waiting == "look b (next 16 bars)"


def test_a_look_that_is_deleted_takes_its_cues_along_and_the_show_stays_where_it_is() -> None:
    desk = Desk("abcd", here=1)
    desk.player.store.set("look.delete", "a")
    desk.step()
    desk.press("look.next")
    assert desk.cues == "bcd" and desk.player.shown == "c"
    desk.player.store.set("look.delete", "c")
    desk.step()
    desk.press("look.previous")
    assert desk.cues == "bd" and desk.player.shown == "b"
