"""Prompts that share a frame: their masks, weights near 0 and 1, and equal results of all samplers."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine
from test_generator import START, prompt

from tpos_live.conditioning.conditioning import MAX_REGIONS, Conditioning, EditDirections, Regions
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.region_blend import RegionBlender

SHAPE = (1, 4, 32, 32)
CPU = torch.device("cpu")


def images(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth random latents: what a model predicts."""
    small = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, SHAPE[2:], mode="bicubic")


def join(found: torch.Tensor, *weights: float, growth: RegionBlender | None = None, first: bool = True) -> torch.Tensor:
    growth = growth or RegionBlender(SHAPE, CPU)
    growth.prepare(weights)
    return growth.blend(first, torch.zeros(SHAPE), found, 0.0, 1.0)


def eased(weight: float) -> float:
    return weight * weight * (3 - 2 * weight)


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.98, 0.02), (0.2, 0.3, 0.5)])
def test_areas_are_the_eased_weights(weights: tuple[float, ...]) -> None:
    growth = RegionBlender(SHAPE, CPU)
    growth.prepare(weights)
    masks = growth._masked(images(len(weights)), growth._share[: len(weights)])
    assert torch.allclose(masks.sum(0), torch.ones(SHAPE[1:])[:1], atol=1e-5) and masks.min() >= 0
    wanted = torch.tensor([eased(weight) for weight in weights])
    assert torch.allclose(masks.mean((1, 2, 3)), wanted / wanted.sum(), atol=0.01)


def test_a_prompt_that_is_nearly_alone_is_its_own_image() -> None:
    found = images(2)
    size = float(found.abs().mean())
    for weight, left in ((0.003, 0), (0.997, 1)):
        off = (join(found, 1 - weight, weight) - found[left]).abs().mean() / size
        assert off < 0.01


def test_halfway_both_are_seen_as_they_are_and_the_striking_stays() -> None:
    """A bright spot in one, a flat field in the other: the spot is kept, the flat goes where nothing else is."""
    spot = torch.zeros(1, *SHAPE[1:])
    spot[:, :, 8:12, 8:12] = 3.0
    texture = torch.zeros(1, *SHAPE[1:])
    texture[:, :, 20:, ::4] = 1.0
    made = join(torch.cat([spot, texture]), 0.5, 0.5)[0]
    assert (made[:, 8:12, 8:12] - 3.0).abs().mean() < 0.3
    assert (made[:, 22:30] - texture[0, :, 22:30]).abs().mean() < 0.1


def test_sparks_do_not_cut_discs_of_their_black_out_of_the_other_image() -> None:
    """A night with some stars over clouds: the borders of the masks are those of regions, not of each star."""
    height, width = 24, 40  # of a picture of 320x192
    borders = []
    for seed in range(6):
        dice = torch.Generator().manual_seed(seed)
        sky = torch.zeros(1, 4, height, width)
        for at in torch.randperm(height * width, generator=dice)[:14].tolist():
            sky[..., at // width, at % width] = 6.0
        small = torch.randn(1, 4, 6, 10, generator=dice)
        clouds = torch.nn.functional.interpolate(small, (height, width), mode="bicubic")
        growth = RegionBlender((1, 4, height, width), CPU)
        growth.prepare((0.5, 0.5))
        mask = growth._masked(torch.cat([sky, clouds]), growth._share[:2])[0, 0]
        borders.append(float(mask.diff(dim=0).abs().mean() + mask.diff(dim=1).abs().mean()))
    assert sum(borders) / len(borders) < 0.125, "0.15 with a disc around each star"


def test_the_order_does_not_matter_and_the_same_image_stays_itself() -> None:
    found = images(3)
    one = join(found, 0.2, 0.3, 0.5)
    other = join(found[[2, 0, 1]], 0.5, 0.2, 0.3)
    assert torch.allclose(one, other, atol=1e-5)
    same = found[:1].expand(2, -1, -1, -1)
    assert torch.allclose(join(same, 0.4, 0.6), found[:1], atol=1e-5)


def test_a_fade_has_no_jump() -> None:
    found = images(2, 3)
    shares = np.linspace(0, 1, 121)[1:-1]
    states = [found[:1], *(join(found, 1 - share, share) for share in shares), found[1:]]
    steps = torch.stack([(b - a).abs().mean() for a, b in itertools.pairwise(states)])
    assert steps.max() < 3 * steps.median() and steps.sum() < 1.7 * (found[0] - found[1]).abs().mean()


def test_later_steps_keep_the_masks_of_the_first() -> None:
    growth, found = RegionBlender(SHAPE, CPU), images(2)
    join(found, 0.5, 0.5, growth=growth)
    masks = growth._masks.clone()
    join(images(2, 9), 0.5, 0.5, growth=growth, first=False)
    assert torch.equal(growth._masks, masks)


def test_it_is_the_same_for_flow_and_noise_predictions() -> None:
    """Masks depend on the predicted image, whatever the model's prediction type."""
    latent, goal = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)), images(2)
    growth = RegionBlender(SHAPE, CPU)
    growth.prepare((0.5, 0.5))
    flow = growth.blend(True, latent, latent - goal, 1.0, -1.0)
    noise = growth.blend(True, latent, (latent - 0.06 * goal) / 0.998, 1 / 0.06, -0.998 / 0.06)
    assert torch.allclose(latent - flow, (latent - 0.998 * noise) / 0.06, atol=1e-3)


@pytest.fixture(scope="module", params=["flow", "sd-turbo"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(make_tiny_engine(tmp_path_factory.mktemp("engine"), request.param), "cpu")


def shared(generator: FrameGenerator, *texts: str, weights: tuple[float, ...] = ()) -> Regions:
    tokens = torch.stack([prompt(generator.engine, generator, text) for text in texts])
    return Regions(tokens, weights or (1 / len(texts),) * len(texts))


def show(generator: FrameGenerator, scenes: Regions | None, sound: bool = False, **values: object) -> np.ndarray:
    snapshot = ParameterStore({"audio.guidance": 1.0, "audio.guidance.warmup": 0.0, **values}).snapshot()  # type: ignore[arg-type]
    tokens = prompt(generator.engine, generator)
    led = EditDirections(prompt(generator.engine, generator, "rain")[None], (1.0,), 1.0) if sound else None
    params = replace(START, audio_guidance=1.0) if sound else START
    return generator.generate(
        FrameRequest(params, Conditioning(tokens, regions=scenes, edits=led), snapshot)
    ).pixels.copy()


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("sound", [False, True])
def test_a_captured_pipeline_gives_the_same_frame(engine: Engine, steps: int, sound: bool) -> None:
    plain = FrameGenerator(engine, (64, 64), "eager")
    whole = FrameGenerator(engine, (64, 64), "eager")
    whole.use(cuda_graph.CapturedBackend("cuda-graph", whole.request, cuda_graph.networks(engine)))
    found = []
    for generator in (plain, whole):
        scenes = shared(generator, "red sun", "blue sea", weights=(0.4, 0.6))
        found.append(show(generator, scenes, sound, steps=steps))
    assert np.abs(found[0].astype(int) - found[1]).max() <= 1
    assert not np.array_equal(found[0], show(plain, None, sound, steps=steps))


def test_rows_one_by_one_draw_the_same(engine: Engine, messages: list[str]) -> None:
    class OneByOne(Backend):
        """A backend whose networks take one row."""

        def __init__(self, generator: FrameGenerator) -> None:
            self.inner = generator.backend

        def prepare_batch_size(self, count: int, wait: bool = False) -> str:
            return "rows go one by one here"

        def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
            assert len(latent) == 1
            return self.inner.predict(latent, timestep, tokens)

        def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
            self.inner.decode(latent, out)

    generator = FrameGenerator(engine, (64, 64), "eager")
    together = show(generator, shared(generator, "red sun", "blue sea"))
    generator.use(OneByOne(generator))
    assert np.abs(show(generator, shared(generator, "red sun", "blue sea")).astype(int) - together).max() <= 1
    assert messages == [], "nobody reads it within a fade"
    show(generator, shared(generator, "red sun", "blue sea"), sound=True)
    assert messages == ["rows go one by one here"]


def test_room_for_one_scene_more_is_made_before_it_comes(engine: Engine) -> None:
    class Asked(EagerBackend):
        """A backend that records the batch sizes it was asked to prepare."""

        rows: ClassVar[list[int]] = []

        def prepare_batch_size(self, count: int, wait: bool = False) -> str:
            self.rows.append(count)
            return ""

    generator = FrameGenerator(engine, (64, 64), "eager")
    generator.use(asked := Asked(engine))
    assert asked.rows == [2]
    show(generator, shared(generator, "red sun", "blue sea"))
    assert asked.rows == [2, 2, 3]
    show(generator, shared(generator, *("abc"[:MAX_REGIONS])))
    assert max(asked.rows) == MAX_REGIONS


def test_frames_in_flight_are_one_mixture(engine: Engine) -> None:
    generator = FrameGenerator(engine, (64, 64), "eager", GeneratorOptions(stream_batch=True))
    mixed = show(generator, None, steps=2)
    generator.reset()
    assert np.array_equal(show(generator, shared(generator, "red sun", "blue sea"), steps=2), mixed)


def test_the_largest_number_of_regions_is_drawn(engine: Engine) -> None:
    generator = FrameGenerator(engine, (64, 64), "eager")
    scenes = shared(generator, *("abc"[:MAX_REGIONS]))
    first = show(generator, scenes)
    assert first.shape == (64, 64, 3) and not np.array_equal(first, show(generator, None))
