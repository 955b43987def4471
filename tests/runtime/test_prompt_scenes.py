"""The source `scene:prompt`: the scenes that a frame's prompts and sound lead to, as Ember draws them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tpos_live.conditioning.conditioning import ShownText
from tpos_live.core.direction import Direction
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import EngineSettings, Settings
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.runtime.prompt_scenes import MOST, PromptScenes
from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with Pipeline(Settings(engine=EngineSettings(accelerator="eager", size="256")), live=False) as made:
        yield made


@pytest.fixture(scope="module")
def scenes(pipeline: Pipeline) -> PromptScenes:
    vocabulary = pipeline.vocabulary()
    assert vocabulary is not None
    return PromptScenes(vocabulary)


def test_words_give_family_colour_style_and_mood(scenes: PromptScenes) -> None:
    (found,) = scenes([ShownText("dark golden mountains in watercolour", 1.0)])
    assert found.family is FAMILIES["mountains"]
    assert (found.colour, found.style, found.mood, found.apart) == ("gold", "watercolour", MOODS["dark"], False)


def test_a_sound_lies_apart_from_the_prompt_with_the_area_of_its_region(scenes: PromptScenes) -> None:
    under, over = scenes([
        ShownText("ocean", 0.7),
        ShownText("fire", 0.2, heard=True),
        ShownText("flames", 0.1, heard=True),
    ])  # fmt: skip
    assert (under.family, over.family) == (FAMILIES["ocean"], FAMILIES["fire"])
    assert over.apart and not under.apart
    assert over.weight == pytest.approx(0.216, abs=0.001)  # eased, as `region_blend.shares` does


def test_a_fade_keeps_its_places_and_ends_with_the_second_prompt_alone(scenes: PromptScenes) -> None:
    for weight in (0.1, 0.5, 0.9):
        first, second = scenes([ShownText("ocean", 1 - weight), ShownText("nebula", weight)])
        assert (first.family, second.family, second.apart) == (FAMILIES["ocean"], FAMILIES["nebula"], True)
    assert [scene.family for scene in scenes([ShownText("nebula", 1.0)])] == [FAMILIES["nebula"]]


def test_many_texts_give_the_strongest_few_and_none_gives_none(scenes: PromptScenes) -> None:
    weights = {"fire": 0.1, "ocean": 0.3, "aurora": 0.2, "sunset": 0.4}
    many = [ShownText(text, weight) for text, weight in weights.items()]
    assert len(scenes(many)) == MOST and all(scene.family != FAMILIES["fire"] for scene in scenes(many))
    assert scenes([]) == () == scenes([ShownText("", 1.0)])


def test_the_sound_s_mood_moves_every_scene_by_its_weight(scenes: PromptScenes) -> None:
    def moods(prompt: str, *felt: tuple[str, float]) -> list[tuple[float, ...]]:
        heard = [ShownText("fire", 0.3, heard=True), *(ShownText(text, w, True, mood=True) for text, w in felt)]
        return [scene.mood for scene in scenes([ShownText(prompt, 0.7), *heard])]

    assert moods("ocean") == [MOODS["plain"]] * 2
    assert moods("ocean", ("gloomy", 1.0)) == [MOODS["dark"]] * 2
    assert moods("bright ocean", ("dark", 0.0)) == [MOODS["bright"], MOODS["plain"]]
    (half, _), (other, _) = moods("bright ocean", ("dark", 0.5)), moods("bright ocean", ("dark", 0.3), ("dark", 0.2))
    assert half[0] == pytest.approx((1.7 * 0.42) ** 0.5) and half == pytest.approx(other)
    assert scenes([ShownText("dark", 1.0, mood=True)]) == ()


def drawn(pipeline: Pipeline, prompt: str, amount: float, palette: float = 0.0) -> np.ndarray:
    """Pixels float [256, 256, 3] of one moment in silence."""
    store = ParameterStore({"prompt": prompt, "prompt.fade": 0.0, "source": "scene:prompt"})
    direction = Direction(palette=palette)
    params = FrameParams(time=1.0, noise_position=2.3, intensity=0.6, source_amount=amount, direction=direction)
    frame = pipeline.draw(params, None, store.snapshot(), 1.0)
    assert frame is not None
    return frame.pixels[..., :3].astype(np.float32)


def steepness(image: np.ndarray) -> float:
    """Mean of the largest 0.5 % of differences between neighbours; a percentile would be one of a few integers."""
    steps = np.sort(np.abs(np.diff(image, axis=1)), axis=None)
    return float(steps[-len(steps) // 200 :].mean())


@pytest.mark.parametrize("prompt", ["neon jellyfish", "violet nebula", "pastel ocean"])
def test_the_scene_has_the_shapes_and_colours_that_ember_draws_and_is_sharper(pipeline: Pipeline, prompt: str) -> None:
    soft, crisp = (drawn(pipeline, prompt, amount) for amount in (0.0, 1.0))
    other = drawn(pipeline, "an inferno", 1.0)

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    assert alike(soft, crisp) > 0.7 > alike(soft, other)
    soft_edges, crisp_edges = (steepness(image) for image in (soft, crisp))
    assert crisp_edges > 1.5 * soft_edges


def test_the_scene_keeps_to_the_part_of_the_palette_that_suits_its_prompt(pipeline: Pipeline) -> None:
    for palette in (0.0, 0.25, 0.5, 0.75):
        soft, crisp = (drawn(pipeline, "an aurora", amount, palette).mean((0, 1)) for amount in (0.0, 1.0))
        assert float(np.abs(soft / soft.sum() - crisp / crisp.sum()).max()) < 0.06, palette


def test_no_prompt_in_silence_draws_as_without_a_source(pipeline: Pipeline) -> None:
    assert np.array_equal(drawn(pipeline, "", 0.0), drawn(pipeline, "", 0.8))


def test_an_engine_that_says_nothing_of_its_words_gets_the_scenes_of_embers(turbo_folder: Path) -> None:
    chosen = EngineSettings(name=str(turbo_folder), accelerator="eager")
    with Pipeline(Settings(engine=chosen), live=False) as pipeline:
        wild, calm, still = (drawn(pipeline, prompt, 1.0) for prompt in ("an inferno", "deep ocean", "deep ocean"))
        size = wild.shape[1], wild.shape[0]
        store = ParameterStore({"prompt": "fire", "prompt.fade": 0.0, "source": "scene:fire"})
        params = FrameParams(time=1.0, noise_position=2.3, intensity=0.6, source_amount=1.0)
        named = pipeline.source.image(params, store.snapshot(), size)
        assert not pipeline.understood
    assert named is not None and np.abs(wild - named.pixels).mean() < 0.2 * np.abs(calm - named.pixels).mean()
    assert np.array_equal(calm, still)
