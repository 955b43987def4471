"""The director: decisions on the bar grid, from synthetic features."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from tpos_live.conditioning.builder import region_area
from tpos_live.core.direction import BREAKDOWN, BUILD_UP, INTRO, MAIN, NO_DIRECTION, PEAK, SILENCE, Direction
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.diffusion.sampling.region_blend import shares
from tpos_live.director.director import AREAS, NAMED_SECONDS, SCENE_SECONDS, SECOND_SECONDS, Director
from tpos_live.director.framing import PLACES
from tpos_live.director.memory import DirectorMemory
from tpos_live.director.scene_choice import Abilities
from tpos_live.director.scene_table import ALONE, KINDS, PACES, SCENES, TYPICAL, places_beside, suits_a_prompt
from tpos_live.director.sections import BarClock, SectionTracker
from tpos_live.features.features import HOP_SECONDS, Features

BPM = 120.0
BAR = 2.0


@cache
def music(seconds: float, start: float = 0.0, **other: float) -> tuple[Features, ...]:
    """Features of steady music at 120 BPM, cached for all tests."""
    return tuple(_made(seconds, start, **other))


def _made(seconds: float, start: float, **other: float) -> Iterator[Features]:
    steady = Features(tempo=BPM, confidence=1.0, gate=True, silence=0.0, energy=0.7)
    for hop in range(round(seconds / HOP_SECONDS)):
        now = start + hop * HOP_SECONDS
        beats = now * BPM / 60
        phases = {"beat_phase": beats % 1.0, "bar_phase": beats / 4 % 1.0, "beats": int(beats)}
        yield replace(steady, time=now, **phases, **other)  # type: ignore[arg-type]


@cache
def song() -> tuple[Features, ...]:
    """Silence, an intro, a main part, a breakdown, a build-up, a drop, a peak; 2 minutes."""
    now, made = 0.0, list[Features]()
    for seconds, values in (
        (4, {"silence": 1.0, "energy": 0.0}), (16, {"energy": 0.3}), (24, {"energy": 0.7}), (16, {"energy": 0.3}),
        (8, {"energy": 0.4, "buildup": 0.8, "tension": 0.8}), (0.01, {"energy": 0.9, "drop": 1.0}),
        (51.99, {"energy": 0.9}),
    ):  # fmt: skip
        made += music(seconds, now, **values)
        now += seconds
    return tuple(made)


def snapshot(**values: object) -> Snapshot:
    return ParameterStore({name.replace("_", "."): value for name, value in values.items()}).snapshot()  # type: ignore[misc]


def follow(
    features: Iterable[Features], shown: Snapshot, label: str = "techno music", **made: object
) -> list[Direction]:
    director = Director(Abilities(**made))  # type: ignore[arg-type]
    return [director.step(one, label, shown) for one in features]


def at(directions: list[Direction], seconds: float) -> Direction:
    return directions[round(seconds / HOP_SECONDS)]


def test_a_song_is_told_in_sections() -> None:
    found = follow(song(), snapshot(seed=3))
    names = [found[0].section]
    names += [after.section for before, after in pairwise(found) if after.section != before.section]
    assert names == [SILENCE, INTRO, MAIN, BREAKDOWN, BUILD_UP, PEAK]


def test_a_drop_changes_scene_palette_and_frame_in_one_hop() -> None:
    found = follow(song(), snapshot(seed=3))
    before, after = at(found, 67.98), at(found, 68.02)
    assert after.scene != before.scene and after.fade == 0.0 and after.decision.startswith("drop: cut to ")
    assert abs(after.palette - before.palette) > 0.2
    assert abs(after.zoom - before.zoom) + abs(after.x - before.x) > 0.05
    assert next(scene for scene in SCENES if scene.text == after.scene).energy >= 0.6


def test_a_drop_turns_the_colours_and_the_next_one_or_the_end_of_the_phrase_turns_them_back() -> None:
    assert {one.hue for one in follow(song(), snapshot(seed=3))} == {0.0}, "the prompt names a colour"
    found = follow(song(), snapshot(seed=3), turns=lambda: True)
    assert at(found, 67.98).hue == 0.0 and at(found, 68.02).hue > 0.99 < at(found, 68.0 + 7 * BAR).hue
    assert at(found, 68.0 + 8 * BAR + 8.0).hue < 0.05, "the phrase has eight bars"
    before, after = song()[:7400], song()[7400:]
    again = follow((*before, replace(after[0], drop=1.0), *after[1:]), snapshot(seed=3), turns=lambda: True)
    assert at(again, 73.98).hue > 0.99 and at(again, 74.02).hue < 0.01
    calm = (*before, *music(16.0, 74.0, energy=0.1))
    found = follow(calm, snapshot(seed=3), turns=lambda: True)
    assert found[-1].section == BREAKDOWN and found[-1].hue < 0.05
    assert max(abs(b.hue - a.hue) for a, b in pairwise(found[7000:])) < 0.01
    coloured = iter([True] * 300 + [False] * 9000)
    found = follow(song(), snapshot(seed=3), turns=lambda: next(coloured))
    assert at(found, 68.02).hue > 0.99 and at(found, 76.0).hue < 0.1, "another prompt, which names one"


def test_without_drops_everything_but_the_fade_moves_smoothly() -> None:
    found = follow(music(120.0), snapshot(seed=1))
    for name in ("zoom", "x", "y", "area", "palette", "drift_x", "drift_y"):
        steps = [abs(getattr(b, name) - getattr(a, name)) for a, b in pairwise(found)]
        assert max(steps) < 0.004, name
    assert max(abs(b.roll - a.roll) for a, b in pairwise(found)) < 0.06
    for name in ("across", "down", "aside"):
        assert max(abs(getattr(b, name) - getattr(a, name)) for a, b in pairwise(found)) < 0.03, name
    assert all(direction.fade >= BAR for direction in found if direction.scene)


def test_decisions_fall_on_downbeats() -> None:
    found = follow(music(180.0), snapshot(seed=1))
    changes = [n for n in range(1, len(found)) if found[n].scene != found[n - 1].scene]
    assert len(changes) >= 4
    for n in changes:
        phase = n * HOP_SECONDS / BAR % 1.0
        assert min(phase, 1 - phase) < 0.02


@pytest.mark.parametrize("depth", [0.5, 1.0, 2.0])
def test_scenes_last_as_long_as_their_depth_says(depth: float) -> None:
    found = follow(music(240.0), snapshot(seed=1, director_scenes=depth))
    changes = [n * HOP_SECONDS for n in range(1, len(found)) if found[n].scene != found[n - 1].scene]
    lasted = [after - before for before, after in pairwise(changes)]
    assert lasted and min(lasted) >= SCENE_SECONDS[0] / depth - BAR
    assert max(lasted) <= SCENE_SECONDS[2] / depth + BAR


@pytest.mark.parametrize("known", [3.5, 8.0])
def test_a_typical_scene_follows_soon_when_the_kind_of_music_is_clear(known: float) -> None:
    """In the first seconds of a song its label is a general one."""
    director, kins = Director(), {scene.text: scene.kin for scene in SCENES}
    found = [director.step(one, "music" if one.time < known else "rock music", snapshot(seed=2)) for one in music(20.0)]
    assert at(found, 3.4).scene and kins[at(found, 3.4).scene] not in TYPICAL["rock music"]
    changes = [n * HOP_SECONDS for n, (a, b) in enumerate(pairwise(found)) if a.scene and a.scene != b.scene]
    assert len(changes) == 1 and changes[0] - 2.0 > NAMED_SECONDS - BAR and changes[0] <= max(known, 6.0) + BAR + 0.1
    assert kins[found[-1].scene] in TYPICAL["rock music"]


def test_another_kind_of_music_has_another_scene_when_the_first_has_stood_its_least_time() -> None:
    director, kins = Director(), {scene.text: scene.kin for scene in SCENES}
    found = [
        director.step(one, "jazz music" if one.time < 6 else "rock music", snapshot(seed=2)) for one in music(22.0)
    ]
    changes = [n * HOP_SECONDS for n, (a, b) in enumerate(pairwise(found)) if a.scene and a.scene != b.scene]
    begun = next(n * HOP_SECONDS for n, one in enumerate(found) if one.scene)
    assert len(changes) == 1 and -HOP_SECONDS < changes[0] - begun - SCENE_SECONDS[0] <= BAR
    assert kins[at(found, 5.0).scene] in TYPICAL["jazz music"] and kins[found[-1].scene] in TYPICAL["rock music"]


@pytest.mark.parametrize("kind", ["techno music", "ambient music", "rock music", "piano music", "jazz music", "music"])
def test_no_scene_comes_twice_within_five_minutes(kind: str) -> None:
    found = follow(music(290.0), snapshot(seed=5), kind)
    scenes = [b.scene for a, b in pairwise(found) if a.scene != b.scene]
    assert len(scenes) >= 5 and len(set(scenes)) == len(scenes)


def test_one_switch_turns_the_director_off() -> None:
    assert set(follow(song(), snapshot(director=False))) == {NO_DIRECTION}


def test_switched_off_in_a_show_the_frame_goes_back_without_a_jump() -> None:
    director, on, off = Director(), snapshot(seed=2), snapshot(seed=2, director=False)
    for features in song():
        last = director.step(features, "techno music", on)
    assert last.zoom > 0.1
    seen = [last, *(director.step(features, "techno music", off) for features in music(6.0))]
    assert max(abs(b.zoom - a.zoom) for a, b in pairwise(seen)) < 0.02
    assert seen[-1] == NO_DIRECTION and seen[1].scene == ""


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("framing", ("zoom", "x", "y", "roll", "across", "down", "aside")),
        ("camera", ("drift_x", "drift_y")),
        ("palette", ("palette", "hue")),
        ("scenes", ("scene", "changes")),
    ],
)
def test_each_rule_is_off_at_depth_0(name: str, fields: tuple[str, ...]) -> None:
    for direction in follow(song(), snapshot(**{f"director_{name}": 0.0}))[::50]:
        for field in fields:
            assert not getattr(direction, field)


def test_beside_a_prompt_a_scene_takes_a_tenth_to_three_tenths_of_the_image() -> None:
    """A larger area hides the prompt's galaxy or eclipse; with a smaller one the scene is not visible."""
    weight = region_area(float(snapshot()["audio.weight"]))
    for section, factor in AREAS.items():
        assert 0.1 < shares((1 - weight * factor, weight * factor))[1] < 0.3, section
    calm, loud = sorted(AREAS.values())[0], AREAS[PEAK]
    assert calm < AREAS[BREAKDOWN] < AREAS[MAIN] < loud


def test_before_the_first_decision_what_is_heard_takes_no_more_of_a_prompts_image_than_a_scene() -> None:
    shown = snapshot(prompt="fire")
    for label, last in (("techno music", AREAS[PEAK]), ("", AREAS[PEAK]), ("rain on surface", 1.0)):
        director = Director()
        areas = [director.step(one, label if n >= 100 else "", shown).area for n, one in enumerate(music(12.0))]
        assert max(areas[:100]) <= AREAS[PEAK], label
        assert max(areas) == pytest.approx(last, abs=0.02) if last == 1.0 else max(areas) <= last, label
    assert {one.area for one in follow(music(1.0), snapshot(prompt=""))} == {1.0}, "without one it is the image"


def test_area_at_depth_0_is_what_it_was_without() -> None:
    assert {direction.area for direction in follow(song(), snapshot(director_area=0.0))} == {1.0}


def test_no_cuts_where_none_are_wanted() -> None:
    found = follow(song(), snapshot(director_cuts=0.0))
    assert at(found, 68.5).decision.startswith("drop: blend to ") and at(found, 68.5).fade > 0


def test_the_same_seed_and_music_give_the_same_directions_another_seed_others() -> None:
    one, again, other = (follow(song(), snapshot(seed=seed)) for seed in (7, 7, 8))
    assert one == again
    assert [d.scene for d in one[::100]] != [d.scene for d in other[::100]]


def test_beside_a_prompt_a_scene_lies_where_it_belongs_and_moves_on() -> None:
    """Fire and sea below, aurora and clouds above, all others at a side; another place after each change."""
    found = follow((*music(600.0),), snapshot(seed=4), "music")
    ends = [a for a, b in pairwise(found) if a.scene != b.scene]
    places = {names: name for name, names in PLACES.items()}
    seen = [(one.scene, places[round(one.across), round(one.down), round(one.aside)]) for one in ends]
    assert all(place in places_beside(scene) for scene, place in seen)
    assert len({place for _, place in seen}) >= 4
    assert {"below"} == {place for place in places_beside("blazing flames") if place in ("above", "below")}
    assert {"above"} == {place for place in places_beside("northern lights") if place in ("above", "below")}


def test_what_is_no_music_shows_its_own_scene() -> None:
    rain = follow(music(30.0), snapshot(), "rain on surface")
    assert {(one.scene, one.zoom, one.palette, one.drift_x) for one in rain} == {("", 0.0, 0.0, 0.0)}
    assert at(rain, 15.0).area == pytest.approx(1.0, abs=0.01)
    assert {(one.across, one.down, round(one.aside, 2)) for one in rain[500:]} == {(0.0, 0.0, 1.0)}, (
        "at both sides of a prompt"
    )
    director, shown = Director(), snapshot()
    for features in music(20.0):
        during = director.step(features, "rock music", shown)
    for features in music(1.0, 20.0):  # a cheer between two bars
        assert director.step(features, "applause", shown).scene == during.scene != ""
    for features in music(10.0, 21.0):
        after = director.step(features, "rain on surface", shown)
    assert after.scene == ""


def test_only_offered_scenes_are_chosen() -> None:
    offered = {"the sea", "breaking waves", "a campfire"}
    found = follow(music(200.0), snapshot(), "music", offered=offered)
    assert {direction.scene for direction in found} - {""} <= offered
    assert {direction.scene for direction in follow(music(30.0), snapshot(), offered={"nothing of ours"})} == {""}


def test_a_scene_that_changes_fast_moves_slower_where_it_is_the_image() -> None:
    for offered, prompt, pace in (("wormhole", "", PACES["tunnel"]), ("wormhole", "rain", 1.0), ("deep sea", "", 1.0)):
        found = follow(music(12.0), snapshot(prompt=prompt), offered={offered}, suited=lambda: {"wormhole"})
        assert found[-1].scene == offered and found[-1].pace == pytest.approx(pace, abs=1e-3)
        assert max(abs(b.pace - a.pace) for a, b in pairwise(found)) < 0.01, "no jump"


def test_next_takes_another_scene_at_the_next_bar() -> None:
    store, director = ParameterStore({"seed": 4}), Director()
    for features in music(20.5):
        before = director.step(features, "techno music", store.snapshot())
    store.trigger("director.next")
    seen = [director.step(features, "techno music", store.snapshot()) for features in music(3.0, 20.5)]
    changed = [n for n, direction in enumerate(seen) if direction.scene != before.scene]
    assert changed and abs(20.5 + changed[0] * HOP_SECONDS - 22.0) < 0.05


def test_another_director_goes_on_with_what_was_decided() -> None:
    """As after a crash: the image is the same, and the scene stays for its normal time."""
    shown, director = snapshot(seed=4), Director()
    for features in music(100.0):
        before = director.step(features, "techno music", shown)
    assert before.scene and before.palette and before.zoom and director.memory.changes >= 2
    after = Director()
    after.resume(DirectorMemory.read(json.loads(json.dumps(director.memory.data()))), shown)
    assert after.memory == director.memory
    seen = [after.step(features, "", shown) for features in music(10.0)]
    assert {(one.scene, one.changes) for one in seen} == {(before.scene, before.changes)} and seen[0].fade == 0.0
    assert seen[0].palette == pytest.approx(before.palette, abs=0.02)
    for name in ("x", "y", "roll", "drift_x", "drift_y"):
        assert getattr(seen[0], name) == pytest.approx(getattr(before, name), abs=1e-3), name
    assert abs(seen[0].zoom - before.zoom) < 0.1, "the push of the camera begins again"
    later = [after.step(features, "techno music", shown).scene for features in music(60.0, 10.0)]
    assert len(set(later)) > 1 and next(scene for scene in later if scene != before.scene)
    off = Director()
    off.resume(director.memory, snapshot(director=False))
    assert off.step(music(1.0)[0], "", snapshot(director=False)) == NO_DIRECTION


def test_without_a_beat_bars_last_two_seconds() -> None:
    clock = BarClock()
    begins = [n for n in range(1000) if clock.step(Features(energy=0.3, silence=0.0, gate=True))]
    assert [b - a for a, b in pairwise(begins)] == [200] * (len(begins) - 1)


def test_a_tempo_that_jumps_neither_stops_bars_nor_doubles_them() -> None:
    clock, begins = BarClock(), []
    for n, features in enumerate([*music(10.03), *music(10.0, 1.3), *music(10.0, 0.2, confidence=0.1)]):
        if clock.step(features):
            begins.append(n * HOP_SECONDS)
    gaps = [b - a for a, b in pairwise(begins)]
    assert min(gaps) > 0.5 * BAR and max(gaps) <= 1.5 * BAR + 0.02


def test_a_hop_that_is_no_number_is_forgotten() -> None:
    tracker = SectionTracker()
    for features in music(10.0):
        tracker.step(features, BAR)
    tracker.step(replace(music(1.0)[0], energy=float("nan")), BAR)
    assert tracker.energy == pytest.approx(0.6, abs=0.1)


def test_energy_at_a_limit_does_not_flicker() -> None:
    tracker, names = SectionTracker(), set()
    for n, features in enumerate(music(60.0)):
        wave = 0.5 + (0.03 if n // 7 % 2 else -0.03)
        tracker.step(replace(features, energy=wave), BAR)
        if n > 1000:
            names.add(tracker.name)
    assert len(names) == 1


def test_beside_a_prompt_no_scene_is_a_shadow() -> None:
    """A scene that was chosen without a prompt does not stay, either."""
    kins = {scene.text: scene.kin for scene in SCENES if scene.kin in KINDS["techno music"]}
    alone, prompted = snapshot(prompt="", seed=1), snapshot(prompt="fire", seed=1)
    free = [each.scene for each in follow(music(300.0), alone)]
    assert {kins[text] for text in free if text} & ALONE
    director = Director()
    before = next(n for n, text in enumerate(free) if kins.get(text) in ALONE)
    for one in music(300.0)[: before + 1]:
        scene = director.step(one, "techno music", alone).scene
    assert not suits_a_prompt(scene)
    found = [director.step(one, "techno music", prompted).scene for one in music(300.0)[before + 1 :]]
    assert {text for text in found[round(BAR / HOP_SECONDS) + 1 :] if not suits_a_prompt(text)} == set()
    assert len({kins[text] for text in found[round(BAR / HOP_SECONDS) + 1 :]}) >= 4


def test_only_scenes_that_suit_the_prompt_are_beside_it_and_another_prompt_gets_others() -> None:
    suited = {"wormhole", "a neon tunnel", "northern lights"}
    director, shown = Director(Abilities(suited=lambda: suited)), snapshot(prompt="fire", seed=1)
    first = {director.step(one, "techno music", shown).scene for one in music(120.0)} - {""}
    assert first == suited
    suited = {"cosmic clouds", "a stellar nursery"}
    then = [director.step(one, "techno music", shown).scene for one in music(60.0, 120.0)]
    assert set(then[round(BAR / HOP_SECONDS) + 1 :]) == suited
    dark = [director.step(one, "techno music", snapshot(prompt="")).scene for one in music(300.0, 180.0)]
    assert len({*dark} - suited) >= 5, "without a prompt all scenes are"


def test_without_a_prompt_the_next_scene_comes_to_an_edge_first_and_then_fills_the_image() -> None:
    everywhere = {scene.text for scene in SCENES}
    found = follow(music(200.0), snapshot(prompt="", seed=4), "music", beside=lambda text: everywhere - {text})
    comes = [n for n, (a, b) in enumerate(pairwise(found), 1) if b.second and not a.second]
    changes = [n for n, (a, b) in enumerate(pairwise(found), 1) if a.scene and a.scene != b.scene]
    assert len(comes) >= 5 and all(found[n].fade >= BAR for n in comes)
    for n in comes:
        shown_for = next(n - before for before in range(n, -1, -1) if found[before].scene != found[n].scene)
        assert shown_for * HOP_SECONDS > SECOND_SECONDS - BAR and abs(n * HOP_SECONDS / BAR % 1.0 - 0.5) > 0.48
    assert all(found[n].scene == found[n - 1].second and not found[n].second for n in changes)
    none = snapshot(prompt="", seed=4)
    assert {one.second for one in follow(music(60.0), none, "music")} == {""}, "none suits"
    loud = follow(music(60.0, energy=0.95), none, "music", beside=lambda text: everywhere)[3000:]
    assert {(one.section, one.second) for one in loud} == {(PEAK, "")}
    prompted = follow(music(60.0), snapshot(prompt="fire", seed=4), "music", beside=lambda text: everywhere)
    assert {one.second for one in prompted} == {""}


def test_a_drop_or_a_prompt_ends_what_was_to_come() -> None:
    everywhere = {scene.text for scene in SCENES}
    director = Director(Abilities(beside=lambda text: everywhere))
    alone, prompted = snapshot(prompt="", seed=4), snapshot(prompt="fire", seed=4)
    for features in music(24.0):
        before = director.step(features, "music", alone)
    assert before.second
    beside = [director.step(features, "music", prompted) for features in music(0.5, 24.0)]
    assert {one.second for one in beside} == {""}
    dropped = replace(music(0.5, 24.5)[0], drop=1.0, energy=0.95)
    after = director.step(dropped, "music", alone)
    assert after.scene != before.scene and not after.second


@pytest.mark.parametrize("energy", [0.3, 0.7])
def test_without_a_prompt_the_image_never_stands_still_for_long(energy: float) -> None:
    """In a calm part and in a loud one, with a beat: the frame moves every four bars."""
    found = follow(music(100.0, energy=energy), snapshot(prompt="", seed=4), "ambient music")[1000:]
    places = [(one.zoom, one.x, one.y) for one in found[::100]]
    for after in range(10, len(places)):
        moved = max(abs(a - b) for now in places[after - 10 : after] for a, b in zip(now, places[after], strict=True))
        assert moved > 0.01, after
