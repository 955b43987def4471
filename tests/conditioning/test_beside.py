"""Which scenes suit beside a prompt, and how the scene beside it is made clear."""

from __future__ import annotations

import pytest
import torch
from fakes.made_states import encode, encode_all

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.beside import CLEARER, SMALLER, SUITS, BesidePrompt
from tpos_live.conditioning.builder import UNSUITED_AREA, ConditioningBuilder, region_area
from tpos_live.conditioning.conditioning import Regions
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.conditioning.vocabulary_file import read_phrases
from tpos_live.core.direction import Direction
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import shipped

PHRASES = {"fire": ["fire", "a campfire"], "tunnel": ["wormhole"], "ocean": ["the sea"], "forest": ["a wood"]}


def test_scenes_suit_by_the_families_of_the_prompt() -> None:
    families: list[str] = []
    suited = BesidePrompt(PHRASES, lambda: families)
    assert suited() is None, "nothing is known"
    families[:] = ["fire"]
    assert suited() == {"wormhole", "the sea", "a wood"}, "a family that was not measured suits"
    families[:] = ["ocean"]
    assert suited() == {"fire", "a campfire", "wormhole", "a wood"}
    families[:] = ["sunset", "storm"]
    assert suited() == {"fire", "a campfire", "wormhole", "a wood"}
    families[:] = ["tunnel", "ocean"]
    assert suited() == {"fire", "a campfire", "a wood"}, "too few suit both: those of the nearest"
    families[:] = ["forest"]
    assert suited() is None and BesidePrompt(None, lambda: ["fire"])() is None


def test_the_table_names_the_families_of_the_shipped_engine() -> None:
    phrases = read_phrases(shipped("engines") / "ember")
    assert phrases is not None
    assert set(SUITS) == set(phrases["family"]) > set(CLEARER)
    assert all(set(others) < set(SUITS) and family not in others for family, others in SUITS.items())


def regions(
    weight: float, own: str = "sunset", scene: str = "", in_one_pass: bool = True, prompt: str = "sunset"
) -> Regions:
    """The regions after 6 s of fire at full density beside the prompt "sea". own: family that the fire leads to.
    prompt: family of the prompt."""
    texts = TextCache(encode, synchronous=True)
    audio = PhraseBankConditioner(("rain", "fire"), encode_all, 4)
    beside = BesidePrompt({own: ["fire"]}, lambda: [prompt], in_one_pass)
    builder = ConditioningBuilder(PromptBank(texts), audio, DirectedScene(texts), 28, True, "grow", beside=beside)
    params = FrameParams(audio_weight=weight, direction=Direction(scene=scene, fade=0.0))
    snapshot = ParameterStore({"prompt": "sea"}).snapshot()
    for n in range(180):
        built = builder.build(n / 30, snapshot, params, AudioEmbedding(0.0, torch.eye(2)[1].numpy(), 1.0))
    assert built is not None and built.regions is not None
    return built.regions


def test_the_scene_beside_a_bright_prompt_is_drawn_more_clearly_in_one_pass() -> None:
    for scene in ("", "deep sea"):
        prompt, second = regions(0.2, scene=scene).prompt_embeds
        assert torch.equal(prompt[:24], encode("sea"))
        assert torch.allclose(second[:24], CLEARER["sunset"] * encode(scene or "fire"), atol=0.03)
    assert torch.allclose(regions(0.2, in_one_pass=False).prompt_embeds[1, :24], encode("fire"), atol=0.03)
    assert torch.allclose(regions(0.9, "fire").prompt_embeds[1, :24], encode("fire"), atol=0.03), "it fills the image"
    assert BesidePrompt({}, lambda: ["galaxy"], True).clearer() == 1.0


def test_the_scene_beside_a_prompt_of_much_light_is_smaller() -> None:
    whole, less = (regions(0.3, "ocean", "deep sea", prompt=prompt).weights[-1] for prompt in ("sunset", "fire"))
    assert less == pytest.approx(SMALLER["fire"] * whole, abs=0.01)
    assert BesidePrompt({}, lambda: ["fire"], False).smaller() == 1.0


def test_a_sounds_own_scene_that_would_be_a_shadow_takes_less_of_the_image() -> None:
    for own, factor in (("fire", 1.0), ("forest", 1.0), ("storm", UNSUITED_AREA)):
        assert regions(0.3, own).weights[-1] == pytest.approx(factor * region_area(0.3), abs=0.01), own
    assert regions(0.3, "storm", "deep sea").weights[-1] == pytest.approx(region_area(0.3), abs=0.01), "the director's"


def test_scenes_that_suit_beside_a_scene_are_those_of_its_family() -> None:
    beside = BesidePrompt(PHRASES, in_one_pass=True)
    assert beside.scene("a campfire") == beside.scene("fire") == {"wormhole", "the sea", "a wood"}
    assert not beside.scene("nothing of ours") and not BesidePrompt(PHRASES).scene("fire"), "it would cost a row"
