"""The feature extractor: audio of any block size in, one Features record per 10 ms out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tpos_live.core.parameter_store import Snapshot
from tpos_live.features.agc import AutomaticGain, SetUpGain
from tpos_live.features.bands import RANGE_DB, TARGET_DB, BandLevels, LevelFollower, band_db, to_level
from tpos_live.features.beat import Beat, BeatEvidence, TempoControl
from tpos_live.features.beat_tracker import BeatTracker
from tpos_live.features.features import HOP_SECONDS, Features
from tpos_live.features.hpss import HarmonicPercussiveSeparator
from tpos_live.features.noise_gate import NoiseGate, SpectrumChange
from tpos_live.features.onset import DrumDetector, Flux, OnsetStrength, PeakPicker
from tpos_live.features.section import SectionDetector
from tpos_live.features.spectrum import BINS, ShortTimeSpectrum, decibels, mel_power
from tpos_live.features.structure import StructureDetector, StructureInput

_NO_POWER = np.zeros(BINS, np.float32)
_QUIET_DB = -75.0
KICK_WEIGHT = 4.0
"""Weight of a kick relative to other onsets, as evidence for the beat."""
TRIGGERS = ("tap", "resync", "double", "halve")
"""Trigger parameters, without the prefix `tempo.`."""
_NO_EVIDENCE = BeatEvidence()


class FeatureExtractor:
    """Turns audio into features; the same audio gives the same features for every block size.

    Thread contract: one thread makes all calls. Causal: the record of a hop needs no later sample.
    """

    def __init__(self) -> None:
        self._trigger_counts = dict.fromkeys(TRIGGERS, 0)
        self.reset()

    def reset(self) -> None:
        """Return to the initial state."""
        self._spectrum = ShortTimeSpectrum()
        self._gate = NoiseGate()
        self._spectrum_change = SpectrumChange()
        self._set_up = SetUpGain()
        self._gain = AutomaticGain(TARGET_DB, start=3.0)
        self._bands = BandLevels()
        self._flux = Flux()
        self._onsets = PeakPicker(least=0.03)
        self._onset_strength, self._onset = OnsetStrength(), 0.0
        self._drums = DrumDetector()
        self._kick = PeakPicker(least=0.03, share_of_peak=0.4, rest=0.1)
        self._snare = PeakPicker(least=0.012, share_of_peak=0.3, rest=0.1)
        self._hats = PeakPicker(least=0.006, share_of_peak=0.22, rest=0.06)
        self._hits = {
            "bass": PeakPicker(least=0.08),
            "mid": PeakPicker(least=0.06),
            "midhigh": PeakPicker(least=0.05),
            "high": PeakPicker(least=0.05, share_of_peak=0.3),
        }
        self._separation = HarmonicPercussiveSeparator()
        self._harmonic, self._percussive = LevelFollower(), LevelFollower()
        self._beat = BeatTracker()
        self._structure = StructureDetector()
        self._section = SectionDetector()
        self._hops = 0

    def push(self, mono: np.ndarray, snapshot: Snapshot) -> list[Features]:
        """Take float32 [n] at 48 kHz, any n (also 0); returns one record per completed hop.

        NaN and infinite samples count as silence. Reads audio.gain, audio.agc, audio.mute, tempo, tempo.source,
        tempo.fastest and the TRIGGERS of the tempo, which act on the first hop of the call.
        """
        return [self._analyse_hop(power, snapshot) for power in self._spectrum.push(mono)]

    def _analyse_hop(self, power: np.ndarray, snapshot: Snapshot) -> Features:
        self._hops += 1
        muted, automatic = bool(snapshot["audio.mute"]), bool(snapshot["audio.agc"])
        if muted:
            power = _NO_POWER
        db = band_db(power)
        mel = mel_power(power)
        gate = False if muted else self._gate.step(db[4], self._spectrum_change.step(mel))
        manual = float(snapshot["audio.gain"])
        set_up_gain = self._set_up.step(db[4] + manual, gate and automatic)
        programme_gain = self._gain.step(db[4] + manual + set_up_gain, gate and automatic)
        gain = manual + (set_up_gain + programme_gain if automatic else 0.0)
        self._bands.step(db, gain, automatic, gate)
        flux = self._flux.step(mel, gain)
        for name, picker in self._hits.items():
            picker.step(flux[name], gate)
        self._onsets.step(flux["all"], gate)
        self._onset = self._onset_strength.step(mel, gain, gate)
        drums = self._drums.step(mel, gain)
        self._kick.step(drums.kick, gate)
        self._snare.step(drums.snare, gate)
        self._hats.step(drums.hats, gate)
        harmonic = self._separation.step(mel, gain)
        for level, share in ((self._harmonic, harmonic), (self._percussive, 1.0 - harmonic)):
            level.step(to_level(db[4] + gain + decibels(share), TARGET_DB) if gate else 0.0)
        evidence = _NO_EVIDENCE
        if gate:
            every, chord = flux["all"], self._separation.chord
            evidence = BeatEvidence(every + KICK_WEIGHT * drums.kick, every, drums.kick, drums.snare, chord)
        beat = self._beat.step(evidence, self._control(snapshot))
        if muted and snapshot["tempo.source"] == "auto" and not snapshot["tempo"]:
            beat = replace(beat, confidence=0.0)
        self._find_structure(db, mel, beat, gate)
        return self._record(gain - manual, gate, beat)

    def _control(self, snapshot: Snapshot) -> TempoControl:
        counts = {name: snapshot.fired(f"tempo.{name}") for name in TRIGGERS}
        fired = {name: counts[name] != self._trigger_counts[name] for name in TRIGGERS}
        self._trigger_counts = counts
        return TempoControl(
            fixed=float(snapshot["tempo"]),
            source=str(snapshot["tempo.source"]),
            fastest=float(snapshot["tempo.fastest"]),
            tapped=fired["tap"],
            resync=fired["resync"],
            doubled=fired["double"],
            halved=fired["halve"],
        )

    def _find_structure(self, db: tuple[float, ...], mel: np.ndarray, beat: Beat, gate: bool) -> None:
        # Levels before all gain: a rising automatic gain must not look like a build-up.
        bright = 0.5 * (max(db[2], _QUIET_DB) + max(db[3], _QUIET_DB)) / RANGE_DB
        bass = self._bands.levels[0].level
        hop = StructureInput(bass, db[0], db[4], bright, self._onsets.fired, self._kick.hit, gate, beat)
        if self._structure.step(hop):
            self._beat.anchor()
        self._section.step(mel, gate, beat, self._structure)

    def _record(self, gain: float, gate: bool, beat: Beat) -> Features:
        bass, mid, midhigh, high, whole = self._bands.levels
        return Features(
            time=self._hops * HOP_SECONDS,
            gain=gain,
            gate=gate,
            level=whole.level,
            bass=bass.level,
            mid=mid.level,
            midhigh=midhigh.level,
            high=high.level,
            level_hit=self._onsets.hit,
            bass_hit=self._hits["bass"].hit,
            mid_hit=self._hits["mid"].hit,
            midhigh_hit=self._hits["midhigh"].hit,
            high_hit=self._hits["high"].hit,
            presence=whole.presence,
            bass_presence=bass.presence,
            mid_presence=mid.presence,
            midhigh_presence=midhigh.presence,
            high_presence=high.presence,
            onset=self._onset,
            kick=self._kick.hit,
            snare=self._snare.hit,
            hats=self._hats.hit,
            harmonic=self._harmonic.level,
            percussive=self._percussive.level,
            loudness=self._bands.loudness,
            tempo=beat.tempo,
            confidence=beat.confidence,
            beat_phase=beat.phase,
            bar_phase=beat.bar_phase,
            beats=beat.beats,
            buildup=self._structure.buildup,
            drop=self._structure.drop,
            energy=self._section.energy,
            tension=self._section.tension,
            sections=self._section.sections,
            silence=0.0 if gate else 1.0,
        )
