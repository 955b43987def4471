"""Noise gate, automatic gain, envelopes, spectrum and mel."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.core.envelope import follow
from tpos_live.features.agc import AutomaticGain
from tpos_live.features.bands import band_db
from tpos_live.features.beat import Beat
from tpos_live.features.noise_gate import NoiseGate
from tpos_live.features.onset import OnsetStrength, PeakPicker
from tpos_live.features.spectrum import (
    BINS,
    MELS,
    ShortTimeSpectrum,
    clean,
    decibels,
    mel_centres,
    mel_db,
    mel_matrix,
    mel_power,
    mel_slice,
)
from tpos_live.features.structure import StructureDetector, StructureInput

RATE = 48_000


def gate_after(gate: NoiseGate, *parts: tuple[float, float]) -> list[bool]:
    """Whether the gate is open after each part of (dB, seconds)."""
    found = []
    for db, seconds in parts:
        for _ in range(round(seconds * 100)):
            gate.step(db)
        found.append(gate.open)
    return found


def test_gate_opens_at_12_and_closes_at_6_above_the_floor() -> None:
    gate = NoiseGate()
    assert gate_after(gate, (-70, 5)) == [False]
    assert gate.floor == pytest.approx(-70, abs=0.1)
    assert gate_after(gate, (-59, 0.05), (-57, 0.02), (-63, 0.3), (-65, 0.35), (-65, 0.1)) == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_gate_stays_open_through_an_hour_of_music() -> None:
    gate = NoiseGate()
    gate_after(gate, (-70, 2))
    rng = np.random.default_rng(0)
    for _ in range(36_000):  # 6 minutes; the floor stops moving long before
        gate.step(float(-18 + 6 * rng.standard_normal()))
        assert gate.open
    assert gate.floor is not None and gate.floor < -45


def test_gate_learns_a_fan_that_is_switched_on() -> None:
    gate = NoiseGate()
    assert gate_after(gate, (-75, 3), (-50, 0.1), (-50, 8)) == [False, True, False]


def test_agc_is_slow_bounded_and_frozen() -> None:
    agc = AutomaticGain(-18.0)
    quiet = [agc.step(-50.0, True) for _ in range(6000)]
    assert max(np.diff(quiet)) <= 0.003 + 1e-9 and quiet[-1] == pytest.approx(12.0)
    assert [agc.step(-90.0, False) for _ in range(9000)][-1] == quiet[-1]
    loud = [agc.step(0.0, True) for _ in range(3000)]
    assert min(np.diff(loud)) >= -0.03 - 1e-9 and loud[-1] == pytest.approx(-12.0)


def test_agc_remembers_45_seconds() -> None:
    agc = AutomaticGain(-18.0)
    for _ in range(9000):
        agc.step(-18.0, True)
    for _ in range(4500):
        agc.step(-120.0, True)
    assert 10 ** ((agc.programme + 18) / 10) == pytest.approx(np.exp(-1), rel=0.02)


@pytest.mark.parametrize(("attack", "release"), [(0.1, 0.4), (0.0, 1.0), (2.0, 0.0)])
def test_envelope_does_not_depend_on_the_hop(attack: float, release: float) -> None:
    coarse = fine = 0.2
    for goal in (1.0, 0.0):
        for _ in range(10):
            coarse = follow(coarse, goal, attack, release, 0.01)
        for _ in range(100):
            fine = follow(fine, goal, attack, release, 0.001)
    assert coarse == pytest.approx(fine, abs=1e-9)
    assert follow(0.0, 1.0, 0.1, 9.0, 0.1) == pytest.approx(1 - np.exp(-1))


def test_power_spectrum_keeps_the_power() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * RATE).astype(np.float32)
    mean = np.mean([power.sum() for power in ShortTimeSpectrum().push(noise)][10:])
    assert decibels(float(mean)) == pytest.approx(-20.0, abs=0.2)
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    powers = list(ShortTimeSpectrum().push(tone))
    assert band_db(powers[-1])[4] == pytest.approx(-3.0, abs=0.1)
    assert band_db(powers[-1])[3] < -70


def test_clean_replaces_invalid_samples_and_limits_loud_ones() -> None:
    odd = np.array([[np.nan, np.inf, -np.inf], [0.5, 1e9, -1e9]])
    assert clean(odd).tolist() == [0.0, 0.0, 0.0, 0.5, 4.0, -4.0]
    assert clean(np.zeros(0)).size == 0


def test_mel_covers_the_range_without_holes() -> None:
    matrix = mel_matrix()
    assert matrix.shape == (MELS, BINS)
    assert np.all(matrix.sum(axis=1) > 0.1) and np.all(matrix >= 0) and np.all(matrix <= 1)
    assert np.all(np.diff(mel_centres()) > 0)
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    mel = mel_db(mel_power(list(ShortTimeSpectrum().push(tone))[-1]))
    assert abs(mel_centres()[1:-1][np.argmax(mel)] - 440) < 40
    assert mel_db(np.zeros(MELS)).max() == -100.0
    assert mel_slice(10, 20).stop - mel_slice(10, 20).start == 1


def test_picker_rests_between_hits_and_needs_to_listen() -> None:
    picker = PeakPicker(least=0.1, rest=0.08)
    fired = []
    for hop in range(100):
        picker.step(1.0 if hop % 4 == 0 else 0.0, listening=hop >= 50)
        if picker.fired:
            fired.append(hop)
    assert fired and fired[0] >= 50 and min(np.diff(fired)) >= 8


def strokes(*decibels: float, gain: float = 0.0, listening: bool = True) -> list[float]:
    """The strongest onset strength for each step in the level of a steady sound, in order."""
    stroke, found = OnsetStrength(), []
    for hop in range(50):
        stroke.step(np.full(MELS, 1e-5, np.float32), gain, hop > 3)
    for louder in decibels:
        levels = [0.0, louder, *np.linspace(louder, 0.0, 30)]
        answers = [stroke.step(np.full(MELS, 10 ** (level / 10 - 5), np.float32), gain, listening) for level in levels]
        found.append(max(answers))
    return found


def test_onset_strength_follows_the_rise_in_decibels() -> None:
    found = strokes(0.5, 2.0, 3.0, 4.0, 6.0, 12.0)
    assert found[0] == 0.0 and found[-1] == 1.0  # noise, and as strong as they come
    assert np.diff(found[1:5]) == pytest.approx([0.15, 0.15, 0.31], abs=0.03)
    assert strokes(6.0, 2.0) == pytest.approx([found[4], found[1]])  # whatever came before


def test_onset_strength_hardly_depends_on_the_level() -> None:
    loud, quiet = strokes(3.0, 6.0), strokes(3.0, 6.0, gain=-12.0)
    assert all(0.7 < b / a < 1.0 for a, b in zip(loud, quiet, strict=True))


def test_there_is_no_onset_while_the_gate_is_closed() -> None:
    assert strokes(12.0, listening=False) == [0.0]
    stroke, loud = OnsetStrength(), np.full(MELS, 1e-3, np.float32)
    assert [stroke.step(loud, 0.0, hop > 2) for hop in range(9)] == [0.0] * 9  # nor when it begins again


def moments(
    structure: StructureDetector, beats: float, bass: float, bright: float, kicks: bool, rise: float = 0.0
) -> list[float]:
    """Feed a part at 120 BPM; the beats at which drops were found."""
    found = []
    for hop in range(round(beats * 50)):
        phase = hop % 50 / 50
        structure.step(
            StructureInput(
                bass=bass,
                bass_db=-20.0,
                whole_db=-14.0,
                bright=bright + rise * hop / 50,
                onset=hop % 25 == 0,
                kick=float(kicks and hop % 50 < 3),
                gate=bass > 0.0 or bright > -3.0,
                beat=Beat(tempo=120.0, phase=phase, bar_phase=hop % 200 / 200),
            )
        )
        if structure.dropped:
            found.append(hop / 50)
    return found


def test_a_drop_after_a_build_up_and_only_one() -> None:
    structure = StructureDetector()
    assert moments(structure, 32, 0.8, 0.5, kicks=True) == []
    assert structure.buildup < 0.2
    assert moments(structure, 16, 0.3, 0.5, kicks=False, rise=0.05) == []
    assert structure.buildup > 0.6
    drops = moments(structure, 40, 0.8, 0.9, kicks=True)
    assert len(drops) == 1 and drops[0] < 0.3


def test_a_drop_after_silence_but_not_at_the_start() -> None:
    structure = StructureDetector()
    assert moments(structure, 4, 0.0, -4.0, kicks=False) == []
    assert moments(structure, 20, 0.8, 0.5, kicks=True) == []
    assert moments(structure, 4, 0.0, -4.0, kicks=False) == []
    assert len(moments(structure, 12, 0.8, 0.5, kicks=True)) == 1
    assert moments(structure, 2, 0.0, -4.0, kicks=False) == []
    assert moments(structure, 2, 0.8, 0.5, kicks=True) == [], "sixteen beats between drops"


def test_bass_that_returns_without_a_build_up_is_no_drop() -> None:
    structure = StructureDetector()
    for _ in range(3):
        assert moments(structure, 24, 0.8, 0.5, kicks=True) == []
        assert moments(structure, 16, 0.3, 0.5, kicks=False) == []
