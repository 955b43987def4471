"""Looks: recalled with fades and on the bar, stored, deleted, and recalled by the autopilot."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tpos_live.control.keys import apply_key
from tpos_live.control.look_player import LookPlayer
from tpos_live.control.triggers import fire
from tpos_live.core.looks import PARAMETERS, Cue, Look, Show
from tpos_live.core.parameter_store import MOST_ORDERS, ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.features.features import Features

DEEP = Look("deep", {"prompt": "deep sea", "finish.bloom": 1.0, "seed.walk": 0.5, "seed": 7})
LOUD = Look("Loud", {"prompt": "lasers", "finish.bloom": 0.1, "map.kick.zoom": 0.2, "out.fit": "cover"})
CITY = Look("city", {"prompt.1": "city", "prompt.1.weight": 0.6})
LOOKS = Show((DEEP, LOUD, CITY))


def run(player: LookPlayer, seconds: tuple[float, float], tempo: float = 120.0, drop_at: float = -1.0) -> list[dict]:
    """Run steps at 60 Hz; returns the values after each step."""
    seen = []
    for n in range(round(seconds[0] * 60), round(seconds[1] * 60)):
        beats = n / 60 * tempo / 60
        drops = int(0 <= drop_at <= n / 60)
        player.step(n / 60, Features(tempo=tempo, beats=int(beats), bar_phase=beats / 4 % 1.0), drops)
        seen.append(dict(player.store.snapshot().values))
    return seen


@pytest.fixture
def player() -> LookPlayer:
    return LookPlayer(ParameterStore({"prompt": "sea"}), LOOKS)


def test_a_recall_fades_numbers_and_changes_the_rest_where_it_begins(player: LookPlayer) -> None:
    player.store.update({"look.recall": "DEEP", "look.fade": 2.0})
    seen = run(player, (0, 3))
    assert seen[0]["prompt"] == "deep sea" and seen[0]["seed"] == 7 and seen[0]["prompt.fade"] == 2.0
    bloom = [values["finish.bloom"] for values in seen]
    assert bloom[0] < 0.4 and bloom[60] == pytest.approx(0.675, abs=0.03) and bloom[-1] == 1.0
    assert max(b - a for a, b in pairwise(bloom)) < 0.03
    assert seen[-1]["seed.walk"] == 0.5 and seen[-1]["look.recall"] == "" and player.shown == "deep"


def test_a_recall_sets_everything_that_a_look_holds_and_nothing_of_the_room(player: LookPlayer) -> None:
    room = {"out.level": 0.3, "out.blackout": True, "audio.gain": 6.0, "tempo": 128.0, "audio.device": "mixer"}
    player.store.update({**room, "finish.light": 2.0, "motion.zoom": 0.3, "look.recall": "deep", "look.fade": 0.0})
    last = run(player, (0, 0.1))[-1]
    assert {name: last[name] for name in PARAMETERS} == DEEP.whole()
    assert {name: last[name] for name in room} == room


def test_the_autopilot_searches_the_cues_once_and_not_in_every_refresh(player: LookPlayer) -> None:
    """With 500 looks and 5000 cues a linear search took 60 ms, more than two frames."""
    found: list[str] = []

    class Counted(Show):
        def find(self, called: str) -> Look | None:
            found.append(called)
            return super().find(called)

    player.show = Counted(LOOKS.looks, tuple(Cue(name) for name in ("deep", "Loud", "city") * 20))
    player.store.update({"autopilot": True, "autopilot.order": "random"})
    run(player, (0, 2))
    assert len(found) < 100
    assert player.cues[1] and len(found) < 130


@pytest.mark.parametrize(
    ("start", "begins"), [("now", 1.1), ("beat", 1.5), ("bar", 2.0), ("4 bars", 8.0), ("16 bars", 32.0)]
)
def test_a_recall_waits_for_its_place_in_the_bar(player: LookPlayer, start: str, begins: float) -> None:
    player.store.update({"look.start": start, "look.fade": 0.0})
    run(player, (0, 1.1))
    player.store.set("look.recall", "deep")
    seen = run(player, (1.1, 34))
    first = next(n for n, values in enumerate(seen) if values["prompt"] == "deep sea")
    assert 1.1 + first / 60 == pytest.approx(begins, abs=0.03)


def test_a_recall_that_is_repeated_in_every_frame_ends_its_fade(player: LookPlayer) -> None:
    player.store.set("look.fade", 1.0)
    for n in range(100):
        player.store.set("look.recall", "deep")
        run(player, (n / 60, (n + 1) / 60))
    assert player.store.snapshot()["finish.bloom"] == 1.0


def test_the_autopilot_goes_on_without_a_beat(player: LookPlayer) -> None:
    player.store.update({"autopilot": True, "autopilot.bars": 4})
    run(player, (0, 10), tempo=0.0)
    assert player.shown == "deep"


def test_a_deleted_look_is_shown_no_longer(player: LookPlayer) -> None:
    player.store.update({"look.recall": "deep", "look.fade": 0.0})
    run(player, (0, 0.1))
    player.store.set("look.delete", "deep")
    run(player, (0.1, 0.2))
    assert player.shown == "" and player.show.find("deep") is None


def test_without_a_tempo_it_begins_at_once(player: LookPlayer) -> None:
    player.store.update({"look.start": "16 bars", "look.recall": "2", "look.fade": 0.0})
    assert run(player, (0, 0.1), tempo=0.0)[-1]["prompt"] == "lasers"


def test_what_is_moved_by_hand_during_a_fade_stays_there(player: LookPlayer) -> None:
    player.store.update({"look.recall": "deep", "look.fade": 2.0})
    run(player, (0, 1))
    player.store.set("finish.bloom", 0.2)
    last = run(player, (1, 3))[-1]
    assert last["finish.bloom"] == 0.2 and last["seed.walk"] == 0.5


def test_weights_of_the_bank_fade_too(player: LookPlayer) -> None:
    player.store.update({"look.recall": "city", "look.fade": 1.0})
    seen = run(player, (0, 2))
    weights = [values["prompt.1.weight"] for values in seen]
    assert weights[0] < 0.05 and weights[-1] == pytest.approx(0.6) and max(b - a for a, b in pairwise(weights)) < 0.05
    player.store.update({"look.recall": "deep"})
    weights = [values["prompt.1.weight"] for values in run(player, (2, 4))]
    assert weights[0] > 0.5 and weights[-1] == 0.0


def test_a_fade_that_is_cut_off_by_another_recall_ends_in_the_second(player: LookPlayer) -> None:
    player.store.update({"look.recall": "deep", "look.fade": 4.0})
    run(player, (0, 2))
    player.store.set("look.recall", "loud")
    last = run(player, (2, 7))[-1]
    assert {name: last[name] for name in PARAMETERS} == LOUD.whole() | {"prompt.fade": last["prompt.fade"]}
    assert last["prompt.fade"] == 2.0, "the look's own again"


def test_what_is_stored_is_what_is_recalled(player: LookPlayer) -> None:
    saved: list[Show] = []
    player.save = saved.append
    player.store.update(
        {"prompt": "aurora", "finish.bloom": 1.5, "map.kick.zoom": 0.1, "out.level": 0.2, "look.store": "mine"}
    )
    before = run(player, (0, 0.1))[-1]
    assert saved[-1].looks[-1].name == "mine" and before["look.store"] == ""
    player.store.update({"look.recall": "loud", "look.fade": 0.0})
    run(player, (0.1, 0.2))
    player.store.set("look.recall", "mine")
    after = run(player, (0.2, 0.3))[-1]
    assert all(after[name] == before[name] for name in PARAMETERS)
    player.store.set("look.delete", "mine")
    run(player, (0.3, 0.4))
    assert player.show == LOOKS and saved[-1] == LOOKS


def test_a_look_stored_during_a_fade_is_recalled_and_keeps_nothing_of_the_fade(player: LookPlayer) -> None:
    player.store.update({"look.recall": "deep", "look.fade": 4.0})
    run(player, (0, 2))
    player.store.set("look.store", "halfway")
    here = run(player, (2, 2.1))[0]
    player.store.update({"look.recall": "halfway", "look.fade": 0.0})
    last = run(player, (2.1, 5))[-1]
    assert 0.4 < here["finish.bloom"] < 0.9 and last["finish.bloom"] == pytest.approx(here["finish.bloom"], abs=0.05)
    assert (here["prompt.fade"], last["prompt.fade"]) == (4.0, TABLE["prompt.fade"].default)
    player.store.update({"look.recall": "deep", "look.fade": 4.0})
    run(player, (5, 7))
    player.store.set("look.store", "deep")
    run(player, (7, 7.1))
    player.store.update({"look.recall": "deep", "look.fade": 0.0})
    assert run(player, (7.1, 12))[-1]["finish.bloom"] < 0.95, "as it was stored, not where the fade went"


def test_orders_of_one_frame_are_each_carried_out_with_the_values_of_their_moment(player: LookPlayer) -> None:
    saved: list[Show] = []
    player.save = saved.append
    for prompt, order in (("dunes", "first"), ("reef", "second")):
        player.store.update({"prompt": prompt, "look.store": order})
    player.store.set("look.delete", "deep")
    last = run(player, (0, 0.1))[-1]
    names = [(look.name, look.values.get("prompt")) for look in player.show.looks]
    assert names == [("Loud", "lasers"), ("city", None), ("first", "dunes"), ("second", "reef")] and len(saved) == 3
    assert last["look.store"] == last["look.delete"] == "" and last["prompt"] == "reef"


def test_a_flood_of_orders_has_an_end(player: LookPlayer) -> None:
    for number in range(3 * MOST_ORDERS):
        player.store.set("look.store", f"look {number}")
    run(player, (0, 0.1))
    assert len(player.show.looks) == len(LOOKS.looks) + MOST_ORDERS
    assert player.show.looks[-1].name == f"look {3 * MOST_ORDERS - 1}"


def test_keys_store_under_free_names_and_step_through(player: LookPlayer) -> None:
    store = player.store
    apply_key("l", (), store)
    run(player, (0, 0.1))
    apply_key("l", (), store)
    run(player, (0.1, 0.2))
    assert [look.name for look in player.show.looks[3:]] == ["look 1", "look 2"]
    store.set("look.fade", 0.0)
    shown = []
    for n, key in enumerate(["pagedown", "pagedown", "pageup", "pageup"]):
        apply_key(key, (), store)
        run(player, (1 + n, 1.1 + n))
        shown.append(player.shown)
    assert shown == ["deep", "Loud", "deep", "look 2"]


def test_cues_go_in_their_order_with_their_own_fades(player: LookPlayer) -> None:
    player.show = Show(LOOKS.looks, (Cue("loud", 0.0), Cue("deep", 1.0, "bar"), Cue("loud", 0.0)))
    fire(player.store, "look.next")
    player.step(0.0, Features())  # the first step only learns the counts
    shown: list[str] = []
    for n in range(3):
        fire(player.store, "look.next")
        run(player, (1 + 4 * n, 5 + 4 * n))
        shown.append(player.shown)
    assert shown == ["Loud", "deep", "Loud"]


def test_a_cue_is_recalled_by_its_number_with_its_own_fade(player: LookPlayer) -> None:
    player.show = Show(LOOKS.looks, (Cue("loud", 0.0), Cue("deep", 1.0), Cue("loud", 0.0)))
    player.store.update({"look.fade": 30.0, "look.cue": "2"})
    run(player, (0, 2))
    assert (player.shown, player.cue, player.store.snapshot()["look.cue"]) == ("deep", 1, "")
    fire(player.store, "look.next")
    run(player, (2, 3))
    assert (player.shown, player.cue) == ("Loud", 2), "the next one follows it"


def test_by_chance_no_look_comes_again_soon_and_all_come_in_each_round() -> None:
    names = [f"look {n}" for n in range(16)]
    store = ParameterStore({"autopilot": True, "autopilot.bars": 4, "autopilot.order": "random", "look.fade": 0.0})
    player = LookPlayer(store, Show(tuple(Look(name, {}) for name in names)))
    shown: list[str] = []
    for n in range(16 * 12 * 4):
        player.step(n * 2.0, Features(tempo=120.0, beats=4 * n, bar_phase=0.9))
        player.step(n * 2.0 + 1.9, Features(tempo=120.0, beats=4 * n + 3, bar_phase=0.1))
        if player.shown and shown[-1:] != [player.shown]:
            shown.append(player.shown)
    assert len(shown) > 160
    again = [n - max(k for k in range(n) if shown[k] == name) for n, name in enumerate(shown) if name in shown[:n]]
    assert min(again) > 5, "five others at least are between"
    assert max(again) < 32 and len({tuple(shown[n : n + 3]) for n in range(len(shown))}) > 120, "by chance"


def test_without_cues_the_number_of_a_cue_is_that_of_a_look(player: LookPlayer, messages: list[str]) -> None:
    player.store.update({"look.fade": 0.0, "look.cue": "2"})
    run(player, (0, 1))
    assert (player.shown, player.cue) == (LOOKS.looks[1].name, -1)
    player.store.set("look.cue", "30")
    run(player, (1, 2))
    assert messages[-1] == f"there is no look '30'; there are {len(LOOKS.looks)}"


@pytest.mark.parametrize("number", ["0", "4", "-1", "deep", "1.5", "²", "9" * 5000])
def test_a_cue_that_does_not_exist_is_one_line(
    player: LookPlayer, number: str, caplog: pytest.LogCaptureFixture
) -> None:
    player.show = Show(LOOKS.looks, (Cue("loud"),) * 3)
    player.store.set("look.cue", number)
    run(player, (0, 1))
    assert player.cue == -1 and player.shown == ""
    assert next(record.message for record in caplog.records if "cue" in record.message).endswith("there are 3")


@pytest.mark.parametrize("order", ["order", "random"])
def test_the_autopilot_changes_every_few_bars_without_repeats(player: LookPlayer, order: str) -> None:
    player.store.update({"autopilot": True, "autopilot.bars": 4, "autopilot.order": order, "look.fade": 0.5})
    names: list[tuple[float, str]] = []
    for n in range(64):
        run(player, (n, n + 1))
        if not names or names[-1][1] != player.shown:
            names.append((n, player.shown))
    changes = names[1:]
    assert len(changes) >= 6 and all(7 <= b - a <= 9 for (a, _), (b, _) in pairwise(changes))
    assert all(a != b for (_, a), (_, b) in pairwise(changes))
    assert len({name for _, name in changes[:3]}) == (3 if order == "order" else len({n for _, n in changes[:3]}))


@pytest.mark.parametrize("order", ["order", "random"])
def test_the_autopilot_takes_the_looks_of_the_cues_alone(player: LookPlayer, order: str) -> None:
    player.show = Show(LOOKS.looks, (Cue("loud", 0.0), Cue("deep", 0.0), Cue("LOUD", 0.0)))
    player.store.update({"autopilot": True, "autopilot.bars": 4, "autopilot.order": order, "look.fade": 0.0})
    shown: set[str] = set()
    for n in range(64):
        run(player, (n, n + 1))
        shown.add(player.shown)
    assert shown == {"", "Loud", "deep"}, "of three looks"
    player.show = Show(LOOKS.looks, (Cue("deep"),))
    player.store.set("autopilot.order", "random")
    run(player, (64, 96))
    assert player.shown == "deep", "one alone: it stays"


@pytest.mark.parametrize("order", ["order", "random"])
def test_the_autopilot_leaves_the_only_look_of_the_cues_as_it_is(player: LookPlayer, order: str) -> None:
    player.show = Show(LOOKS.looks, (Cue("deep", 0.0), Cue("Deep", 2.0)))
    player.store.update({"autopilot": True, "autopilot.bars": 4, "autopilot.order": order, "look.fade": 0.0})
    run(player, (0, 12))
    assert player.shown == "deep"
    player.store.set("finish.light", 1.5)
    run(player, (12, 40))
    assert player.store.snapshot()["finish.light"] == 1.5, "what was changed by hand stays"


def test_keep_holds_a_look_and_a_drop_comes_sooner(player: LookPlayer) -> None:
    player.store.update({"autopilot": True, "autopilot.bars": 8})
    run(player, (0, 12))
    fire(player.store, "look.keep")
    run(player, (12, 26))
    assert player.shown == ""
    run(player, (26, 30))
    assert player.shown == "deep"
    run(player, (30, 42), drop_at=40.0)
    assert player.shown == "Loud", "5 bars after the last change"


@pytest.mark.parametrize(
    "ask",
    [{"look.recall": "nothing of this name"}, {"look.delete": "99"}, {"look.recall": "0"}, {"look.recall": "🔥" * 500}],
)
def test_a_look_that_is_not_there_is_one_line(player: LookPlayer, ask: dict[str, str], messages: list[str]) -> None:
    before = dict(player.store.snapshot().values)
    player.store.update(ask)
    run(player, (0, 0.2))
    assert dict(player.store.snapshot().values) == before and player.show == LOOKS
    assert len(messages) == 1 and "there is no look" in messages[0]


def test_next_without_looks_says_how_to_make_one(messages: list[str]) -> None:
    empty = LookPlayer(ParameterStore())
    run(empty, (0, 0.1))
    fire(empty.store, "look.next")
    run(empty, (0.1, 0.2))
    assert messages == ["there are no looks: L stores one"]


@pytest.mark.parametrize("called", ["²", "1" * 5000, "٣", "\0", "nan", "-1"])
def test_a_number_that_is_none_of_a_look_ends_nothing(called: str) -> None:
    store = ParameterStore()
    player = LookPlayer(store, Show((Look("a", {}),)))
    for name in ("look.recall", "look.delete"):
        store.set(name, called)
        player.step(0.0, Features())
    assert player.shown == "" and len(player.show.looks) == 1


@pytest.mark.parametrize("name", ["\0", "\u200b \x1b"])
def test_a_look_without_a_name_that_can_be_shown_is_not_stored(name: str) -> None:
    store = ParameterStore({"look.store": name})
    player = LookPlayer(store)
    player.step(0.0, Features())
    assert not player.show.looks


def test_no_more_looks_are_stored_than_a_show_file_takes() -> None:
    player = LookPlayer(ParameterStore({"look.store": "one more"}), Show(tuple(Look(f"n {n}", {}) for n in range(500))))
    player.step(0.0, Features())
    assert len(player.show.looks) == 500


@pytest.mark.parametrize("trigger", ["out.panic", "reset"])
def test_panic_and_reset_end_a_fade_and_what_waits(trigger: str) -> None:
    store = ParameterStore()
    player = LookPlayer(store, Show((Look("bright", {"finish.light": 3.0}),)))
    player.step(0.0, Features())
    player.recall("bright", 4.0, "now")
    player.step(0.0, Features())  # nothing has moved yet
    player.recall("bright", 4.0, "bar")
    fire(store, trigger)
    for n in range(1, 100):
        player.step(n / 10, Features(tempo=120.0, beats=n, bar_phase=n / 4 % 1.0))
    assert store.snapshot()["finish.light"] == 0.0
    assert store.snapshot()["prompt.fade"] == 2.0


def test_a_prompt_fade_that_somebody_sets_during_a_fade_stays() -> None:
    store = ParameterStore()
    player = LookPlayer(store, Show((Look("bright", {"finish.light": 3.0}),)))
    player.recall("bright", 4.0, "now")
    player.step(0.0, Features())
    store.set("prompt.fade", 9.0)
    player.step(5.0, Features())
    assert store.snapshot()["prompt.fade"] == 9.0


def test_by_chance_the_next_cue_that_is_said_is_the_one_that_comes(player: LookPlayer) -> None:
    """Also for the button Next: it skips the shown look, in the autopilot's order."""
    looks = tuple(Look(f"look {number}", {"seed": number}) for number in range(9))
    player.show = Show(looks, tuple(Cue(look.name) for look in looks))
    player.store.update({"autopilot": True, "autopilot.bars": 4, "autopilot.order": "random", "look.fade": 0.0})
    said, shown, now = [], [], 0.0
    for turn in range(30):
        run(player, (now, now + 1.0))
        said.append(player.show.cues[player.cues[1] - 1].look)
        before = player.shown
        if turn % 3 == 2:
            fire(player.store, "look.next")
        while player.shown == before:
            run(player, (now, now := now + 1.0))
        shown.append(player.shown)
    assert said == shown
    assert len(set(shown[:9])) == 9 and all(len(set(shown[at : at + 3])) == 3 for at in range(28))
    player.store.set("autopilot", False)
    run(player, (now, now + 0.5))
    assert player.cues[1] == 1, "what Next recalls, in order"


def test_a_look_called_by_a_number_that_is_deleted_while_it_waits_is_not_the_second_look(player: LookPlayer) -> None:
    player.store.set("look.store", "2")
    run(player, (0, 0.1))
    player.store.update({"look.recall": "2", "look.fade": 0.0, "look.start": "bar"})
    run(player, (0.1, 1))
    player.store.update({"look.delete": "2"})
    run(player, (1, 3))
    assert player.shown == "" and not player.waiting and player.store.snapshot()["prompt"] == "sea"


def test_a_look_recalled_anew_during_its_fade_takes_the_place_of_one_that_waits(player: LookPlayer) -> None:
    player.store.update({"look.recall": "deep", "look.fade": 10.0})
    run(player, (0, 0.5))
    player.store.update({"look.recall": "loud", "look.start": "bar"})
    run(player, (0.5, 1))
    player.store.set("look.recall", "deep")
    run(player, (1, 3))
    assert player.shown == "deep" and not player.waiting


def test_storing_says_which_look_is_lost_and_what_became_of_a_long_name(
    player: LookPlayer, messages: list[str]
) -> None:
    for name in ("DEEP", "new", "x" * 61, "7"):
        player.store.set("look.store", name)
    run(player, (0, 0.1))
    player.store.set("look.recall", "1")
    run(player, (0.1, 0.2))
    assert messages == [
        "stored: DEEP, in place of the look deep",
        "stored: new",
        f"stored: {60 * 'x'} (cut to 60 letters)",
        "stored: 7",
        "there is no look '1'; there are 6; a look is or was called by a number, so numbers are names",
    ]
