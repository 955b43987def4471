"""Captions come from a grammar; audio and scalars become tokens beside the text."""

from __future__ import annotations

import random

import torch

from tpos_live.diffusion.model.metadata import SCALAR_WIDTH
from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS, STYLES
from tpos_live.training.image_model.dataset import AUDIO_TOKENS, cyclic
from tpos_live.training.image_model.recipe import SCALARS
from tpos_live.training.image_model.rectified_flow import corrupt
from tpos_live.training.text.captions import COLOURS, HELD_OUT, MOOD_PHRASES, MOOD_WORDS, PHRASES, STYLE_WORDS, caption
from tpos_live.training.text.synonyms import lists
from tpos_live.training.text.text_encoder import DIM
from tpos_live.training.text.tokens import LENGTH


def test_every_family_style_and_mood_has_words() -> None:
    assert list(PHRASES) == list(HELD_OUT) == list(FAMILIES)
    assert set(STYLE_WORDS) == set(STYLES) and set(MOOD_WORDS) == set(MOODS) and set(MOOD_PHRASES) <= set(MOODS)


def test_captions_name_what_is_in_the_image() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = caption(rng, "fire", "neon", "dark", "blue", "ocean")
        assert any(word in text for word in (*PHRASES["fire"], *lists()["fire"]))
        assert any(word in text for word in (*PHRASES["ocean"], *lists()["ocean"]))
        assert any(word in text for word in STYLE_WORDS["neon"])
        assert any(word in text for word in COLOURS["blue"][1])
        assert "  " not in text and text == text.strip()


def test_captions_vary_and_repeat_with_their_seed() -> None:
    def some(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [caption(rng, "galaxy", "natural", "plain", None, None) for _ in range(50)]

    assert some(1) == some(1) and len(set(some(1))) > 15


def test_held_out_words_are_in_no_caption() -> None:
    for family, words in HELD_OUT.items():
        assert not set(words) & {*PHRASES[family], *lists()[family]}


def test_scalars_fit_the_tokens() -> None:
    assert len(SCALARS) * SCALAR_WIDTH <= DIM
    assert cyclic(torch.device("cpu")).tolist() == [scalar.cyclic for scalar in SCALARS]
    assert LENGTH > AUDIO_TOKENS


def test_training_starts_mostly_at_pure_noise() -> None:
    torch.manual_seed(0)
    noise, latents = torch.randn(600, 4, 4, 4), torch.randn(600, 4, 4, 4)
    x, t = corrupt(noise, latents)
    full = t > 0.998
    assert 0.55 < full.float().mean() < 0.8
    assert torch.allclose(x[full], noise[full], atol=0.02)
    assert t.min() > 0.1 and x.isfinite().all()
