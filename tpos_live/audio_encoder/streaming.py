"""The TPoS encoder on the stage: what the sound means, fifty times a second, step by step in numpy.

Trained by `training/audio_model/net.py`, which runs the same numbers on whole stretches. The net makes a step each
40 ms; two readings of it, half a step apart and each with its own memory, give a meaning each 20 ms. Nothing
depends on the blocks in which sound comes. No torch here: the window is up before torch is.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from tpos_live.audio_encoder.csls import CSLS_WEIGHT, CslsScorer
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.envelope import share
from tpos_live.features.features import HOP_SECONDS
from tpos_live.features.mel import MELS, mel_db, mel_power
from tpos_live.features.stft import ShortTimeSpectrum

STEP_HOPS = 4
"""Hops between two steps of one reading."""
READINGS = 2
SILENT_DB = -100.0
CENTRE_DB = -55.0
SCALE_DB = 25.0
"""The one fixed trim: (dB - CENTRE_DB) / SCALE_DB goes into the net, whatever the sound."""
FADE_DB = (-72.0, -60.0)
"""Below -60 dBFS the weight of the meaning fades, at -72 dBFS it is gone."""
AUDIBLE_DB = 45.0
"""Below the loudest step of the memory: what is quieter is not part of what is heard, but a pause in it."""
FORGET_SECONDS = 2.0
"""After so long in which the weight is gone, what was heard before is forgotten: what comes next is another sound.
Here alone; what the net learns from has no such silence."""
_LEVEL_SECONDS = 0.15
FIRST_HOPS, FIRST_BANDS, FIRST_STRIDE = 8, 7, 4
"""The first convolution: hops and bands that it spans, bands that it goes on by."""


@dataclass(frozen=True)
class Layout:
    """Sizes of the net; what the metadata of an encoder says.

    channels: of the convolutions; the first leaves a quarter of the bands, each other half of them. width: of segments
    and LSTM. dim: of the sentence space. rows: audio tokens. memory: steps that attention sees, 250 = 10 s. lstm,
    attention, level: False leaves them out; without level, only the shape of a spectrum is seen.
    """

    channels: tuple[int, ...] = (24, 48, 64)
    width: int = 128
    dim: int = 128
    query: int = 32
    rows: int = 4
    memory: int = 250
    lstm: bool = True
    attention: bool = True
    level: bool = True

    @property
    def heads(self) -> tuple[int, ...]:
        """Sizes of what is read off each step: meaning, query, key, salience, density."""
        return self.dim, self.query, self.query, 1, 1

    @property
    def bands(self) -> int:
        """Bands that are left after the convolutions."""
        return int(MELS // FIRST_STRIDE // 2 ** (len(self.channels) - 1))

    def describe(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"channels": list(self.channels)}


def _silence(layout: Layout) -> np.ndarray:
    """float32 [2]: the features of a hop of silence, the same in every band."""
    return np.array([(SILENT_DB - CENTRE_DB) / SCALE_DB if layout.level else 0.0, 0.0], np.float32)


def hop_features(mel: np.ndarray) -> np.ndarray:
    """float32 [2, MELS] that the net sees of mel dB [MELS]: the level, and the shape without it."""
    level = ((mel - CENTRE_DB) / SCALE_DB).astype(np.float32)
    return np.stack([level, level - level.mean()])


class _Conv:
    """One convolution that is fed a column at a time; it keeps the columns that its kernel spans."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, bands: int, stride: int) -> None:
        """weight: [time, in, frequency, out]; it goes on by `stride` bands."""
        times, depth, width, out = weight.shape
        pad = width // 2
        self._weight, self._bias = np.ascontiguousarray(weight.reshape(-1, out)), bias
        self._columns = np.zeros((times, depth, bands + 2 * pad), np.float32)
        self._inside = self._columns[:, :, pad : pad + bands]
        spread = np.lib.stride_tricks.sliding_window_view(self._columns, width, axis=2)[:, :, ::stride]
        self._windows = spread.transpose(2, 0, 1, 3)
        self._bands = self._windows.shape[0]

    def fill(self, columns: np.ndarray) -> np.ndarray:
        """Take all columns [time, in, bands] at once; gives [out, bands / stride]."""
        self._inside[:] = columns
        return self._multiply()

    def step(self, column: np.ndarray) -> np.ndarray:
        """Take the next column [in, bands]; gives [out, bands / stride]."""
        self._inside[:-1] = self._inside[1:]
        self._inside[-1] = column
        return self._multiply()

    def _multiply(self) -> np.ndarray:
        made: np.ndarray = self._windows.reshape(self._bands, -1) @ self._weight
        made += self._bias
        return np.maximum(made, 0.0, out=made).T


class Reading:
    """One run of the net over a stream, a step each STEP_HOPS hops."""

    def __init__(self, layout: Layout, weights: Mapping[str, np.ndarray]) -> None:
        self._layout, self._w = layout, weights
        self._convs = []
        bands = MELS
        for index in range(len(layout.channels)):
            stride = FIRST_STRIDE if index == 0 else 2
            self._convs.append(_Conv(weights[f"conv.{index}.weight"], weights[f"conv.{index}.bias"], bands, stride))
            bands //= stride
        last = len(layout.channels)
        segment = weights[f"conv.{last}.weight"]
        self._segment_weight = np.ascontiguousarray(segment.reshape(-1, layout.width))
        self._segment_bias = weights[f"conv.{last}.bias"]
        self._columns = np.zeros(segment.shape[:2], np.float32)
        self._cuts = np.cumsum(layout.heads)[:-1]
        self._ageing = float(weights["ageing"][0])
        self._ages = self._ageing * np.arange(layout.memory - 1, -1, -1, dtype=np.float32)
        # Twice as long as the memory: the newest are always one slice, and are moved once a memory's time.
        self._keys = np.zeros((2 * layout.memory, layout.query), np.float32)
        self._values = np.zeros((2 * layout.memory, layout.dim), np.float32)
        self._salience = np.zeros(2 * layout.memory, np.float32)
        self._loud = np.zeros(2 * layout.memory, np.float32)
        self._audible = float(weights["audible"][0])
        self.forget()
        silence = np.broadcast_to(_silence(layout)[:, None], (FIRST_HOPS, 2, MELS))
        for _ in range(2 * len(self._convs) + 2):
            self._segment(silence)

    def forget(self) -> None:
        """Empty the memories; the convolutions still know the last third of a second."""
        self._hidden, self._cell = np.zeros((2, self._layout.width), np.float32)
        self._end = 0

    def step(self, hops: np.ndarray, level: float) -> tuple[np.ndarray, float]:
        """Hear the newest eight hops [8, 2, MELS]; gives the meaning (unit length) and the density.

        level: dB of the loudest band in the newest STEP_HOPS of them.
        """
        layout, w = self._layout, self._w
        segment = self._segment(hops)
        hidden = self._remember(segment) if layout.lstm else self._hidden
        both = np.concatenate([segment, hidden])
        value, query, key, salience, strength = np.split(both @ w["heads.weight"] + w["heads.bias"], self._cuts)
        density = 1.0 / (1.0 + math.exp(-min(max(float(strength[0]), -30.0), 30.0)))
        if not layout.attention:
            return _unit(value), density
        start = self._store(key, value, float(salience[0]), level)
        known = slice(start, self._end)
        scores = self._keys[known] @ (query / math.sqrt(layout.query)) + self._salience[known]
        scores -= self._ages[layout.memory - scores.size :]
        loud = self._loud[known]
        scores[loud <= loud.max() - self._audible] = -np.inf
        scores -= scores.max()
        np.exp(scores, out=scores)
        embedding = scores @ self._values[known]
        return _unit(embedding), density

    def _segment(self, hops: np.ndarray) -> np.ndarray:
        column = self._convs[0].fill(hops)
        for conv in self._convs[1:]:
            column = conv.step(column)
        self._columns[:-1] = self._columns[1:]
        self._columns[-1] = column.reshape(-1)
        return np.maximum(self._columns.reshape(-1) @ self._segment_weight + self._segment_bias, 0.0)

    def _remember(self, segment: np.ndarray) -> np.ndarray:
        """One step of the LSTM; gates in torch's order."""
        gates = np.concatenate([segment, self._hidden]) @ self._w["lstm.weight"] + self._w["lstm.bias"]
        width = self._layout.width
        enter, keep, new, leave = (gates[i * width : (i + 1) * width] for i in range(4))
        self._cell = _sigmoid(keep) * self._cell + _sigmoid(enter) * np.tanh(new)
        self._hidden = _sigmoid(leave) * np.tanh(self._cell)
        return self._hidden

    def _store(self, key: np.ndarray, value: np.ndarray, salience: float, loud: float) -> int:
        """Put a step into the memory; gives the index of the oldest that is still known."""
        memory = self._layout.memory
        if self._end == 2 * memory:
            for store in (self._keys, self._values, self._salience, self._loud):
                store[: memory - 1] = store[memory + 1 :]
            self._end = memory - 1
        self._keys[self._end], self._values[self._end], self._salience[self._end] = key, value, salience
        self._loud[self._end] = loud
        self._end += 1
        return max(self._end - memory, 0)


def _unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / max(float(np.linalg.norm(x)), 1e-12))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


class TposEncoder:
    """AudioEncoder with learned weights. Belongs to one thread.

    Un-normalised sound in. The vector lies in the sentence space of a text encoder; below -60 dBFS the magnitude
    fades, and with it gone the vector is zero. `phrases` and their `vectors` [n, dim] are the bank by which an
    engine that knows nothing of sentence spaces can be told what was heard; the first `scenes` of them are what
    Ember can show. `labels` are those of the phrases that sounds are called.
    """

    name = "tpos"
    period = STEP_HOPS * HOP_SECONDS / READINGS

    def __init__(
        self,
        layout: Layout,
        weights: Mapping[str, np.ndarray],
        phrases: tuple[str, ...] = (),
        scenes: int = 0,
        names: Container[str] = (),
        moods: Container[str] = (),
    ) -> None:
        """names: those of the first `scenes` phrases that a sound is called as well. moods: those that show nothing."""
        self.layout, self.dim, self.phrases, self.scenes, self.moods = layout, layout.dim, phrases, scenes, moods
        self.vectors = np.asarray(weights.get("phrases", np.zeros((0, layout.dim))), np.float32)
        self._weights = {key: np.asarray(value, np.float32) for key, value in weights.items()}
        self._centre, self._heard = self._weights.get("centre"), self._weights.get("heard")
        called = [n for n, phrase in enumerate(phrases) if n >= scenes or phrase in names]
        self.labels = tuple(phrases[n] for n in called)
        self._label_scorer = self.csls_scorer(self.vectors[called])
        self.reset()

    def csls_scorer(self, places: np.ndarray, csls_weight: float = CSLS_WEIGHT) -> CslsScorer:
        """How near meanings are to texts at `places` [n, dim] in the sentence space. taken: see `CslsScorer`."""
        return CslsScorer(places, self._centre, self._heard, csls_weight)

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        """How near a meaning is to each of `labels`."""
        return self._label_scorer(vector)

    def reset(self) -> None:
        """Forget all that was heard."""
        self._spectrum = ShortTimeSpectrum()
        self._readings = [Reading(self.layout, self._weights) for _ in range(READINGS)]
        self._hops = np.empty((FIRST_HOPS, 2, MELS), np.float32)
        self._hops[:] = _silence(self.layout)[:, None]
        self._loud = np.full(STEP_HOPS, SILENT_DB, np.float32)
        self._count = self._silent = 0
        self._power = 0.0

    def push(self, mono: np.ndarray) -> list[AudioEmbedding]:
        """Hear float32 [n] at 48 kHz, any n; 50 meanings a second of sound, oldest first.

        In silence that lasts (FORGET_SECONDS), what was heard before is forgotten.
        """
        found = []
        for power in self._spectrum.push(mono):
            self._hops[:-1] = self._hops[1:]
            mel = mel_db(mel_power(power))
            self._hops[-1] = hop_features(mel)
            self._loud[:-1] = self._loud[1:]
            self._loud[-1] = mel.max()
            if not self.layout.level:
                self._hops[-1, 0] = 0.0
            self._power += (float(power.sum()) - self._power) * share(_LEVEL_SECONDS, HOP_SECONDS)
            self._count += 1
            turn, rest = divmod(self._count, STEP_HOPS // READINGS)
            if rest == 0:
                reading = self._readings[turn % READINGS]
                found.append(self._mean(*reading.step(self._hops, float(self._loud.max()))))
                self._silent = 0 if found[-1].density > 0 else self._silent + 1
                if self._silent * self.period >= FORGET_SECONDS:
                    reading.forget()
        return found

    def _mean(self, vector: np.ndarray, density: float) -> AudioEmbedding:
        level = 10.0 * math.log10(self._power + 1e-12)
        weight = min(max((level - FADE_DB[0]) / (FADE_DB[1] - FADE_DB[0]), 0.0), 1.0)
        if weight == 0.0:
            return AudioEmbedding(self._count * HOP_SECONDS, np.zeros(self.dim, np.float32), 0.0)
        return AudioEmbedding(self._count * HOP_SECONDS, vector.astype(np.float32), weight * density)
