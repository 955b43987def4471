"""A change to another tempo, found in the last three seconds of onset strength.

The mean over twenty seconds (`tempo.py`) outvotes fills and breaks, but it needs eight seconds to accept another tempo.
After a change, the recent onsets repeat clearly at the new tempo, hardly at the old one, and they are not those of two
bars before. A fill fails one of these three tests: it still falls on beats of the old tempo, or it repeats nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tpos_live.features.tempo import best_tempo, comb_scores, correlate, tempo_grid

WINDOW_HOPS = 300
FIRST_HOPS = 600
"""Onset history from which a change is looked for."""
LEAST = 0.3
"""Score from which the recent onsets repeat at all."""
LOST = 0.5
"""Share of the new tempo's score below which the old tempo has gone."""
SAME = 0.03
"""Tempi that differ by less than this share are one tempo."""
OCTAVE = 0.06
"""Distance from a whole number of octaves, in octaves, below which two tempi are one."""
LOOKS = 4
"""Updates (four per second) in a row that must find the same new tempo."""


@dataclass
class TempoChange:
    """Compares the recent onsets with the current tempo. One step per update."""

    _tempo: float = 0.0
    _looks: int = 0

    def step(self, strength: np.ndarray, held: float, fastest: float) -> float:
        """The new tempo in BPM once it is certain, of any octave; else 0.

        strength: onset strength [hops] since the last change, newest last. held: the current tempo in BPM. fastest: the
        fastest tempo to look for.
        """
        found = _other_tempo(strength, held, fastest) if strength.size >= FIRST_HOPS else 0.0
        same = found > 0.0 and self._tempo > 0.0 and abs(found / self._tempo - 1.0) < SAME
        self._looks = self._looks + 1 if same else int(found > 0.0)
        self._tempo = found
        return found if self._looks >= LOOKS else 0.0


def _other_tempo(strength: np.ndarray, held: float, fastest: float) -> float:
    """The tempo of the recent onsets in BPM; 0 if it is the held one, half or double of it, or unclear."""
    onsets = correlate(strength[-WINDOW_HOPS:])
    if onsets is None:
        return 0.0
    scores, grid = comb_scores(onsets, fastest), tempo_grid(fastest)
    tempo, score = best_tempo(scores)
    octaves = float(np.log2(tempo / held))
    if score < LEAST or abs(octaves - round(octaves)) < OCTAVE:
        return 0.0
    near = scores[np.abs(grid / held - 1.0) < SAME]
    kept = float(near.max(initial=float(np.interp(held, grid, scores))))
    return tempo if max(kept, _repeated(strength, 60.0 / held)) < LOST * score else 0.0


def _repeated(strength: np.ndarray, beat: float) -> float:
    """Correlation of the recent onsets with those of two bars before, or of one if no more is known. beat: seconds."""
    recent = np.arange(strength.size - WINDOW_HOPS, strength.size)
    lag = 100.0 * beat * (8.0 if recent[0] > 800.0 * beat else 4.0)
    before = np.interp(recent - lag, np.arange(strength.size), strength)
    now = strength[recent] - strength[recent].mean()
    before = before - before.mean()
    return float(np.dot(now, before) / max(float(np.linalg.norm(now) * np.linalg.norm(before)), 1e-12))
