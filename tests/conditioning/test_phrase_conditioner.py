"""The phrase conditioner: embeddings in a sentence space for an engine with another text encoder."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.phrase_conditioner import PhraseConditioner, choose_audio_conditioner

PHRASES = ("rain", "heavy rain", "fire", "calm", "dark", "dog bark")
DIM = 16


def places() -> np.ndarray:
    """Unit vectors; "heavy rain" lies near "rain", the others far from each other."""
    made = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, DIM)))[0][: len(PHRASES)]
    made[1] = made[0] + 0.3 * made[1]
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def encode(text: str) -> torch.Tensor:
    """A text encoder shaped like CLIP's, of another width than the sentence space."""
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return torch.nn.functional.layer_norm(torch.randn(77, 48, generator=generator), (48,))


def encode_all(texts: Sequence[str]) -> torch.Tensor:
    return torch.stack([encode(text) for text in texts])


class Hearing:
    """A SentenceSpaceEncoder with these phrases."""

    phrases, vectors, scenes, moods = PHRASES, places(), 5, ()

    def csls_scorer(self, places: np.ndarray) -> CslsScorer:
        return CslsScorer(places)


def sentences(hears: bool = False) -> PhraseConditioner:
    made = choose_audio_conditioner(Hearing(), encode_all, 4, hears)
    assert isinstance(made, PhraseConditioner)
    return made


def test_a_sound_leads_to_phrases_that_the_engine_offers() -> None:
    every, some = (
        choose_audio_conditioner(Hearing(), encode_all, 4, True, 1, offered) for offered in (None, PHRASES[1:3])
    )
    assert isinstance(every, PhraseConditioner) and isinstance(some, PhraseConditioner)
    assert list(every.concepts) == list(PHRASES[:5]) and list(some.concepts) == list(PHRASES[1:3])
    other = choose_audio_conditioner(Hearing(), encode_all, 4, True, 1, {"of another engine"})
    assert isinstance(other, PhraseConditioner) and list(other.concepts) == list(PHRASES[:5])
    follow(some, places()[0].astype(np.float32))
    assert some.scene()[1] > 0


def follow(sound: PhraseConditioner, vector: np.ndarray, density: float = 1.0, seconds: float = 6.0) -> None:
    for n in range(int(30 * seconds)):
        sound.follow(AudioEmbedding(n / 30, vector.astype(np.float32), density), n / 30)


@pytest.mark.parametrize("index", range(len(PHRASES)))
def test_an_embedding_at_a_phrase_gives_the_engines_states_of_that_phrase(index: int) -> None:
    sound = sentences()
    follow(sound, places()[index])
    assert sound.heard() == PHRASES[index] and sound.strength() == pytest.approx(1.0, abs=0.01)
    assert sound.sentence().shape == (77, 48) and sound.tokens().shape == (4, 48)
    likeness = torch.cosine_similarity(sound.sentence(), encode(PHRASES[index]), dim=-1).mean()
    others = [
        torch.cosine_similarity(sound.sentence(), encode(p), dim=-1).mean() for p in PHRASES if p != PHRASES[index]
    ]
    assert likeness > max(others) + 0.3


def test_between_two_phrases_both_are_seen() -> None:
    sound, ends = sentences(), places()[[2, 3]]
    follow(sound, ends.sum(0) / np.linalg.norm(ends.sum(0)))
    near = [float(torch.cosine_similarity(sound.sentence(), encode(p), dim=-1).mean()) for p in PHRASES]
    assert set(np.argsort(near)[-2:]) == {2, 3} and min(near[2], near[3]) > 0.5


def test_an_engine_trained_with_audio_gets_only_its_own_phrases() -> None:
    sound = sentences(hears=True)
    assert sound.concepts == PHRASES[:5]
    follow(sound, places()[5])
    assert sound.heard() in PHRASES[:5]


def test_the_density_is_the_strength_and_silence_fades() -> None:
    sound = sentences()
    follow(sound, places()[0], 0.25)
    assert sound.strength() == pytest.approx(0.5, abs=0.01)
    for n in range(300):
        sound.follow(AudioEmbedding(6 + n / 30, np.zeros(DIM, np.float32), 0.0), 6 + n / 30)
    assert sound.strength() == 0.0


@pytest.mark.parametrize("vector", [np.full(DIM, np.nan), np.ones(3), np.full(DIM, np.inf)])
def test_an_embedding_that_is_not_finite_changes_nothing(vector: np.ndarray) -> None:
    sound = sentences()
    follow(sound, places()[2])
    before = sound.sentence().clone()
    with np.errstate(invalid="ignore"):
        sound.follow(AudioEmbedding(7.0, vector.astype(np.float32), 1.0), 7.0)
    assert sound.heard() == "fire" and torch.allclose(sound.sentence(), before, atol=1e-3)


def test_an_encoder_without_phrases_has_no_conditioner() -> None:
    class Mute:
        phrases: tuple[str, ...] = ()
        vectors, scenes = np.zeros((0, DIM)), 0

    assert choose_audio_conditioner(Mute(), encode_all, 4) is None and issubclass(
        PhraseConditioner, PhraseBankConditioner
    )


class HearingMoods(Hearing):
    moods = (PHRASES[3],)


def test_a_mood_is_no_scene_but_is_given_beside_one() -> None:
    sound = choose_audio_conditioner(HearingMoods(), encode_all, 4, trained_with_audio=False)
    assert isinstance(sound, PhraseConditioner)
    both = places()[2] + places()[3]
    follow(sound, both / np.linalg.norm(both))
    (scene, seen), (mood, sure) = sound.scene(), sound.mood()
    assert seen == pytest.approx(1.0, abs=0.01)
    near = [float(torch.cosine_similarity(scene, encode(p), dim=-1).mean()) for p in PHRASES]
    assert int(np.argmax(near)) == 2 and near[3] < 0.3
    assert torch.allclose(mood, encode(PHRASES[3])[1:5], atol=0.02) and sure == pytest.approx(1.0, abs=0.01)
    ((text, weight),) = sound.mood_texts()
    assert text == PHRASES[3] and weight == pytest.approx(sure)
    follow(sound, places()[2])
    assert sound.mood()[1] == pytest.approx(0.0, abs=0.01), "a sound that is a thing has no mood"
    assert sum(weight for _, weight in sound.mood_texts()) == pytest.approx(0.0, abs=0.01)
    follow(sound, places()[3])
    assert sound.scene()[1] == pytest.approx(0.0, abs=0.01), "and a mood alone looks like nothing"


def test_a_scene_that_grows_is_one_rather_than_a_mean() -> None:
    sound, ends = sentences(), 1.05 * places()[2] + places()[3]
    follow(sound, ends / np.linalg.norm(ends))
    apart = [
        [float(torch.cosine_similarity(found, encode(PHRASES[n]), dim=-1).mean()) for n in (2, 3)]
        for found in (sound.sentence(), sound.scene()[0])
    ]
    assert apart[1][0] - apart[1][1] > 1.5 * (apart[0][0] - apart[0][1]) > 0
