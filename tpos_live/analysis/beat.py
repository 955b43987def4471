"""The beat tracker: an oscillator that runs by itself and is pulled into step by what is heard.

Tempo comes from `tempo.py` four times a second. Phase comes from folding six seconds of onset strength at
that tempo (its first harmonics, which is a smooth comb); a small share of the error is worked off evenly
until the next look, so that phase never jumps or runs backwards while it is trusted. Beats go on through
silence: they are predicted, not heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tpos_live.analysis.features import HOP_SECONDS
from tpos_live.analysis.onset import DELAY_SECONDS
from tpos_live.analysis.tempo import best_tempo, tempo_grid, tempo_scores

HISTORY = 1024
LOOK_HOPS = 25
LOOK_SECONDS = LOOK_HOPS * HOP_SECONDS
FIRST_LOOK_HOPS = 200
PHASE_HOPS = 600
HARMONICS = 6
PHASES = 128
TRUST_SECONDS = 60.0
"""How long a tap or a resync outweighs what is heard."""
BEATS_PER_BAR = 4


@dataclass(frozen=True, slots=True)
class TempoControl:
    """fixed: BPM, 0 = follow. source: auto, tap or off. tapped, resync: it happened in this hop."""

    fixed: float = 0.0
    source: str = "auto"
    tapped: bool = False
    resync: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """tempo: BPM, 0 while unknown. phase, bar_phase: 0 to 1. beats: counted since the start."""

    tempo: float = 0.0
    confidence: float = 0.0
    phase: float = 0.0
    bar_phase: float = 0.0
    beats: int = 0


def _kernel() -> tuple[np.ndarray, np.ndarray]:
    harmonics = np.arange(1, HARMONICS + 1)
    weights = np.exp(-0.5 * (harmonics / 4.0) ** 2)
    phases = np.arange(PHASES) / PHASES
    return harmonics, weights[None, :] * np.exp(2j * np.pi * phases[:, None] * harmonics[None, :])


_HARMONIC, _COMB = _kernel()
_AGES = np.arange(PHASE_HOPS)[::-1].astype(np.float64)
_RECENT = np.exp(-_AGES / 300.0)


@dataclass
class BeatTracker:
    """One step a hop; deterministic, O(1) but for a look of well under a millisecond every 25 hops."""

    period: float = 0.0
    phase: float = 0.0
    beats: int = 0
    confidence: float = 0.0
    _anchor: int = 0
    _strength: np.ndarray = field(default_factory=lambda: np.zeros(HISTORY, np.float64))
    _hop: int = 0
    _pull: float = 0.0
    _since_beat: float = math.inf
    _rival: int = 0
    _trusted: float = 0.0
    _usual: float = 0.0
    _taps: list[float] = field(default_factory=list)

    def step(self, strength: float, control: TempoControl) -> Beat:
        """Hear a hop's onset strength (0 or more); returns where the beat is at the hop's end."""
        self._strength[self._hop % HISTORY] = strength
        self._hop += 1
        self._since_beat += HOP_SECONDS
        self._trusted = max(self._trusted - HOP_SECONDS, 0.0)
        if control.fixed > 0.0:
            self.period = 60.0 / control.fixed
        if control.tapped:
            self._tap()
        if self._hop % LOOK_HOPS == 0 and self._hop >= FIRST_LOOK_HOPS and control.source == "auto":
            self._look(control.fixed)
        if control.source == "off" or self.period == 0.0:
            return Beat(beats=self.beats)
        self._run()
        if control.resync:
            self._beat_now(downbeat=True)
        sure = control.fixed > 0.0 or control.source == "tap" or self._trusted > 0.0
        bar = ((self.beats - self._anchor) % BEATS_PER_BAR + self.phase) / BEATS_PER_BAR
        return Beat(60.0 / self.period, 1.0 if sure else self.confidence, self.phase, bar, self.beats)

    def anchor(self) -> None:
        """The beat nearest to now is the first of its bar."""
        self._anchor = self.beats if self.phase < 0.5 else self.beats + 1

    def _run(self) -> None:
        self.phase += HOP_SECONDS / self.period + self._pull
        if self.phase >= 1.0:
            self.phase -= 1.0
            if self._since_beat >= 0.4 * self.period:
                self.beats += 1
                self._since_beat = self.phase * self.period

    def _beat_now(self, downbeat: bool) -> None:
        if self._since_beat >= 0.4 * self.period:
            self.beats += 1
        self.phase, self._pull, self._since_beat, self._trusted = 0.0, 0.0, 0.0, TRUST_SECONDS
        if downbeat:
            self._anchor = self.beats

    def _tap(self) -> None:
        now = self._hop * HOP_SECONDS
        if self._taps and now - self._taps[-1] > 2.0:
            self._taps.clear()
        self._taps = [*self._taps[-7:], now]
        if len(self._taps) >= 4:
            mean = (self._taps[-1] - self._taps[0]) / (len(self._taps) - 1)
            self.period = min(max(mean, 60.0 / 240.0), 1.5)
            self._beat_now(downbeat=False)

    def _look(self, fixed: float) -> None:
        at = self._hop % HISTORY
        heard = np.concatenate([self._strength[at:], self._strength[:at]])[-min(self._hop, HISTORY) :]
        if heard.max() <= 1e-6:
            self.confidence *= 1.0 - LOOK_SECONDS / 8.0
            self._pull = 0.0
            return
        heard = np.convolve(heard, (0.25, 0.5, 0.25), mode="same")
        periodic = self._find_tempo(heard, fixed)
        contrast = self._find_phase(heard)
        # Little heard says little: a breakdown or a pause neither makes nor breaks confidence.
        loud = float(heard[-PHASE_HOPS:].sum())
        self._usual = max(loud, self._usual * (1.0 - LOOK_SECONDS / 45.0))
        weight = min(2.0 * loud / self._usual, 1.0) ** 2
        clear = min(max((periodic - 0.08) / 0.12, 0.0), 1.0) * min(max((contrast - 0.1) / 0.2, 0.0), 1.0)
        self.confidence += (clear - self.confidence) * 0.2 * weight

    def _find_tempo(self, heard: np.ndarray, fixed: float) -> float:
        scores = tempo_scores(heard)
        if fixed > 0.0:
            return best_tempo(scores, fixed)[1]
        held = 60.0 / self.period if self._trusted > 0.0 else 0.0
        tempo, periodic = best_tempo(scores, held)
        known = 60.0 / self.period if self.period else 0.0
        if not known:
            self.period = 60.0 / tempo
        elif abs(tempo / known - 1.0) < 0.03:
            self._rival = 0
            self.period += 0.4 * (60.0 / tempo - self.period)
        else:
            # Another tempo must win for longer the surer the old one was: a fill is no change of tempo.
            self._rival += 1
            if self._rival > 2 + 14 * self.confidence:
                self._rival, self.period, self.confidence = 0, 60.0 / tempo, 0.0
            else:
                periodic = float(np.interp(known, tempo_grid(), scores))
        return periodic

    def _find_phase(self, heard: np.ndarray) -> float:
        """Pull the phase towards what was heard; returns how clear the beat is, 0 to 1."""
        count = min(heard.size, PHASE_HOPS)
        weighed = heard[-count:] * _RECENT[-count:]
        turns = _AGES[-count:] * (HOP_SECONDS / self.period)
        wave = np.exp(-2j * np.pi * turns)
        fold = np.empty(HARMONICS, np.complex128)
        power = np.ones_like(wave)
        for index in range(HARMONICS):
            power = power * wave
            fold[index] = np.dot(power, weighed)
        comb = (_COMB @ fold).real / max(float(weighed.sum()), 1e-12)
        best = int(np.argmax(comb))
        left, right = comb[best - 1], comb[(best + 1) % PHASES]
        bend = left - 2.0 * comb[best] + right
        offset = 0.5 * (left - right) / bend if bend < -1e-12 else 0.0
        heard_phase = (best + offset) / PHASES + DELAY_SECONDS / self.period
        error = (heard_phase - self.phase + 0.5) % 1.0 - 0.5
        self._pull = 0.0
        if abs(error) < 0.2 or self._trusted <= 0.0:
            if self.confidence < 0.3 and self._trusted <= 0.0:
                self.phase = heard_phase % 1.0
            elif abs(error) < 0.2 or comb[best] > 1.3 * comb[int(self.phase * PHASES) % PHASES]:
                self._pull = 0.3 * min(max(error, -0.2), 0.2) / LOOK_HOPS
        return min(max(float(comb[best]) / float(np.abs(_COMB[0]).sum()), 0.0), 1.0)
