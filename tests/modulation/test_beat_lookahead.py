"""Beat look-ahead, with a fake clock."""

from __future__ import annotations

import math

import pytest

from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import Features
from tpos_live.modulation.integrator import ModulationIntegrator, advance_beat

DT = 0.01


def steady(seconds: float, tempo: float = 120.0) -> list[Features]:
    """Beats at 0, 0.5, 1.0 … seconds at 120 BPM, nothing else."""
    found = []
    for hop in range(1, round(seconds / DT) + 1):
        turns = hop * DT * tempo / 60.0
        at = {"time": hop * DT, "beat_phase": turns % 1.0, "bar_phase": turns / 4 % 1.0}
        found.append(Features(tempo=tempo, confidence=1.0, silence=0.0, beats=int(turns), **at))  # type: ignore[arg-type]
    return found


def seen(delay: float, measured: float, trim: float = 0.0, tempo: float = 120.0) -> list[float]:
    """Seconds from each beat to the moment at which its pulse is visible, with the latency `delay`."""
    snapshot = ParameterStore({"tempo.trim": trim}).snapshot()
    integrator = ModulationIntegrator()
    zooms = [integrator.step(f, snapshot, f.time, measured).zoom for f in steady(12.0, tempo)]
    period = 60.0 / tempo
    found = []
    for hop in range(700, len(zooms) - 1):
        if zooms[hop - 1] < zooms[hop] >= zooms[hop + 1]:
            at = (hop + 1) * DT + delay
            found.append((at + period / 2) % period - period / 2)
    return found


@pytest.mark.parametrize("delay", [0.0, 0.035, 0.12, 0.4])
@pytest.mark.parametrize("tempo", [75.0, 120.0, 174.0])
def test_a_predicted_beat_is_seen_when_it_sounds(delay: float, tempo: float) -> None:
    late = seen(delay, measured=delay, tempo=tempo)
    assert len(late) > 5 and max(map(abs, late)) <= DT


def test_the_trim_moves_the_beat_both_ways() -> None:
    for delay, measured, trim, late in ((0.25, 0.05, 200.0, 0.0), (0.0, 0.1, -100.0, 0.0), (0.1, 0.0, 0.0, 0.1)):
        found = seen(delay, measured, trim)
        assert len(found) > 5 and max(abs(f - late) for f in found) <= DT + 1e-9


def test_onsets_are_not_predicted() -> None:
    hit = Features(time=1.0, kick=0.7, snare=0.4, drop=1.0, tempo=120.0, beat_phase=0.3)
    later = advance_beat(hit, 0.1)
    assert (later.kick, later.snare, later.drop, later.time, later.beats) == (0.7, 0.4, 1.0, 1.0, 0)
    assert later.beat_phase == pytest.approx(0.5)
    assert advance_beat(Features(tempo=0.0, beat_phase=0.3), 0.1).beat_phase == 0.3


def test_a_hiccup_does_not_move_the_beat() -> None:
    integrator, snapshot = ModulationIntegrator(), ParameterStore().snapshot()
    features = Features(tempo=120.0, confidence=1.0)
    for _ in range(100):
        integrator.step(features, snapshot, 0.0, 0.05)
    for _ in range(5):
        integrator.step(features, snapshot, 0.0, 3.0)
    assert integrator.delay == pytest.approx(0.05, abs=0.02)
    for odd in (math.nan, math.inf, -math.inf, -9.0):
        assert math.isfinite(integrator.step(features, snapshot, 0.0, odd).zoom)
        assert integrator.delay is not None and abs(integrator.delay) <= 0.5


def test_phases_stay_in_range_when_ahead_of_the_bar() -> None:
    for seconds in (-0.5, -0.01, 0.01, 0.8):
        later = advance_beat(Features(tempo=180.0, beat_phase=0.99, bar_phase=0.99, confidence=1.0), seconds)
        assert 0.0 <= later.beat_phase < 1.0 and 0.0 <= later.bar_phase < 1.0 and -1.0 <= later.beat <= 1.0
