"""The palette scalar stays in the span of the current scene, and moves there without a step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fakes.made_states import encode

from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.palette_span import SPANS, WHOLE, PaletteSpan
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.conditioning.vocabulary_file import read_phrases
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import shipped
from tpos_live.diffusion.model.metadata import Scalar
from tpos_live.diffusion.sampling.unet_tokens import SeedScalars

PHRASES = {"aurora": ["aurora", "northern lights"], "ocean": ["the sea"]}


def test_the_span_is_that_of_the_prompt_or_of_the_scene_alone() -> None:
    families, colours = list[str](), list[str]()
    span = PaletteSpan(PHRASES, lambda: families, lambda: colours)
    assert span("northern lights") == SPANS["aurora"] and span("") == WHOLE == span("the sea")
    families[:] = ["ocean", "aurora"]
    assert span("northern lights") == WHOLE
    families[:], colours[:] = ["aurora"], ["green"]
    assert span("") == WHOLE, "a colour that is named stays near its hue"
    assert PaletteSpan()("northern lights") is None


def test_all_spans_are_of_families_that_ember_offers() -> None:
    phrases = read_phrases(shipped("engines") / "ember")
    assert phrases is not None and set(SPANS) <= set(phrases["family"])
    assert all(-1.0 <= low < high <= 1.0 for low, high in SPANS.values())


def test_the_palette_stays_within_its_span_and_moves_smoothly() -> None:
    made = SeedScalars([Scalar(name="hue", source="seed", rate=0.02, cyclic=True)])
    low, high = SPANS["aurora"]
    for span in ((low, high), WHOLE):
        sines = [math.sin(2 * math.pi * made.at(5, 0, n / 30, 0.0, span=span)[0]) for n in range(3000)]
        assert (min(sines), max(sines)) == (pytest.approx(span[0], abs=0.01), pytest.approx(span[1], abs=0.01))
        assert np.abs(np.diff(sines)).max() < 0.005
    whole = [math.sin(2 * math.pi * made.at(5, 0, float(n), 0.0)[0]) for n in range(60)]
    assert whole == pytest.approx(
        [math.sin(2 * math.pi * made.at(5, 0, float(n), 0.0, span=WHOLE)[0]) for n in range(60)]
    )


def test_another_prompt_moves_the_span_within_a_second() -> None:
    families = ["ocean"]
    with TextCache(encode, synchronous=True) as texts:
        span = PaletteSpan(PHRASES, lambda: families)
        builder = ConditioningBuilder(PromptBank(texts), None, DirectedScene(texts), 28, span=span)
        snapshot, lows = ParameterStore({"prompt": "fire"}).snapshot(), []
        for n in range(40):
            families[:] = ["ocean"] if n < 5 else ["aurora"]
            built = builder.build(n / 20, snapshot, FrameParams(), None)
            assert built is not None and built.span is not None and isinstance(built.prompt_embeds, torch.Tensor)
            lows.append(built.span[0])
    assert lows[0] == -1.0 and lows[-1] == SPANS["aurora"][0] and np.abs(np.diff(lows)).max() < 0.051
