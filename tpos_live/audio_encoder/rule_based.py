"""A rule-based baseline encoder: nothing is learned.

It measures loudness, brightness, noisiness, onset rate and bass of the last second and scores a small bank of concepts
by the rules below. The learned encoder implements the same protocol.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.envelope import share
from tpos_live.features.bands import band_db
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.noise_gate import NoiseGate
from tpos_live.features.onset import Flux, PeakPicker
from tpos_live.features.spectrum import ShortTimeSpectrum, mel_centres, mel_power

HOPS_PER_MEANING = 4
"""Hops between two embeddings."""
CONTEXT_SECONDS = 1.0
MEMORY_SECONDS = 8.0
MEMORY_WEIGHT = 0.3
HOLD_SECONDS = 1.5
"""Shortest time in seconds before another concept can lead."""
LEAD_BONUS = 0.35
"""Lead of the leading concept over the strongest score."""
_RELAX_SECONDS = 0.3


@dataclass(frozen=True)
class Timbre:
    """The last second in five numbers, 0 to 1 each.

    loud: -60 to -10 dBFS. bright: spectral centroid, 100 Hz to 8 kHz, logarithmic. noisy: spectral flatness. busy:
    onsets, up to six per second. deep: share of the power below 250 Hz.
    """

    loud: float
    bright: float
    noisy: float
    busy: float
    deep: float


def _near(value: float, centre: float, width: float) -> float:
    return math.exp(-0.5 * ((value - centre) / width) ** 2)


_RULES = {
    "calm soft light": lambda t: (1 - t.busy) ** 2 * (1 - t.noisy) * (1 - 0.5 * t.loud),
    "dark deep shadows": lambda t: t.deep * (1 - t.bright) ** 2 * (1 - 0.7 * t.busy),
    "bright glowing light": lambda t: t.bright * (1 - t.noisy) * t.loud,
    "energetic sparks": lambda t: t.busy * t.loud * (0.3 + 0.7 * t.bright),
    "warm fire glow": lambda t: _near(t.bright, 0.4, 0.18) * t.loud * _near(t.busy, 0.35, 0.25) * (1 - t.deep),
    "rain and mist": lambda t: t.noisy * (1 - t.busy) * _near(t.loud, 0.45, 0.3),
    "crashing waves": lambda t: t.noisy * t.loud**2,
    "pulsing neon geometry": lambda t: 1.2 * t.busy * math.sqrt(t.deep) * t.loud * (1 - 0.5 * t.bright),
    "slow drifting fog": lambda t: (1 - t.busy) ** 2 * (1 - t.bright) * _near(t.loud, 0.25, 0.2),
    "singing crystal shapes": lambda t: (1 - t.noisy) ** 2 * (1 - t.deep) * _near(t.bright, 0.65, 0.2),
}
CONCEPTS = tuple(_RULES)
"""The concepts, in the order of the vector."""


class RuleBasedEncoder:
    """AudioEncoder by rules. Causal; any block size gives the same embeddings.

    The vector has one weight per concept, 0 or more. The leading concept is held for at least 1.5 s; the conditioning
    smooths the rest.
    """

    name = "spectral-baseline"
    dim = len(CONCEPTS)
    period = HOPS_PER_MEANING * HOP_SECONDS
    concepts = labels = CONCEPTS

    def __init__(self) -> None:
        self.reset()

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        """Score of each of `labels`, float32 [dim]: the weights themselves."""
        return vector

    def reset(self) -> None:
        """Return to the initial state."""
        self._spectrum = ShortTimeSpectrum()
        self._gate = NoiseGate()
        self._flux = Flux()
        self._onset = PeakPicker(least=0.03)
        self._mel = np.zeros(mel_centres().size - 2)
        self._power = 0.0
        self._deep = 0.0
        self._onsets: deque[int] = deque()
        self._memory = np.zeros(self.dim)
        self._sounding = 0.0
        self._leader = -1
        self._led_for = math.inf
        self._hops = 0

    def push(self, mono: np.ndarray) -> list[AudioEmbedding]:
        """Take float32 [n] at 48 kHz, any n; 25 embeddings per second, oldest first."""
        embeddings = []
        for power in self._spectrum.push(mono):
            self._analyse_hop(power)
            if self._hops % HOPS_PER_MEANING == 0:
                embeddings.append(self._embed())
        return embeddings

    def _analyse_hop(self, power: np.ndarray) -> None:
        self._hops += 1
        db = band_db(power)
        mel = mel_power(power)
        gate = self._gate.step(db[4])
        self._onset.step(self._flux.step(mel, 0.0)["all"], gate)
        if self._onset.fired:
            self._onsets.append(self._hops)
        while self._onsets and self._onsets[0] <= self._hops - CONTEXT_SECONDS / HOP_SECONDS:
            self._onsets.popleft()
        recent = share(CONTEXT_SECONDS / 2.0, HOP_SECONDS)
        self._mel += (mel - self._mel) * recent
        self._power += (10.0 ** (db[4] / 10.0) - self._power) * recent
        self._deep += (10.0 ** (db[0] / 10.0) - self._deep) * recent
        self._sounding += (gate - self._sounding) * share(_RELAX_SECONDS, HOP_SECONDS)

    def timbre(self) -> Timbre:
        """Timbre of the last second."""
        mel = self._mel + 1e-12
        centroid = float(np.dot(mel, mel_centres()[1:-1]) / mel.sum())
        flatness = float(np.exp(np.log(mel).mean()) / mel.mean())
        loud = (10.0 * math.log10(self._power + 1e-12) + 60.0) / 50.0
        bright = math.log2(centroid / 100.0) / math.log2(80.0)
        deep = self._deep / (self._power + 1e-12)
        return Timbre(*(min(max(v, 0.0), 1.0) for v in (loud, bright, flatness, len(self._onsets) / 6.0, deep)))

    def _embed(self) -> AudioEmbedding:
        timbre = self.timbre()
        scores = np.array([rule(timbre) for rule in _RULES.values()])
        self._memory += (scores - self._memory) * share(MEMORY_SECONDS, self.period)
        blend = (1.0 - MEMORY_WEIGHT) * scores + MEMORY_WEIGHT * self._memory
        self._choose_leader(blend)
        blend[self._leader] = blend.max() + LEAD_BONUS
        # Squaring keeps the best few concepts.
        vector = blend**2
        vector /= np.linalg.norm(vector)
        time = self._hops * HOP_SECONDS
        if self._sounding < 0.02:
            return AudioEmbedding(time, np.zeros(self.dim, np.float32), 0.0)
        return AudioEmbedding(time, vector.astype(np.float32), min(self._sounding * timbre.loud, 1.0))

    def _choose_leader(self, scores: np.ndarray) -> None:
        """Change the leader only after HOLD_SECONDS, and only for a score that is 10 % higher."""
        self._led_for += self.period
        best = int(np.argmax(scores))
        if self._leader < 0 or (self._led_for >= HOLD_SECONDS and scores[best] > 1.1 * scores[self._leader]):
            if best != self._leader:
                self._led_for = 0.0
            self._leader = best
