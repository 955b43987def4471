"""The baseline encoder: protocol, streaming, rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes.music import RATE, four_on_the_floor

from tpos_live.audio_encoder.protocol import AudioEmbedding, AudioEncoder
from tpos_live.audio_encoder.rule_based import CONCEPTS, RuleBasedEncoder


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, int(seconds * RATE)).astype(np.float32)


def tone(seconds: float, hertz: float, level: float = 0.05) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def leaders(embeddings: list[AudioEmbedding]) -> list[str]:
    return [CONCEPTS[int(np.argmax(m.vector))] for m in embeddings if m.density > 0.0]


def test_it_is_an_encoder_and_says_what_it_is() -> None:
    encoder: AudioEncoder = RuleBasedEncoder()
    assert encoder.name == "spectral-baseline" and encoder.dim == len(CONCEPTS) and encoder.period == 0.04


@pytest.mark.parametrize("size", [113, 480, 1024, 48_000])
def test_a_stream_equals_its_offline_run(size: int) -> None:
    sound = np.concatenate([four_on_the_floor(128, 2)[0], noise(1), tone(1, 440)])
    offline, stream = RuleBasedEncoder().push(sound), []
    encoder = RuleBasedEncoder()
    for at in range(0, sound.size, size):
        stream += encoder.push(sound[at : at + size])
    assert len(stream) == len(offline) == 100
    for a, b in zip(stream, offline, strict=True):
        assert a.time == b.time and abs(a.density - b.density) < 1e-5
        assert np.abs(a.vector - b.vector).max() < 1e-5


@pytest.mark.parametrize(
    "sound", [np.zeros(RATE), np.full(RATE, np.nan), noise(1, 1e9), noise(1), noise(1, 1e-6), np.ones(RATE)]
)
def test_vectors_are_unit_or_zero(sound: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        found = RuleBasedEncoder().push(sound.astype(np.float32))
    assert len(found) == 25
    for embedding in found:
        length = np.linalg.norm(embedding.vector)
        assert embedding.vector.dtype == np.float32 and embedding.vector.shape == (len(CONCEPTS),)
        assert length == pytest.approx(1.0, abs=1e-5) or (length == 0.0 and embedding.density == 0.0)
        assert 0.0 <= embedding.density <= 1.0 and np.all(embedding.vector >= 0.0)


def test_silence_means_nothing_and_fades() -> None:
    found = RuleBasedEncoder().push(np.concatenate([noise(2), np.zeros(4 * RATE, np.float32)]))
    assert found[40].density > 0.3 and found[-1].density == 0.0


def test_different_sounds_mean_different_things() -> None:
    groove, _ = four_on_the_floor(128, 6)
    rain = noise(6, 0.02) * (1.0 + 0.9 * np.sin(np.arange(6 * RATE) / RATE * 9)).astype(np.float32)
    swell = (1.0 + 0.9 * np.sin(np.arange(6 * RATE) / RATE * 5)).astype(np.float32)
    deep, flute = tone(6, 60, 0.1) * swell, tone(6, 2500, 0.1) * swell
    last = [leaders(RuleBasedEncoder().push(s))[-1] for s in (groove, rain, deep, flute)]
    assert last[0] in {"pulsing neon geometry", "energetic sparks"}
    assert last[1] in {"rain and mist", "crashing waves"}
    assert last[2] in {"dark deep shadows", "slow drifting fog", "calm soft light"}
    assert last[3] in {"bright glowing light", "singing crystal shapes"}


def test_a_leading_concept_is_held() -> None:
    parts = [p for _ in range(12) for p in (noise(0.4, 0.2), tone(0.4, 60, 0.2), tone(0.4, 3000, 0.2))]
    led = leaders(RuleBasedEncoder().push(np.concatenate(parts)))
    changes = [i for i in range(1, len(led)) if led[i] != led[i - 1]]
    assert all(b - a >= 37 for a, b in itertools.pairwise(changes))


def test_reset_forgets() -> None:
    encoder = RuleBasedEncoder()
    first = encoder.push(noise(1))
    encoder.reset()
    again = encoder.push(noise(1))
    assert all(np.array_equal(a.vector, b.vector) and a.time == b.time for a, b in zip(first, again, strict=True))
