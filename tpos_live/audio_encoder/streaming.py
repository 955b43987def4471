"""Streaming inference of the TPoS audio encoder in numpy: 50 embeddings per second.

`training/audio_model/net.py` trains it and computes the same numbers for whole clips. The network makes one step per 40
ms; two instances, half a step apart and each with its own state, give one embedding per 20 ms. The result does not
depend on the block size. torch is not imported: the window opens before torch is loaded.
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
from tpos_live.features.spectrum import MELS, ShortTimeSpectrum, mel_db, mel_power

STEP_HOPS = 4
"""Hops between two steps of one instance."""
READINGS = 2
"""Instances of the network."""
SILENT_DB = -100.0
CENTRE_DB = -55.0
SCALE_DB = 25.0
"""Fixed input scaling: (dB - CENTRE_DB) / SCALE_DB."""
FADE_DB = (-72.0, -60.0)
"""The density fades to 0 between -60 and -72 dBFS."""
AUDIBLE_DB = 45.0
"""Attention ignores steps this far below the loudest step in memory: they are pauses."""
FORGET_SECONDS = 2.0
"""Seconds of silence after which the state is reset. Inference only: training has no such silence."""
_LEVEL_SECONDS = 0.15
FIRST_HOPS, FIRST_BANDS, FIRST_STRIDE = 8, 7, 4
"""Kernel of the first convolution in hops and bands, and its stride in bands."""


@dataclass(frozen=True)
class Layout:
    """Sizes of the network, stored in the metadata.

    channels: output channels of the convolutions; the first one divides the bands by 4, each other one by 2. width: of
    segments and LSTM. dim: of the sentence space. query: of attention queries and keys. rows: number of audio tokens.
    memory: steps that attention covers, 250 = 10 s. lstm, attention, level: False removes them; without level only the
    shape of the spectrum is used.
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
        """Sizes of the output heads: embedding, query, key, salience, density."""
        return self.dim, self.query, self.query, 1, 1

    @property
    def bands(self) -> int:
        """Bands after the convolutions."""
        return int(MELS // FIRST_STRIDE // 2 ** (len(self.channels) - 1))

    def describe(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self) | {"channels": list(self.channels)}


def _silence(layout: Layout) -> np.ndarray:
    """float32 [2]: features of a silent hop, equal in all bands."""
    return np.array([(SILENT_DB - CENTRE_DB) / SCALE_DB if layout.level else 0.0, 0.0], np.float32)


def hop_features(mel: np.ndarray) -> np.ndarray:
    """float32 [2, MELS], the network's input for mel dB [MELS]: the level, and the shape without it."""
    level = ((mel - CENTRE_DB) / SCALE_DB).astype(np.float32)
    return np.stack([level, level - level.mean()])


class _Conv:
    """A streaming convolution with ReLU. It takes one column (time step) at a time and keeps those of its kernel."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, bands: int, stride: int) -> None:
        """weight: [time, in, frequency, out]. bias: [out]. bands: of the input. stride: in bands."""
        times, depth, width, out = weight.shape
        pad = width // 2
        self._weight, self._bias = np.ascontiguousarray(weight.reshape(-1, out)), bias
        self._columns = np.zeros((times, depth, bands + 2 * pad), np.float32)
        self._inside = self._columns[:, :, pad : pad + bands]
        spread = np.lib.stride_tricks.sliding_window_view(self._columns, width, axis=2)[:, :, ::stride]
        self._windows = spread.transpose(2, 0, 1, 3)
        self._bands = self._windows.shape[0]

    def fill(self, columns: np.ndarray) -> np.ndarray:
        """Take all columns [time, in, bands] at once; returns [out, bands / stride]."""
        self._inside[:] = columns
        return self._multiply()

    def step(self, column: np.ndarray) -> np.ndarray:
        """Take the next column [in, bands]; returns [out, bands / stride]."""
        self._inside[:-1] = self._inside[1:]
        self._inside[-1] = column
        return self._multiply()

    def _multiply(self) -> np.ndarray:
        made: np.ndarray = self._windows.reshape(self._bands, -1) @ self._weight
        made += self._bias
        return np.maximum(made, 0.0, out=made).T


class Reading:
    """One instance of the network with its state. One step per STEP_HOPS hops."""

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
        # Twice the memory's length: the newest steps are always one slice, and are moved only once per memory length.
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
        """Clear LSTM and attention memory; the convolutions keep the last third of a second."""
        self._hidden, self._cell = np.zeros((2, self._layout.width), np.float32)
        self._end = 0

    def step(self, hops: np.ndarray, level: float) -> tuple[np.ndarray, float]:
        """Take the newest eight hops [8, 2, MELS]; returns the embedding [dim] (unit length) and the density.

        level: dB of the loudest band in the newest STEP_HOPS hops.
        """
        layout, w = self._layout, self._w
        segment = self._segment(hops)
        hidden = self._lstm_step(segment) if layout.lstm else self._hidden
        joined = np.concatenate([segment, hidden])
        value, query, key, salience, strength = np.split(joined @ w["heads.weight"] + w["heads.bias"], self._cuts)
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

    def _lstm_step(self, segment: np.ndarray) -> np.ndarray:
        """One step of the LSTM; gates in torch's order."""
        gates = np.concatenate([segment, self._hidden]) @ self._w["lstm.weight"] + self._w["lstm.bias"]
        width = self._layout.width
        enter, keep, new, leave = (gates[i * width : (i + 1) * width] for i in range(4))
        self._cell = _sigmoid(keep) * self._cell + _sigmoid(enter) * np.tanh(new)
        self._hidden = _sigmoid(leave) * np.tanh(self._cell)
        return self._hidden

    def _store(self, key: np.ndarray, value: np.ndarray, salience: float, loud: float) -> int:
        """Store a step in memory; returns the index of the oldest valid step."""
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

    It takes audio without normalisation. The vector is in the sentence space of a text encoder. Below -60 dBFS the
    density fades; at -72 dBFS joined density and vector are zero. `phrases` and their `vectors` [n, dim] form the
    phrase bank for engines without this sentence space; Ember can draw the first `scenes` of them. `labels` are the
    phrases that name sounds.
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
        kinds: tuple[str, ...] = (),
    ) -> None:
        """names: those of the first `scenes` phrases that also name sounds. moods: phrases that name a mood and no
        scene. kinds: of music, in the order of the weights' discriminants."""
        self.layout, self.dim, self.phrases, self.scenes, self.moods = layout, layout.dim, phrases, scenes, moods
        self.vectors = np.asarray(weights.get("phrases", np.zeros((0, layout.dim))), np.float32)
        self._weights = {key: np.asarray(value, np.float32) for key, value in weights.items()}
        self._centre, self._heard = self._weights.get("centre"), self._weights.get("heard")
        named = [n for n, phrase in enumerate(phrases) if n >= scenes or phrase in names]
        self.labels = tuple(phrases[n] for n in named)
        self.label_scores = self.csls_scorer(self.vectors[named])
        """Function of an embedding's vector [dim]: the score of each of `labels`, float [n]."""
        self.kinds = kinds
        self.reset()

    def csls_scorer(self, places: np.ndarray, csls_weight: float = CSLS_WEIGHT) -> CslsScorer:
        """A scorer for texts with sentence vectors `places` [n, dim]. csls_weight: see `CslsScorer`."""
        return CslsScorer(places, self._centre, self._heard, csls_weight)

    def kind_scores(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """See `KindScorer`. The weights have one discriminant for music, then one for each of `kinds`."""
        scores = vector @ self._weights["kinds.weight"] + self._weights["kinds.bias"]
        return float(scores[0]), scores[1:]

    def reset(self) -> None:
        """Return to the initial state."""
        self._spectrum = ShortTimeSpectrum()
        self._readings = [Reading(self.layout, self._weights) for _ in range(READINGS)]
        self._hops = np.empty((FIRST_HOPS, 2, MELS), np.float32)
        self._hops[:] = _silence(self.layout)[:, None]
        self._loud = np.full(STEP_HOPS, SILENT_DB, np.float32)
        self._count = self._silent = 0
        self._power = 0.0

    def push(self, mono: np.ndarray) -> list[AudioEmbedding]:
        """Take float32 [n] at 48 kHz, any n; 50 embeddings per second, oldest first.

        After FORGET_SECONDS of silence the state is reset.
        """
        embeddings = []
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
                embeddings.append(self._embed(*reading.step(self._hops, float(self._loud.max()))))
                self._silent = 0 if embeddings[-1].density > 0 else self._silent + 1
                if self._silent * self.period >= FORGET_SECONDS:
                    reading.forget()
        return embeddings

    def _embed(self, vector: np.ndarray, density: float) -> AudioEmbedding:
        level = 10.0 * math.log10(self._power + 1e-12)
        weight = min(max((level - FADE_DB[0]) / (FADE_DB[1] - FADE_DB[0]), 0.0), 1.0)
        if weight == 0.0:
            return AudioEmbedding(self._count * HOP_SECONDS, np.zeros(self.dim, np.float32), 0.0)
        return AudioEmbedding(self._count * HOP_SECONDS, vector.astype(np.float32), weight * density)
