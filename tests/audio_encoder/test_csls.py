"""CSLS: the cosine relative to the mean of texts, minus a text's similarity to all sounds."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.audio_encoder.csls import CSLS_WEIGHT, NEIGHBOURS, ZERO_SHOT_CSLS_WEIGHT, CslsScorer

DIM = 24


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def test_without_sounds_and_centre_the_score_is_the_cosine() -> None:
    rng = np.random.default_rng(0)
    places, embedding = unit(rng.standard_normal((5, DIM))), rng.standard_normal(DIM)
    assert CslsScorer(places)(embedding) == pytest.approx(places @ unit(embedding))
    assert np.isfinite(CslsScorer(places)(np.zeros(DIM))).all()


def test_an_offset_common_to_all_texts_is_removed() -> None:
    """Texts and an embedding with a common offset: without the offset they can be separated."""
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((DIM, DIM)))[0]
    side, apart = 3.0 * axes[0], axes[1:21]
    places = unit(apart + side)
    embedding = unit(0.3 * apart[2] + 0.2 * apart[0] + side)
    plain, about = CslsScorer(places)(embedding), CslsScorer(places, places.mean(axis=0))(embedding)
    for near in (plain, about):
        assert list(np.argsort(-near)[:2]) == [2, 0]
    assert about[2] - about[0] > 5 * (plain[2] - plain[0])


def test_a_text_that_is_near_every_sound_scores_lower() -> None:
    """One text had training sounds, another had none: a sound between them gets the other text."""
    rng = np.random.default_rng(2)
    taught, never = unit(rng.standard_normal((2, DIM)))
    places = np.stack([taught, never])
    heard = unit(taught + 0.05 * rng.standard_normal((40, DIM)))
    between = unit(1.0 * taught + 0.8 * never)
    assert CslsScorer(places)(between).argmax() == 0
    cosines = np.sort(heard @ taught)[-NEIGHBOURS:].mean()
    for csls_weight in (CSLS_WEIGHT, ZERO_SHOT_CSLS_WEIGHT):
        near = CslsScorer(places, heard=heard, csls_weight=csls_weight)
        assert near(between).argmax() == 1 and near(heard[0]).argmax() == 0
        assert near(taught)[0] == pytest.approx(1.0 - csls_weight * cosines)


def test_fewer_sounds_than_neighbours_are_enough() -> None:
    rng = np.random.default_rng(3)
    places = unit(rng.standard_normal((3, DIM)))
    assert np.isfinite(CslsScorer(places, heard=places[:1])(places[0])).all()
    assert CslsScorer(places, heard=np.zeros((0, DIM)))(places[0]) == pytest.approx(places @ places[0])
