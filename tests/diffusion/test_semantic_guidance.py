"""Semantic guidance: its mask, its momentum, its cuts, and equal results of all samplers."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine
from test_generator import START, moment, prompt
from test_steady import MOST, grown

from tpos_live.bench.overhead import NullBackend
from tpos_live.conditioning.conditioning import Conditioning, EditDirections
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import Backend
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.composition import MAX_BATCH_SIZE
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.sampler import Edit, FrameConditioning
from tpos_live.diffusion.sampling.semantic_guidance import GAP, MAX_EDITS, MEMORY, SemanticGuide, mask, warm_steps

SHAPE = (1, 4, 16, 16)
CPU = torch.device("cpu")


def some(rows: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(rows, *shape[1:], generator=torch.Generator().manual_seed(seed))


def guide(scale: float = 1.0, momentum: float = 0.0, now: float = 0.0) -> SemanticGuide:
    made = SemanticGuide(SHAPE, CPU)
    made.prepare((1.0,), scale, 0.5, momentum, now, 0)
    return made


@pytest.mark.parametrize("quantile", [0.0, 0.25, 0.5, 0.9, 0.95])
def test_the_mask_keeps_one_minus_the_quantile(quantile: float) -> None:
    directions = some(3)
    first = torch.tensor([int(quantile * 256)])
    hard = mask(directions, first)
    assert set(hard.unique().tolist()) <= {0.0, 1.0}
    shares = hard.mean((2, 3))
    assert torch.allclose(shares, torch.full_like(shares, 1 - quantile), atol=1 / 256)
    kept = torch.where(hard > 0, directions.abs(), torch.inf).amin((2, 3))
    lost = torch.where(hard > 0, 0.0, directions.abs()).amax((2, 3))
    assert (kept >= lost).all()
    soft = mask(directions, first, 3)
    assert soft.shape == (3, 1, 16, 16) and soft.min() >= 0 and soft.max() <= 1
    assert soft.mean() == pytest.approx(1 - quantile, abs=0.06)


def test_scale_zero_is_the_prompt_bit_for_bit() -> None:
    predictions = some(2)
    assert torch.equal(guide(0.0, 0.5).apply(0, predictions), predictions[:1])


def test_scale_one_without_a_mask_is_the_sounds_own_prediction() -> None:
    made, predictions = guide(), some(2)
    made.prepare((1.0,), 1.0, 0.0, 0.0, 0.0, 0)
    assert torch.allclose(made.apply(0, predictions), predictions[1:], atol=1e-6)


def test_it_is_the_papers_sum_over_sounds_and_classifier_free_guidance() -> None:
    predictions, made = some(5), SemanticGuide(SHAPE, CPU)
    made.prepare((0.5, 0.3, 0.2), 4.0, 0.5, 0.0, 0.0, 0)
    text, without, *sounds = predictions
    expected = without + 7.5 * (text - without)
    for weight, sound in zip((0.5, 0.3, 0.2), sounds, strict=True):
        psi = sound - without
        kept = mask(psi[None], torch.tensor([128]), 3)[0]
        expected = expected + 4.0 * weight * psi * kept
    assert torch.allclose(made.apply(0, predictions, 7.5)[0], expected, atol=1e-4)


def test_the_edit_does_not_depend_on_what_is_predicted() -> None:
    """Flow, epsilon and v are scalings of one another by numbers of the step: the mask must not change."""
    predictions = some(2)
    one, other = guide().apply(0, predictions), guide().apply(0, -14.6 * predictions)
    assert torch.allclose(-14.6 * one, other, atol=1e-4)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_momentum_comes_to_rest_at_the_edit_itself_at_any_rate(rate: int) -> None:
    predictions, made = some(2), SemanticGuide(SHAPE, CPU)
    whole = guide(1.0, 0.0).apply(0, predictions) - predictions[:1]
    away = []
    for n in range(3 * rate):
        made.prepare((1.0,), 1.0, 0.5, 0.6, n / rate, 0)
        away.append(float((made.apply(0, predictions) - predictions[:1] - whole).norm() / whole.norm()))
    assert away[0] == pytest.approx(0.6, abs=1e-4) and away[-1] < 0.02
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(away))
    # Half of a second in, every rate is about as far.
    assert away[rate // 2] == pytest.approx(0.6 * np.exp(-0.4 * 0.5 / MEMORY), abs=0.12)


def test_frames_without_an_edit_write_no_buffer() -> None:
    """They are most of a show: zeroing the momentum of each step took memory's time in every frame."""
    made = guide(momentum=0.5)
    made.prepare((1.0,), 1.0, 0.5, 0.5, 0.1, 0)
    made.apply(0, some(2))
    before = made._speed.clone()
    made.reset()
    assert torch.equal(made._speed, before) and before.abs().max() > 0


def test_momentum_smooths_what_flickers() -> None:
    def flicker(momentum: float) -> float:
        made, edits = SemanticGuide(SHAPE, CPU), []
        for n in range(60):
            made.prepare((1.0,), 1.0, 0.5, momentum, n / 30, 0)
            predictions = some(2, seed=n % 2)
            edits.append(made.apply(0, predictions) - predictions[:1])
        return float(torch.stack([b - a for a, b in itertools.pairwise(edits[20:])]).norm())

    assert flicker(0.8) < 0.4 * flicker(0.0)


def test_steps_have_momentum_of_their_own() -> None:
    made = SemanticGuide(SHAPE, CPU)
    for n in range(5):
        made.prepare((1.0,), 1.0, 0.5, 0.5, n / 10, 0)
        made.apply(0, some(2))
    first = made.apply(1, some(2)) - some(2)[:1]
    fresh = SemanticGuide(SHAPE, CPU)
    fresh.prepare((1.0,), 1.0, 0.5, 0.5, 0.0, 0)
    assert torch.allclose(first, fresh.apply(1, some(2)) - some(2)[:1], atol=1e-6)


@pytest.mark.parametrize("cut", ["scene", "gap", "back", "reset"])
def test_nothing_moves_over_a_cut(cut: str) -> None:
    made, predictions = SemanticGuide(SHAPE, CPU), some(2)
    made.prepare((1.0,), 1.0, 0.5, 0.7, 0.0, "a")
    begun = made.apply(0, predictions)
    for n in range(1, 20):
        made.prepare((1.0,), 1.0, 0.5, 0.7, n / 20, "a")
        going = made.apply(0, predictions)
    assert not torch.allclose(begun, going)
    if cut == "reset":
        made.reset()
    now = {"gap": 0.95 + GAP + 0.1, "back": 0.5}.get(cut, 1.0)
    made.prepare((1.0,), 1.0, 0.5, 0.7, now, "b" if cut == "scene" else "a")
    assert torch.equal(made.apply(0, predictions), begun)


def test_warm_up_never_takes_all_steps() -> None:
    assert [warm_steps(steps, 0.25) for steps in (1, 2, 3, 4)] == [0, 0, 0, 1]
    assert [warm_steps(steps, 0.75) for steps in (1, 2, 3, 4)] == [0, 1, 2, 3]


# With an engine.

SIZE = (64, 64)
KINDS = {
    "flow": ("flow", {}),
    "epsilon": ("sd-turbo", {}),
    "v": ("sd-turbo", {"prediction_type": "v_prediction"}),
    "lcm": ("sd-turbo", {"_class_name": "LCMScheduler"}),
}


@pytest.fixture(scope="module", params=list(KINDS))
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    kind, scheduler = KINDS[request.param]
    return load_engine(make_tiny_engine(tmp_path_factory.mktemp("kind"), kind, scheduler=scheduler), "cpu")


def toward(
    engine: Engine, generator: FrameGenerator, *texts: str, share: float = 1.0, weights: tuple[float, ...] = ()
) -> EditDirections:
    tokens = torch.stack([prompt(engine, generator, text) for text in texts])
    return EditDirections(tokens, weights or (1 / len(texts),) * len(texts), share)


def show(
    generator: FrameGenerator, directions: EditDirections | None, count: int = 4, **values: object
) -> list[np.ndarray]:
    snapshot = ParameterStore(values).snapshot()  # type: ignore[arg-type]
    tokens = prompt(generator.engine, generator)
    scale = float(snapshot["audio.guidance"])
    frame_params = [moment(n, audio_guidance=scale) for n in range(count)]
    return [
        generator.generate(FrameRequest(params, Conditioning(tokens, edits=directions), snapshot)).pixels.copy()
        for params in frame_params
    ]


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_every_kind_of_engine_is_led_and_comes_back(engine: Engine, steps: int, guidance: float) -> None:
    generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
    snapshot, tokens = ParameterStore({"steps": steps}).snapshot(), prompt(engine, generator)
    led = toward(engine, generator, "red fire", "bell")
    params = dataclasses.replace(START, guidance=guidance)
    plain = generator.generate(FrameRequest(params, Conditioning(tokens), snapshot)).pixels.copy()
    edited = generator.generate(FrameRequest(params, Conditioning(tokens, edits=led), snapshot)).pixels.copy()
    assert not np.array_equal(plain, edited)
    assert np.array_equal(
        generator.generate(FrameRequest(params, Conditioning(tokens, edits=led), snapshot)).pixels, edited
    )  # the same moment
    for nothing in (None, dataclasses.replace(led, share=0.0)):
        assert np.array_equal(
            generator.generate(FrameRequest(params, Conditioning(tokens, edits=nothing), snapshot)).pixels, plain
        )
    off = dataclasses.replace(params, audio_guidance=0.0)
    assert np.array_equal(
        generator.generate(FrameRequest(off, Conditioning(tokens, edits=led), snapshot)).pixels, plain
    )


def test_it_is_deterministic_and_momentum_is_seen(flow: Engine) -> None:
    def run(momentum: float) -> list[np.ndarray]:
        generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
        values = {"audio.guidance.momentum": momentum, "steps": 2}
        return show(generator, toward(flow, generator, "red fire"), 6, **values)

    one, same, other = run(0.6), run(0.6), run(0.0)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[-1], other[-1])


def test_the_unet_is_called_once_a_step_with_one_row_a_sound(flow: Engine) -> None:
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    rows: list[int] = []
    predict = generator.backend.predict

    def watch(latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        rows.append(len(latent))
        assert len(timestep) == len(tokens) == len(latent)
        return predict(latent, timestep, tokens)

    generator.backend.predict = watch  # type: ignore[method-assign]
    for texts, warmup, expected in (
        (("fire",), 0.0, [2, 2, 2, 2]),
        (("fire", "bell", "rain"), 0.0, [4, 4, 4, 4]),
        (("fire", "bell"), 0.5, [1, 1, 3, 3]),
    ):
        rows.clear()
        show(generator, toward(flow, generator, *texts), 1, steps=4, **{"audio.guidance.warmup": warmup})
        assert rows == expected


@pytest.mark.parametrize("name", ["seed", "look", "panic"])
def test_a_cut_panic_or_another_seed_forgets(flow: Engine, name: str) -> None:
    led = {"audio.guidance.momentum": 0.8}
    generator, fresh = (FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1)) for _ in range(2))
    directions = toward(flow, generator, "red fire")
    show(generator, directions, 10, **led)
    store = ParameterStore({**led, "seed": 7 if name == "seed" else 0})
    if name == "panic":
        store.trigger("out.panic")
    params = moment(10, cut_index=int(name == "look"))
    tokens = prompt(flow, generator)
    cut = generator.generate(
        FrameRequest(params, Conditioning(tokens, edits=directions), store.snapshot())
    ).pixels.copy()
    assert np.array_equal(
        cut, fresh.generate(FrameRequest(params, Conditioning(tokens, edits=directions), store.snapshot())).pixels
    )


def test_feedback_and_guidance_go_together(flow: Engine) -> None:
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    tokens, snapshot = prompt(flow, generator), ParameterStore({"steps": 2}).snapshot()
    led = toward(flow, generator, "red fire")
    images = [
        generator.generate(
            FrameRequest(moment(n, strength=0.5), Conditioning(tokens, edits=led), snapshot)
        ).pixels.copy()
        for n in range(40)
    ]
    assert all(image.std() > 0 for image in images)


def test_a_captured_pipeline_edits_like_the_eager_sampler(engine: Engine) -> None:
    images: dict[str, list[np.ndarray]] = {}
    for kind in ("eager", "cuda-graph"):
        generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
        if kind == "cuda-graph":
            generator.use(cuda_graph.load("cuda-graph", generator.request))
        led = toward(engine, generator, "red fire", "bell")
        snapshot: Snapshot = ParameterStore({"steps": 4}).snapshot()
        tokens = prompt(engine, generator)
        frame_params = [moment(n, guidance=1.0 + 2 * (n % 2)) for n in range(5)]
        images[kind] = [
            generator.generate(FrameRequest(params, Conditioning(tokens, edits=led), snapshot)).pixels.copy()
            for params in frame_params
        ]
    for one, whole in zip(images["eager"], images["cuda-graph"], strict=True):
        assert np.abs(one.astype(int) - whole).max() <= 3


class OneRow(Backend):
    """A backend that is compiled for one row."""

    def __init__(self, generator: FrameGenerator) -> None:
        self._inner = generator.backend

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        self._inner.decode(latent, out)

    def prepare_batch_size(self, count: int, wait: bool = False) -> str:
        return "one by one here"

    def predict(self, latent: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        assert len(latent) == 1
        return self._inner.predict(latent, timestep, tokens)


def test_a_backend_of_one_row_draws_the_same_and_it_is_said_once(flow: Engine, messages: list[str]) -> None:
    generator, single = (FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1)) for _ in range(2))
    led = toward(flow, generator, "red fire", "bell")
    single.use(OneRow(single))
    for one, other in zip(show(generator, led, steps=2), show(single, led, steps=2), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert messages == ["one by one here"]


@pytest.mark.slow
def test_guidance_leaves_nothing_behind(flow: Engine) -> None:
    """Semantic guidance with as many sounds as there may be, at two steps; all but the networks, which another test
    counts (`test_steady`)."""
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    generator.use(NullBackend(1))
    led = toward(flow, generator, "fire", "bell", "rain")
    assert len(led.prompt_embeds) == MAX_EDITS
    tokens, snapshot = prompt(flow, generator), ParameterStore({"steps": 2}).snapshot()
    assert (
        grown(
            lambda n: generator.generate(FrameRequest(moment(n), Conditioning(tokens, edits=led), snapshot)),
            warm_up=200,
            count=100,
        )
        < 2 * MOST
    )


def test_a_batch_keeps_the_engines_scalars() -> None:
    prompt_rows, sounds, rows = torch.randn(1, 30, 16), torch.randn(2, 26, 16), torch.zeros(MAX_BATCH_SIZE, 30, 16)
    conditioning = FrameConditioning(prompt_rows, edit=Edit(SemanticGuide((1, 4, 8, 8), CPU), sounds, 0))
    conditioning.write_rows(rows)
    assert conditioning.composition.batch_size == 3 and torch.equal(rows[:1], prompt_rows)
    assert torch.equal(rows[1:3, :26], sounds)
    assert torch.equal(rows[1:3, 26:], prompt_rows[:, 26:].expand(2, -1, -1))
