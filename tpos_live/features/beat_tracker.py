"""The beat tracker: a free-running oscillator, phase-locked to the audio.

`tempo.py` estimates the tempo four times per second, and `beat_phase.py` the phase at that tempo. 30 % of the phase
error is corrected evenly until the next update, so a trusted phase never jumps or runs backwards. `downbeat.py` finds
the first beat of the bar. Beats continue through silence, because they are predicted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tpos_live.features.beat import RAW_CONFIDENCE, RIGHT_BEATS, Beat, BeatEvidence, TempoControl
from tpos_live.features.beat_phase import DELAY_SECONDS, PHASE_HOPS, find_phase
from tpos_live.features.downbeat import BEATS_PER_BAR, DownbeatTracker, positions
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.hpss import CHORD_DELAY
from tpos_live.features.tempo import (
    Periodicity,
    TempoMemory,
    best_tempo,
    comb_scores,
    periodicity,
    tempo_grid,
    to_octave,
)
from tpos_live.features.tempo_change import FIRST_HOPS, REPEATED, TempoChange, repeated

HISTORY = 1024
"""Hops of evidence that are kept."""
UPDATE_HOPS = 25
"""Hops between two updates of tempo, phase and downbeat."""
UPDATE_SECONDS = UPDATE_HOPS * HOP_SECONDS
FIRST_UPDATE_HOPS = 200
"""Hops before the first update."""
TRUST_SECONDS = 60.0
"""Seconds for which a tap or a resync overrides the audio."""
ASTRAY_UPDATES = 6
"""Updates in a row that must find another phase before the tracker follows it; a fill is shorter."""
CHANGED_HOPS = 250
"""Hops of evidence that are kept when a new tempo is accepted."""
RECENT_HOPS = 200
"""Hops whose onset strength is compared with the usual one."""
QUIET = 0.3
"""Share of the usual onset strength below which the tracker learns nothing."""
NEAR = 0.03
"""Relative difference below which two estimates are the same tempo."""
REST_BEATS, NOISE_BEATS, PULSE_RETURN = 6.0, 4.0, 0.3
"""Confidence falls to 1/e in REST_BEATS without onsets, and in NOISE_BEATS of onsets without a period. An update with
periodic onsets restores the share PULSE_RETURN of the loss."""
STEADY, FOLLOW = 0.005, 0.25
"""Estimates with a relative difference below STEADY are averaged: the new one has the weight FOLLOW, others 0.5."""
SLOWEST_BEAT, FASTEST_BEAT = 30.0, 240.0
"""Range in BPM of tempi that a person sets by tapping, doubling or halving."""


@dataclass
class BeatTracker:
    """One step per hop. Deterministic. Every 25 hops there is an update of well under a millisecond; other hops are
    O(1).

    period: seconds per beat, 0 while unknown. phase: 0 to 1. beats: count since the start. confidence: raw, 0 to 1;
    `Beat.confidence` is calibrated.
    """

    period: float = 0.0
    phase: float = 0.0
    beats: int = 0
    confidence: float = 0.0
    _memory: TempoMemory = field(default_factory=TempoMemory)
    _downbeat: DownbeatTracker = field(default_factory=DownbeatTracker)
    _evidence: np.ndarray = field(default_factory=lambda: np.zeros((5, HISTORY), np.float64))
    _hop: int = 0
    _pull: float = 0.0
    _since_beat: float = math.inf
    _clock: float = 0.0
    _rival_updates: int = 0
    _began: int = 0
    _tempo_change: TempoChange = field(default_factory=TempoChange)
    _octave_held: bool = False
    _pulse: float = 1.0
    _astray_updates: int = 0
    _trusted: float = 0.0
    _usual_strength: float = 0.0
    _taps: list[float] = field(default_factory=list)

    def step(self, now: BeatEvidence, control: TempoControl) -> Beat:
        """Take one hop and return the beat at its end."""
        self._evidence[:, self._hop % HISTORY] = now.strength, now.every, now.kick, now.snare, now.chord
        self._hop += 1
        self._since_beat += HOP_SECONDS
        self._trusted = max(self._trusted - HOP_SECONDS, 0.0)
        if control.fixed > 0.0:
            self.period = 60.0 / control.fixed
        if control.tapped:
            self._tap()
        if (control.doubled or control.halved) and control.fixed <= 0.0:
            self._multiply_tempo(2.0 if control.doubled else 0.5)
        if self._hop % UPDATE_HOPS == 0 and self._hop >= FIRST_UPDATE_HOPS and control.source == "auto":
            self._update(control)
        if control.source == "off" or self.period == 0.0:
            return Beat(beats=self.beats)
        self._advance()
        if control.resync:
            self._beat_now(downbeat=True)
        certain = control.fixed > 0.0 or control.source == "tap" or self._trusted > 0.0
        return Beat(
            60.0 / self.period,
            1.0 if certain else float(np.interp(self.confidence, RAW_CONFIDENCE, RIGHT_BEATS)) * self._pulse,
            self.phase,
            (self._downbeat.beat_in_bar(self.beats) + self.phase) / BEATS_PER_BAR,
            self.beats,
        )

    def anchor(self) -> None:
        """Make the beat nearest to now the first of its bar."""
        self._downbeat.anchor(self.beats if self.phase < 0.5 else self.beats + 1)

    def _advance(self) -> None:
        self._clock += HOP_SECONDS / self.period
        self.phase += HOP_SECONDS / self.period + self._pull
        if self.phase >= 1.0:
            self.phase -= 1.0
            if self._since_beat >= 0.4 * self.period:
                self.beats += 1
                self._since_beat = self.phase * self.period
                self._downbeat.turn(self.beats)

    def _beat_now(self, downbeat: bool) -> None:
        if self._since_beat >= 0.4 * self.period:
            self.beats += 1
        self.phase, self._pull, self._since_beat, self._trusted = 0.0, 0.0, 0.0, TRUST_SECONDS
        if downbeat:
            self._downbeat.anchor(self.beats)

    def _multiply_tempo(self, factor: float) -> None:
        """Multiply the tempo by `factor` (2 or 0.5) until it changes. The downbeat stays."""
        if not self.period or not SLOWEST_BEAT <= 60.0 * factor / self.period <= FASTEST_BEAT:
            return
        beat, self.phase = divmod((self._downbeat.beat_in_bar(self.beats) + self.phase) * factor, 1.0)
        self.period /= factor
        self._pull, self._rival_updates, self._octave_held = 0.0, 0, True
        self._downbeat.renumber(self.beats, int(beat) % BEATS_PER_BAR)

    def _tap(self) -> None:
        now = self._hop * HOP_SECONDS
        if self._taps and now - self._taps[-1] > 2.0:
            self._taps.clear()
        self._taps = [*self._taps[-7:], now]
        if len(self._taps) >= 4:
            mean = (self._taps[-1] - self._taps[0]) / (len(self._taps) - 1)
            self.period = min(max(mean, 60.0 / FASTEST_BEAT), 1.5)
            self._beat_now(downbeat=False)

    def _update(self, control: TempoControl) -> None:
        at = self._hop % HISTORY
        known = np.roll(self._evidence, -at, axis=1)[:, -min(self._hop - self._began, HISTORY) :]
        heard, every, kick, snare, chord = (np.convolve(row, (0.25, 0.5, 0.25), mode="same") for row in known)
        drums = _normalised(kick) + _normalised(snare)
        found = periodicity(heard, drums, every, control.fastest) if heard.max() > 1e-6 else None
        if found is None:
            self.confidence *= 1.0 - UPDATE_SECONDS / 8.0
            self._rest()
            return
        if self._quiet(heard) and self.period:
            self._rest()
            return
        if self.period and heard.size >= FIRST_HOPS and repeated(heard, self.period) < REPEATED:
            self._fade(NOISE_BEATS)
        else:
            self._pulse += (1.0 - self._pulse) * PULSE_RETURN
        if self._accept_change(found, heard, control):
            return
        found = self._memory.remember(found, to_octave(60.0 / self.period, control.fastest) if self.period else 0.0)
        periodic = self._find_tempo(found, control.fixed)
        ages = np.arange(heard.size)[::-1] * HOP_SECONDS + DELAY_SECONDS
        chord = np.append(chord[CHORD_DELAY:], np.zeros(CHORD_DELAY))
        bar = positions(np.stack([kick, snare, every, chord]), ages / (BEATS_PER_BAR * self.period))
        bar = self._downbeat.remember(bar, self._clock / BEATS_PER_BAR)
        contrast = self._correct_phase(_normalised(every) + drums, bar)
        self._downbeat.keep_evidence(self.beats, self.phase, bar)
        clear = min(max((periodic - 0.08) / 0.12, 0.0), 1.0) * min(max((contrast - 0.1) / 0.2, 0.0), 1.0)
        self.confidence += (clear - self.confidence) * 0.2

    def _rest(self) -> None:
        """In an update without a pulse, keep tempo and phase, and lower the confidence in them."""
        self._pull = 0.0
        if self.period:
            self._fade(REST_BEATS)

    def _fade(self, beats: float) -> None:
        self._pulse *= math.exp(-UPDATE_SECONDS / (beats * self.period))

    def _quiet(self, heard: np.ndarray) -> bool:
        """Whether onsets are weak (a breakdown, a pause or its end), so that tempo and phase must not change."""
        self._usual_strength = max(
            float(heard[-PHASE_HOPS:].mean()), self._usual_strength * (1.0 - UPDATE_SECONDS / 45.0)
        )
        return float(heard[-RECENT_HOPS:].mean()) < QUIET * self._usual_strength

    def _accept_change(self, found: Periodicity, heard: np.ndarray, control: TempoControl) -> bool:
        """Accept a new tempo that the last seconds show clearly, and drop earlier evidence. Returns whether it did."""
        if not self.period or control.fixed > 0.0 or self._trusted > 0.0:
            return False
        tempo = self._tempo_change.step(heard, 60.0 / self.period, control.fastest)
        if tempo:
            self._accept(tempo)
            self._began = self._hop - CHANGED_HOPS
            self._memory, self._tempo_change = TempoMemory(), TempoChange()
        return tempo > 0.0

    def _accept(self, tempo: float) -> None:
        """Set another tempo in BPM, whose phase and downbeat are not known yet."""
        self._rival_updates, self.period, self.confidence = 0, 60.0 / tempo, 0.0
        self._octave_held = False
        self._downbeat.forget()

    def _find_tempo(self, found: Periodicity, fixed: float) -> float:
        scores = comb_scores(found.onsets, found.fastest)
        if fixed > 0.0:
            return best_tempo(scores, fixed)[1]
        known = 60.0 / self.period if self.period else 0.0
        tempo, periodic = best_tempo(scores, known if self._trusted > 0.0 else 0.0)
        if self._octave_held:
            tempo *= 2.0 ** round(math.log2(known / tempo))
        elif self._trusted <= 0.0:
            tempo = found.octave(tempo, known * (self.confidence > 0.5))
        if self._trusted > 0.0:
            tempo = found.refine(tempo, drifting=False)
        elif known and abs(tempo / known - 1.0) < NEAR:
            # When the tempo drifts, the mean over 20 s lags, and the held tempo is nearer to the true one.
            tempo = found.refine(tempo, known)
        else:
            tempo = found.refine(tempo)
        if self._trusted > 0.0 and abs(tempo / known - 1.0) >= NEAR:
            return periodic  # the tapped tempo is not in the audio
        if not known:
            self.period = 60.0 / tempo
        elif abs(tempo / known - 1.0) < NEAR:
            self._rival_updates = 0
            self.period += (FOLLOW if abs(tempo / known - 1.0) < STEADY else 0.5) * (60.0 / tempo - self.period)
        else:
            # Hysteresis grows with the confidence in the old tempo, because a fill is no tempo change.
            self._rival_updates += 1
            if self._rival_updates > 2 + 14 * self.confidence * min((self._hop - self._began) / HISTORY, 1.0):
                self._accept(tempo)
            else:
                periodic = float(np.interp(known, tempo_grid(found.fastest), scores))
        return periodic

    def _correct_phase(self, heard: np.ndarray, bar: np.ndarray) -> float:
        """Set the phase correction until the next update; returns the contrast of the beat, 0 to 1."""
        heard_phase, contrast = find_phase(heard, self.period, bar)
        error = (heard_phase - self.phase + 0.5) % 1.0 - 0.5
        self._pull = 0.0
        self._astray_updates = self._astray_updates + 1 if abs(error) >= 0.2 else 0
        if self.confidence < 0.3 and self._trusted <= 0.0:
            self.phase = heard_phase % 1.0
        elif abs(error) < 0.2 or (self._astray_updates > ASTRAY_UPDATES and self._trusted <= 0.0):
            self._pull = 0.3 * min(max(error, -0.2), 0.2) / UPDATE_HOPS
        return contrast


def _normalised(flux: np.ndarray) -> np.ndarray:
    """`flux` normalised to an RMS of 1, so that all drums have the same weight; a very weak flux is not amplified."""
    return np.asarray(flux / (float(np.sqrt(np.mean(np.square(flux)))) + 0.004))
