"""The directions of semantic guidance: one for each phrase of the sound, smooth in time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from test_builder import CONCEPTS, LOUD, builder, embedding, encode, encode_all, mix

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner

SEMANTIC = {"audio_mode": "semantic"}


@pytest.mark.parametrize("hears", [True, False])
def test_the_prompt_stays_and_the_sound_leads(hears: bool) -> None:
    m, silent = builder(hears=hears), mix(builder(False, hears), 0.0, LOUD, None)
    for n in range(300):
        mixed = mix(m, n / 30, LOUD, embedding(1), **SEMANTIC)
    assert torch.equal(mixed, silent)
    assert m.edits is not None and m.edits.prompt_embeds.shape == (1, 28, 128)
    fire = torch.zeros(4, 128) if hears else encode("fire")[20:]
    assert torch.allclose(m.edits.prompt_embeds[0], torch.cat([encode("fire"), fire]), atol=0.02)
    assert m.edits.weights == (1.0,) and m.edits.share == pytest.approx(0.5, abs=0.01)


def test_nothing_leads_in_silence_and_in_the_other_modes() -> None:
    for mode, heard in (
        ("append", embedding(1)),
        ("blend", embedding(1)),
        ("semantic", None),
        ("semantic", embedding(1, 0)),
    ):
        m = builder()
        for n in range(60):
            mix(m, n / 30, LOUD, heard, audio_mode=mode)
        assert m.edits is None
    m = builder(sound=False)
    mix(m, 0.0, LOUD, None, **SEMANTIC)
    assert m.edits is None


def test_several_sounds_share_the_guidance() -> None:
    sound = PhraseBankConditioner(CONCEPTS, encode_all, 4)
    vector = np.sqrt(np.asarray([0.5, 0.3, 0.2], np.float32))
    for n in range(300):
        sound.follow(AudioEmbedding(n / 30, vector, 1.0), n / 30)
    for most, expected in ((2, [(0, 0.75), (1, 0.25)]), (3, [(0, 0.5), (1, 0.3), (2, 0.2)])):
        found = sound.directions(most)
        assert [share for _, share in found] == pytest.approx([share for _, share in expected], abs=0.01)
        assert all(torch.equal(s, encode(CONCEPTS[at])) for (s, _), (at, _) in zip(found, expected, strict=True))


def test_more_directions_than_phrases_are_the_phrases() -> None:
    sound = PhraseBankConditioner(CONCEPTS[:2], encode_all, 4)
    sound.follow(AudioEmbedding(0.0, np.ones(2, np.float32) / 2**0.5, 1.0), 0.0)
    assert len(sound.directions(3)) == 2


@pytest.mark.parametrize("directions", [1, 2, 3])
def test_a_change_of_sound_and_of_mode_is_no_jump(directions: int) -> None:
    """The weighted sum of the directions changes without a step."""
    m, states = builder(), []
    for n in range(600):
        heard = embedding(0 if n < 300 else 2)
        mix(
            m, n / 50, LOUD, heard, audio_mode="append" if n < 100 else "semantic", audio_guidance_directions=directions
        )
        led = m.edits
        state = torch.zeros(28, 128)
        if led is not None:
            assert len(led.prompt_embeds) == directions and sum(led.weights) == pytest.approx(1.0)
            state = led.share * sum(w * t for w, t in zip(led.weights, led.prompt_embeds, strict=True))
        states.append(state)
    steps = torch.stack([(b - a).norm() for a, b in itertools.pairwise(states)])
    assert steps.max() < 0.12 * max(float(state.norm()) for state in states)
