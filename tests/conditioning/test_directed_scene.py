"""The director's scene in place of the sound's own, from direction to conditioning."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from fakes.made_states import encode, encode_all

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.builder import ConditioningBuilder, region_area
from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.conditioning.directed_scene import SECOND, DirectedScene
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.direction import Direction
from tpos_live.core.envelope import fade_weight
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.sampling.region_blend import shares

SOUND = AudioEmbedding(0.0, np.eye(3, dtype=np.float32)[1], 1.0)


def scene(name: str, fade: float = 2.0, **other: object) -> Direction:
    return Direction(section="main", scene=name, fade=fade, **other)  # type: ignore[arg-type]


def builder(mode: str = "grow") -> ConditioningBuilder:
    audio = PhraseBankConditioner(("rain", "fire", "birds"), encode_all, 4)
    directed = DirectedScene(TextCache(encode, synchronous=True))
    return ConditioningBuilder(PromptBank(TextCache(encode, synchronous=True)), audio, directed, 28, True, mode)


def run(built: ConditioningBuilder, seconds: tuple[float, float], direction: Direction, prompt: str = "", weight=0.5):
    """The conditionings of every 20 ms: each as (rows of text of its regions, weights)."""
    snapshot = ParameterStore({"prompt": prompt}).snapshot()
    params = FrameParams(audio_weight=weight, direction=direction)
    found = []
    for n in range(round(seconds[0] * 50), round(seconds[1] * 50)):
        made = built.build(n / 50, snapshot, params, SOUND)
        assert made is not None
        if made.regions is None:
            found.append((made.prompt_embeds[None, :24].clone(), (1.0,)))
        else:
            found.append((made.regions.prompt_embeds[:, :24].clone(), made.regions.weights))
    return found


def test_without_a_prompt_one_scene_grows_out_of_the_other() -> None:
    built = builder()
    (rows, weights), *_ = run(built, (0, 3), scene(""))[-1:]
    assert torch.allclose(rows[0], encode("fire")) and weights == (1.0,)
    faded = run(built, (3, 6), scene("deep sea", 2.0))
    areas = [
        shares(weights)[-1] if len(weights) == 2 else float(torch.equal(rows[0], encode("deep sea")))
        for rows, weights in faded
    ]
    assert areas[0] < 0.02 and areas[-1] == 1.0 and max(b - a for a, b in pairwise(areas)) < 0.02
    assert max(len(weights) for _, weights in faded) == 2


def test_the_next_scene_stays_at_an_edge_until_it_fills_the_image() -> None:
    built = builder()
    run(built, (0, 3), scene("deep sea", 0.0))
    coming = run(built, (3, 6), scene("deep sea", 2.0, second="lasers"))
    rows, weights = coming[-1]
    assert torch.equal(rows[0], encode("deep sea")) and torch.equal(rows[1], encode("lasers"))
    assert weights[1] == pytest.approx(fade_weight(SECOND)) and 0.3 < shares(weights)[1] < 0.4
    faded = [*coming, *run(built, (6, 9), scene("lasers", 2.0))]
    assert max(len(weights) for _, weights in faded) == 2, "the image never shows a third scene"
    areas = [shares(weights)[-1] for _, weights in faded if len(weights) == 2]
    assert max(abs(b - a) for a, b in pairwise(areas)) < 0.02
    assert torch.equal(faded[-1][0][0], encode("lasers")) and faded[-1][1] == (1.0,)


def test_a_cut_is_at_once() -> None:
    built = builder()
    run(built, (0, 3), scene("deep sea", 2.0))
    rows, weights = run(built, (3, 3.02), scene("lasers", 0.0))[0]
    assert weights == (1.0,) and torch.equal(rows[0], encode("lasers"))


def test_cuts_within_fades_never_want_more_rows_than_there_are() -> None:
    built, now = builder(), 0.0
    for n in range(12):
        for _, weights in run(built, (now, now + 0.4), scene(f"scene {n}", 2.0), "sea" if n % 5 else ""):
            assert len(weights) <= MAX_REGIONS and sum(weights) == pytest.approx(1.0)
        now += 0.4


def test_beside_a_prompt_it_has_one_region_of_the_area_that_the_director_gives() -> None:
    for area in (0.6, 1.0, 1.25):
        rows, weights = run(builder(), (0, 4), scene("deep sea", 0.0, area=area), "sea")[-1]
        assert len(weights) == 2 and torch.equal(rows[0], encode("sea")) and torch.equal(rows[1], encode("deep sea"))
        assert weights[1] == pytest.approx(region_area(0.5) * area, abs=0.02)


def test_the_directors_scene_needs_no_confidence_of_the_sound() -> None:
    class Unsure(PhraseBankConditioner):
        def scene(self) -> tuple[torch.Tensor, float]:
            return self.sentence(), 0.0

    audio = Unsure(("rain", "fire", "birds"), encode_all, 4)
    directed = DirectedScene(TextCache(encode, synchronous=True))
    bank = PromptBank(TextCache(encode, synchronous=True))
    built = ConditioningBuilder(bank, audio, directed, 28, True, "grow")
    assert run(built, (0, 3), scene(""), "sea")[-1][1] == (1.0,)
    assert len(run(built, (3, 6), scene("deep sea", 0.0), "sea")[-1][1]) == 2


@pytest.mark.parametrize("mode", ["blend", "semantic"])
def test_other_modes_lead_to_the_directors_scene_too(mode: str) -> None:
    shown, own = builder(mode), builder(mode)
    snapshot = ParameterStore({"prompt": "sea"}).snapshot()
    for n in range(200):
        params = FrameParams(audio_weight=1.0, direction=scene("deep sea", 0.0))
        one = shown.build(n / 50, snapshot, params, SOUND)
        two = own.build(n / 50, snapshot, replace(params, direction=scene("")), SOUND)
    assert one is not None and two is not None
    if mode == "blend":
        assert torch.allclose(one.prompt_embeds[:24], encode("deep sea"), atol=0.1)
        assert torch.allclose(two.prompt_embeds[:24], encode("fire"), atol=0.1)
    else:
        assert one.edits is not None and torch.equal(one.edits.prompt_embeds[0, :24], encode("deep sea"))
        assert two.edits is not None and torch.allclose(two.edits.prompt_embeds[0, :24], encode("fire"))


def test_a_scene_that_is_not_encoded_yet_leaves_the_old_one() -> None:
    texts = TextCache(encode, synchronous=False)  # not entered: nothing is ever encoded
    directed = DirectedScene(texts)
    directed.follow(scene("deep sea", 0.0), 1.0)
    own = encode("fire")
    assert directed.directed == 0.0 and [part for part, _ in directed.parts(own)] == [own]


def test_a_cut_within_a_fade_keeps_the_order_of_what_is_shown() -> None:
    directed = DirectedScene(TextCache(encode, synchronous=True))
    own = encode("fire")
    directed.follow(scene("deep sea", 2.0), 0.0)
    directed.follow(scene("deep sea", 2.0), 1.5)
    directed.follow(scene("snow", 2.0), 1.5)
    assert [weight for _, weight in directed.parts(own)] == pytest.approx([1 - fade_weight(0.75), fade_weight(0.75)])
