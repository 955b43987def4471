"""Sections, energy and tension, from synthetic spectra with known sections."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tpos_live.features.beat import Beat
from tpos_live.features.section import SectionDetector
from tpos_live.features.spectrum import MELS
from tpos_live.features.structure import StructureDetector

FULL = np.repeat([-20.0, -26.0, -34.0, -40.0], MELS // 4)
NO_BASS = FULL - np.repeat([30.0, 3.0, 0.0, 0.0], MELS // 4)
BRIGHT = FULL + np.repeat([0.0, 0.0, 9.0, 9.0], MELS // 4)


def play(
    parts: list[tuple[np.ndarray, int]], bpm: float = 120.0, known: bool = True, **values: float
) -> list[tuple[float, float, int]]:
    """(energy, tension, sections) of each hop of parts, each a spectrum in dB and a length in bars, with noise."""
    rng, detector, found, hop = np.random.default_rng(1), SectionDetector(), [], 0
    period = 60.0 / bpm
    for spectrum, bars in parts:
        for _ in range(round(bars * 4 * period * 100)):
            turns = hop / 100 / period
            mel = 10 ** ((spectrum + rng.normal(0.0, 6.0, MELS)) / 10)
            beat = Beat(tempo=bpm, bar_phase=turns / 4 % 1.0, beats=int(turns)) if known else Beat()
            detector.step(mel.astype(np.float32), bool(spectrum.max() > -60.0), beat, StructureDetector(**values))
            found.append((detector.energy, detector.tension, detector.sections))
            hop += 1
    return found


def changes(found: list[tuple[float, float, int]]) -> list[float]:
    """Times in seconds at which a section begins."""
    return [0.01 * hop for hop, (a, b) in enumerate(itertools.pairwise(found), 1) if b[2] > a[2]]


@pytest.mark.parametrize(("bpm", "known"), [(92.0, True), (120.0, True), (174.0, True), (120.0, False)])
def test_every_section_is_found_once_within_two_bars(bpm: float, known: bool) -> None:
    times = changes(play([(NO_BASS, 8), (FULL, 16), (BRIGHT, 8), (NO_BASS, 8), (FULL, 8)], bpm, known))
    bar = 240.0 / bpm
    assert len(times) == 4
    late = [time - at * bar for time, at in zip(times, (8, 24, 32, 40), strict=True)]
    assert all(0.0 < t <= 2.0 * bar + (0.1 if known else 2.0) for t in late), late


def test_steady_music_is_one_section() -> None:
    assert changes(play([(FULL, 64)])) == []


def test_energy_compares_with_this_music() -> None:
    for loud in (0.0, -25.0):
        found = play([(FULL + loud, 16), (NO_BASS + loud, 8), (FULL + loud, 8)])
        first, broken, last = (found[at][0] for at in (3000, 4700, 6300))
        assert broken < 0.6 < 0.7 < first < 0.95 and last > 0.7


def test_silence_has_neither_energy_nor_tension() -> None:
    found = play([(FULL, 8), (FULL - 100.0, 8)], buildup=0.0)
    assert found[-1][0] < 0.01 and found[-1][1] < 0.01
    assert changes(found) == []


def test_tension_rises_with_build_up_and_with_missing_bass() -> None:
    assert play([(FULL, 4)], buildup=0.8)[-1][1] == pytest.approx(0.8, abs=0.02)
    assert 0.25 < play([(NO_BASS, 4)], bass_gone=16.0)[-1][1] < 0.35
    assert play([(FULL, 4)])[-1][1] == 0.0
