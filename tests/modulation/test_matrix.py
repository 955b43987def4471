"""The modulation matrix: depth, curve, attack, release, and pairs that are not evaluated."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import FEATURES, MAP_DEFAULTS, TABLE, TARGETS
from tpos_live.features.features import Features
from tpos_live.modulation.matrix import ModulationMatrix, Smoother

NO_MAP = {f"map.{feature}.{target}": 0.0 for feature, target in MAP_DEFAULTS}
DT = 0.01


def run(store: ParameterStore, features: list[Features]) -> list[dict[tuple[str, str], float]]:
    modulation, smoother = ModulationMatrix(), Smoother()
    snapshot = store.snapshot()
    return [modulation.step(f, snapshot, smoother.step(snapshot, DT), DT) for f in features]


def test_every_default_is_within_its_range_and_names_exist() -> None:
    for (feature, target), default in MAP_DEFAULTS.items():
        assert feature in FEATURES and target in TARGETS
        assert TABLE[f"map.{feature}.{target}"].default == default.depth
        low, high, _, _ = TARGETS[target]
        assert low <= default.depth <= high


def test_every_pair_can_be_used() -> None:
    for feature, target in itertools.product(FEATURES, TARGETS):
        depth, name = TARGETS[target][1] / 2, f"map.{feature}.{target}"
        store = ParameterStore({**NO_MAP, name: depth, f"{name}.attack": 0.0, f"{name}.curve": 1.0})
        moment = {"silence": 0.0, "confidence" if feature == "beat" else feature: 0.5}
        found = run(store, [Features(**moment)])  # type: ignore[arg-type]
        assert set(found[0]) == {(feature, target)}, name
        assert found[0][feature, target] == pytest.approx(depth * 0.5), name


def test_curve_attack_and_release_in_seconds() -> None:
    store = ParameterStore({**NO_MAP, "map.bass.zoom": 0.1, "map.bass.zoom.curve": 2.0})
    store.update({"map.bass.zoom.attack": 0.1, "map.bass.zoom.release": 0.3})
    found = run(store, [Features(bass=1.0)] * 10 + [Features(bass=0.0)] * 30)
    rose = 1.0 - math.exp(-1.0)
    assert found[9]["bass", "zoom"] == pytest.approx(0.1 * rose**2)
    assert found[39]["bass", "zoom"] == pytest.approx(0.1 * (rose * math.exp(-1.0)) ** 2)


def test_smooth_is_added_to_every_release() -> None:
    start = {"map.kick.zoom": 0.1, "map.kick.zoom.curve": 1.0, "map.kick.zoom.release": 0.16, "audio.smooth": 0.84}
    store = ParameterStore({**NO_MAP, **start})
    found = run(store, [Features(kick=1.0)] + [Features()] * 100)
    assert found[100]["kick", "zoom"] == pytest.approx(0.1 * math.exp(-1.0))


def test_sensitivity_scales_all() -> None:
    loud = replace(Features(), kick=1.0, loudness=1.0)
    plain, doubled = (run(ParameterStore({"audio.sensitivity": s}), [loud])[0] for s in (1.0, 2.0))
    assert plain.keys() == doubled.keys() and all(doubled[k] == pytest.approx(2 * plain[k]) for k in plain)
    assert all(part == 0.0 for part in run(ParameterStore({"audio.sensitivity": 0.0}), [loud])[0].values())


def test_the_beat_keeps_its_sign_through_the_curve() -> None:
    store = ParameterStore({"map.beat.zoom.curve": 2.0})
    assert run(store, [Features(confidence=0.5, beat_phase=0.5)])[0]["beat", "zoom"] == pytest.approx(-0.008 * 0.25)


def test_only_pairs_with_a_depth_are_evaluated_and_one_fades_when_switched_off() -> None:
    store, modulation, smoother = ParameterStore(), ModulationMatrix(), Smoother()

    def step() -> dict[tuple[str, str], float]:
        snapshot = store.snapshot()
        return modulation.step(Features(bass=1.0), snapshot, smoother.step(snapshot, DT), DT)

    for _ in range(100):
        first = step()
    assert set(first) == set(MAP_DEFAULTS)
    store.set("map.bass.speed", 0.0)
    second = step()
    assert 0.8 * first["bass", "speed"] < second["bass", "speed"] < first["bass", "speed"]
    for _ in range(200):
        last = step()
    assert ("bass", "speed") not in last
    store.set("map.bass.speed", 1.0)
    for _ in range(200):
        last = step()
    assert last["bass", "speed"] == pytest.approx(1.0, abs=1e-3)


def test_a_drop_lasts_its_bars_at_any_tempo() -> None:
    for tempo in (90.0, 120.0, 174.0):
        four_bars = round(16 * 60.0 / tempo / DT)
        features = [Features(drop=1.0, tempo=tempo)] + [Features(tempo=tempo)] * four_bars
        assert run(ParameterStore(), features)[-1]["drop", "speed"] == pytest.approx(math.exp(-8.0 / 2.7), rel=0.01)


def test_smoothing_does_not_depend_on_the_rate() -> None:
    store = ParameterStore()
    fast, slow = Smoother(), Smoother()
    fast.step(store.snapshot(), 0.01)
    slow.step(store.snapshot(), 0.01)
    store.set("finish.light", 2.0)
    for _ in range(10):
        quick = fast.step(store.snapshot(), 0.01)
    once = slow.step(store.snapshot(), 0.1)
    assert quick["finish.light"] == pytest.approx(once["finish.light"], abs=1e-6)
    assert 0 < quick["finish.light"] < 2.0
