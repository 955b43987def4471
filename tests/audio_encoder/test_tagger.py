"""The tagger: labels are stable, empty in silence, and right for a known sound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.audio_encoder.tagger import HOLD, QUIET, SMOOTH, Tagger


class Three:
    """An encoder with three sounds, one per dimension."""

    labels = ("rain", "fire", "a bell")

    def label_scores(self, vector: np.ndarray) -> np.ndarray:
        return vector


def told(tagger: Tagger, index: int, begin: float, seconds: float, density: float = 0.5) -> list[str]:
    vector = np.eye(3, dtype=np.float32)[index]
    return [
        tagger.follow(AudioEmbedding(begin + n / 50, density and vector, density)) for n in range(int(50 * seconds))
    ]


def test_a_name_comes_soon_and_stays_long_enough_to_be_read() -> None:
    tagger = Tagger(Three())
    first = told(tagger, 0, 0.0, 2.0)
    assert first[0] == "" and first.index("rain") / 50 == pytest.approx(SMOOTH, abs=0.05) and first[-1] == "rain"
    after = told(tagger, 1, 2.0, 3.0)
    assert 0.1 < after.index("fire") / 50 < 1.0 and after[-1] == "fire"
    flicker = [name for n in range(40) for name in told(tagger, n % 2, 5.0 + n / 10, 0.1)]
    changes = [n for n in range(1, len(flicker)) if flicker[n] != flicker[n - 1]]
    assert all((b - a) / 50 >= HOLD - 0.02 for a, b in pairwise(changes))


def test_silence_has_no_name_and_the_next_sound_begins_anew() -> None:
    tagger = Tagger(Three())
    told(tagger, 0, 0.0, 2.0)
    assert set(told(tagger, 0, 2.0, 0.5, density=QUIET / 2)) == {""}
    assert tagger.follow(AudioEmbedding(2.6, np.zeros(3, np.float32), 0.9)) == tagger.name == ""
    assert told(tagger, 2, 3.0, 1.0)[-1] == "a bell"


def test_an_embedding_that_is_not_finite_gives_no_lasting_name() -> None:
    tagger = Tagger(Three())
    tagger.follow(AudioEmbedding(0.0, np.full(3, np.nan, np.float32), 0.5))
    assert told(tagger, 1, 0.1, 2.0)[-1] == "fire"


def test_an_encoder_without_words_says_nothing() -> None:
    assert told(Tagger(object()), 0, 0.0, 1.0)[-1] == ""


@pytest.mark.parametrize("kind", ["rain", "siren", "bells", "applause"])
def test_what_it_was_taught_it_names(kind: str) -> None:
    from tpos_live.training.synth.sound_effects import make

    hearing, _ = open_encoder()
    tagger = Tagger(hearing)
    for embedding in hearing.push(make(kind, 0.7, 4.0, 77)):
        tagger.follow(embedding)
    assert tagger.name == kind


def test_the_rules_have_words_too() -> None:
    hearing = RuleBasedEncoder()
    tagger = Tagger(hearing)
    for embedding in hearing.push(0.2 * np.random.default_rng(0).standard_normal(96_000).astype(np.float32)):
        tagger.follow(embedding)
    assert tagger.name in hearing.concepts
