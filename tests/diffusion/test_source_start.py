"""Image-to-image from a source: its structure stays as `amount` says, with every kind of engine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_paired_engine, make_tiny_engine
from safetensors.torch import load_file, save_file

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import shipped
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling import source_start
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.source_start import strength_beside
from tpos_live.image_source.player import OfflineSource
from tpos_live.runtime.scene_source import SceneOpener

AMOUNTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
AT_ONCE = GeneratorOptions(threads=1, wait_for_compile=True)


def shapes(width: int, height: int) -> np.ndarray:
    """Bright discs before a dark ground, uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width] / height
    image = np.full((height, width, 3), 24, np.uint8)
    for n in range(3):
        inside = np.hypot(x - (0.3 + 0.45 * n), y - (0.35 + 0.15 * n)) < 0.2
        image[inside] = (220 - 60 * n, 90 + 50 * n, 240)
    return image


def edges(pixels: np.ndarray) -> np.ndarray:
    grey = torch.nn.functional.avg_pool2d(torch.from_numpy(pixels.astype(np.float32)).mean(2)[None, None], 3, 1)[0, 0]
    return torch.hypot(grey[1:, :-1] - grey[:-1, :-1], grey[:-1, 1:] - grey[:-1, :-1]).flatten().numpy()


def draw(
    generator: FrameGenerator, amount: float, source: SourceImage | None, text: str = "an inferno", **values: object
) -> np.ndarray:
    engine = generator.engine
    rows = torch.zeros(generator.prompt_length, engine.token_dim)
    states = engine.texts.encode(text)
    rows[: len(states)] = states
    params = FrameParams(time=1.0, noise_position=1.3, intensity=0.5, source_amount=amount)
    request = FrameRequest(params, Conditioning(rows), ParameterStore(values).snapshot(), source)
    return generator.generate(request).pixels.copy()


@pytest.fixture(scope="module")
def ember() -> FrameGenerator:
    return FrameGenerator(load_engine(shipped("engines") / "ember", "cpu"), (320, 192), "eager", AT_ONCE)


@pytest.mark.parametrize("text", ["an inferno", "violet nebula", "calm sea at dusk"])
def test_more_of_the_structure_stays_with_a_larger_amount(ember: FrameGenerator, text: str) -> None:
    source = shapes(320, 192)
    kept = [np.corrcoef(edges(source), edges(draw(ember, a, SourceImage(source), text)))[0, 1] for a in AMOUNTS]
    assert all(after > before for before, after in pairwise(kept)), kept
    assert abs(kept[0]) < 0.15 and kept[2] > 0.2 and kept[4] > 0.8


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_an_engine_of_stable_diffusions_shape_keeps_the_structure(turbo: Engine, steps: int) -> None:
    generator = FrameGenerator(turbo, (128, 128), "eager", AT_ONCE)
    source = shapes(128, 128)
    kept = [
        np.corrcoef(edges(source), edges(draw(generator, a, SourceImage(source), steps=steps)))[0, 1] for a in AMOUNTS
    ]
    assert kept[4] > 0.8 and kept[5] > 0.999 and kept[3] < kept[4] < kept[5], kept


def test_all_of_the_source_is_the_source(ember: FrameGenerator) -> None:
    source = shapes(320, 192)
    assert np.array_equal(draw(ember, 1.0, SourceImage(source)), source)


def test_nothing_of_the_source_is_the_text_alone(ember: FrameGenerator) -> None:
    source = SourceImage(shapes(320, 192))
    assert np.array_equal(draw(ember, 0.0, source), draw(ember, 0.0, None))
    assert np.array_equal(draw(ember, float("nan"), source), draw(ember, 0.0, None))


def test_amounts_are_continuous(ember: FrameGenerator) -> None:
    source = SourceImage(shapes(320, 192))
    amounts = [0.0, 0.004, *np.linspace(0.02, 1.0, 50)]
    frames = [draw(ember, amount, source).astype(np.float32) for amount in amounts]
    steps = [np.abs(after - before).mean() for before, after in pairwise(frames)]
    assert max(steps) < 0.12 * np.abs(frames[-1] - frames[0]).mean(), steps


def test_the_same_source_gives_the_same_bytes(flow: Engine) -> None:
    source = shapes(64, 64)
    one, other = (
        draw(FrameGenerator(flow, (64, 64), "eager", AT_ONCE), 0.5, SourceImage(source.copy())) for _ in range(2)
    )
    assert np.array_equal(one, other)


def test_a_new_image_is_encoded_and_the_same_one_is_not(flow: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager", AT_ONCE)
    first, second = SourceImage(shapes(64, 64)), SourceImage(255 - shapes(64, 64))
    before = draw(generator, 0.5, first)
    encoder = generator._source._encoder
    assert encoder is not None
    calls, real = [], encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda pixels: calls.append(1) or real(pixels))
    assert np.array_equal(draw(generator, 0.5, first), before) and not calls
    assert not np.array_equal(draw(generator, 0.5, second), before) and len(calls) == 1


def test_a_mask_that_stays_is_converted_once_and_another_one_again(flow: Engine) -> None:
    start = FrameGenerator(flow, (64, 64), "eager", AT_ONCE)._source
    half, white = np.zeros((64, 64), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    half[:, :32] = 255

    def mixed(mask: np.ndarray) -> np.ndarray:
        pixels = np.zeros((64, 64, 3), np.uint8)
        start.mix_pixels(pixels, SourceImage(white.copy(), mask), 1.0)
        return pixels[..., 0]

    assert np.array_equal(mixed(half), half)
    kept = start._weights
    assert np.array_equal(mixed(half), half) and start._weights is kept
    assert np.array_equal(mixed(255 - half), 255 - half)


def test_a_source_laid_over_costs_no_second_pass_and_leaves_the_outside_as_it_is(
    ember: FrameGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((192, 320), np.uint8)
    mask[40:150, 80:240] = 255
    inside, source = mask > 0, SourceImage(shapes(320, 192), mask)
    over = {"source.mask.over": True}
    text = draw(ember, 0.5, None)
    passes, real = [], ember.backend.predict
    monkeypatch.setattr(ember.backend, "predict", lambda *given, **named: passes.append(1) or real(*given, **named))
    laid, count = draw(ember, 0.5, source, **over), len(passes)
    drawn = draw(ember, 0.5, source)
    assert count == 1 and len(passes) == 3
    assert np.array_equal(laid[~inside], text[~inside])
    mean = (text[inside].astype(float) + source.pixels[inside]) / 2
    assert np.abs(laid[inside] - mean).max() <= 1 and not np.array_equal(laid, drawn)
    assert np.array_equal(draw(ember, 1.0, source, **over)[inside], source.pixels[inside])
    assert np.array_equal(draw(ember, float("nan"), source, **over), text)


def test_a_source_laid_over_in_latents_leaves_the_outside_as_it_is(ember: FrameGenerator) -> None:
    """As keyframes and a card do, whose pixels are not at hand."""
    mask = np.zeros((192, 320), np.uint8)
    mask[:, :160] = 255
    rows = torch.zeros(ember.prompt_length, ember.engine.token_dim)

    def latent(amount: float, image: SourceImage | None) -> torch.Tensor:
        params = FrameParams(time=1.0, noise_position=1.3, source_amount=amount)
        snapshot = ParameterStore({"source.mask.over": True}).snapshot()
        return ember.sample(FrameRequest(params, Conditioning(rows), snapshot, image)).latent.clone()

    text, over = latent(0.0, None), latent(1.0, SourceImage(shapes(320, 192), mask))
    half = text.shape[3] // 2
    assert torch.equal(over[..., half:], text[..., half:]) and not torch.allclose(over[..., :half], text[..., :half])


@pytest.mark.parametrize("size", [(64, 64), (40, 30), (333, 20), (1, 1)])
def test_a_mask_keeps_the_source_inside_and_the_text_outside(flow: Engine, size: tuple[int, int]) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager", AT_ONCE)
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[:, : size[0] // 2] = 255
    found = draw(generator, 1.0, SourceImage(np.full((size[1], size[0], 3), 200, np.uint8), mask))
    text = draw(generator, 0.0, None)
    if size[0] > 1:
        assert (found[:, : size[0] // 2 * 64 // size[0] - 1] == 200).all()
    # The decoder looks a few latent pixels aside.
    assert np.abs(found[:, 56:].astype(int) - text[:, 56:]).mean() < 2.0


@pytest.mark.parametrize("size", [(320, 180), (1, 1), (7680, 4320)])
def test_an_image_of_another_size_is_fitted(flow: Engine, size: tuple[int, int]) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager", AT_ONCE)
    found = draw(generator, 1.0, SourceImage(np.full((size[1], size[0], 3), 77, np.uint8)))
    assert (found == 77).all()


def test_captured_networks_draw_what_eager_draws(flow: Engine) -> None:
    source, mask = shapes(64, 64), np.zeros((64, 64), np.uint8)
    mask[20:44, 20:44] = 255
    for image in (SourceImage(source), SourceImage(source, mask)):
        eager, captured = (FrameGenerator(flow, (64, 64), "eager", AT_ONCE) for _ in range(2))
        captured.use(CapturedBackend("captured", captured.request, networks(flow)))
        one, other = (draw(generator, 0.5, image).astype(int) for generator in (eager, captured))
        assert np.abs(one - other).max() <= 2


def test_frames_in_flight_give_way_to_a_source(flow: Engine) -> None:
    options = GeneratorOptions(threads=1, wait_for_compile=True, stream_batch=True)
    generator, source = FrameGenerator(flow, (64, 64), "eager", options), SourceImage(shapes(64, 64))
    draw(generator, 0.0, None, steps=2)
    with_source = draw(generator, 0.5, source, steps=2)
    assert np.array_equal(with_source, draw(FrameGenerator(flow, (64, 64), "eager", AT_ONCE), 0.5, source, steps=2))


def test_an_engine_without_an_encoder_draws_the_text(tmp_path, messages: list[str]) -> None:
    folder = make_tiny_engine(tmp_path, "flow", metadata={"size": [64, 64], "multiple": 32})
    file = next((folder / "vae").glob("*.safetensors"))
    save_file({k: v for k, v in load_file(file).items() if not k.startswith("encoder.")}, file, {"format": "pt"})
    generator = FrameGenerator(load_engine(folder, "cpu"), (64, 64), "eager", AT_ONCE)
    source = SourceImage(shapes(64, 64))
    frames = [draw(generator, 0.5, source) for _ in range(3)]
    assert all(np.array_equal(frame, draw(generator, 0.0, None)) for frame in frames)
    assert len(messages) == 1 and "cannot encode images" in messages[0]


def test_an_encoder_that_does_not_fit_into_the_memory_is_a_line(
    flow: Engine, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """Whatever its library raises: it ended the thread that loads it, and the source was gone without a word."""

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(source_start, "LatentEncoder", full)
    generator, source = FrameGenerator(flow, (64, 64), "eager", AT_ONCE), SourceImage(shapes(64, 64))
    assert np.array_equal(draw(generator, 0.5, source), draw(generator, 0.0, None))
    assert len(messages) == 1 and "out of memory" in messages[0] and "\n" not in messages[0]


def test_a_show_does_not_wait_for_the_encoder(tmp_path) -> None:
    engine = load_engine(make_paired_engine(tmp_path), "cpu")
    generator = FrameGenerator(engine, (64, 64), "eager", GeneratorOptions(threads=1))
    source = SourceImage(shapes(64, 64))
    text = draw(generator, 0.0, None)
    assert generator._source._loading is None  # a show without a source never loads it
    first = draw(generator, 1.0, source)
    assert np.array_equal(first, text) or np.array_equal(first, source.pixels)
    assert generator._source._loading is not None
    generator._source._loading.join()
    assert np.array_equal(draw(generator, 1.0, source), source.pixels)


def test_strength_is_bounded() -> None:
    assert strength_beside(-1.0) == strength_beside(0.0) == 1.0
    assert strength_beside(2.0) == strength_beside(1.0) == 0.0


@pytest.mark.parametrize("name", ["fire", "ocean", "city_at_night"])
def test_ember_draws_the_shapes_of_its_scenes(ember: FrameGenerator, name: str) -> None:
    """A scene is drawn from the frame's own noise, and so is Ember's frame of its name."""
    own = draw(ember, 0.0, None, name.replace("_", " ")).astype(float)
    alike = []
    for place in (1.3, 31.3):
        params = FrameParams(time=1.0, noise_position=place, intensity=0.5)
        with OfflineSource(SceneOpener()) as source:
            scene = source.image(params, ParameterStore({"source": f"scene:{name}"}).snapshot(), ember.size)
        assert scene is not None
        alike.append(np.corrcoef(own.ravel(), scene.pixels.ravel())[0, 1])
    assert alike[0] > 0.85 and alike[0] > alike[1] + 0.1
