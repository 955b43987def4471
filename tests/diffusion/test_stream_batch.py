"""The stream batch: the frames of the sequential loop once the pipeline is full, with the newest conditioning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.schedule import SamplingSchedule
from tpos_live.diffusion.sampling.eager import SamplingLoop
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.sampler import FrameConditioning, SamplerInputs
from tpos_live.diffusion.sampling.stream_batch import StreamBatch

SIZE = (64, 64)
SHAPE = (1, 4, 8, 8)


def flight(engine: Engine, steps: int, rows: int = 81) -> StreamBatch:
    return StreamBatch(steps, BackendRequest(engine, SIZE, rows), *networks(engine))


def step(
    stream: StreamBatch, plan: SamplingSchedule, noise: torch.Tensor, tokens: torch.Tensor, moment: int,
    scene: object = None,
    fresh: Callable[[int], torch.Tensor] | None = None, without: torch.Tensor | None = None, guidance: float = 1.0,
) -> int | None:  # fmt: skip
    """The moment of the frame that is finished, a number in place of its params."""
    params = FrameParams(heard_at=moment)
    conditioning = FrameConditioning(tokens, negative=without, guidance=guidance)
    found = stream.step(SamplerInputs(plan, noise, conditioning, fresh=fresh, params=params, scene=scene))
    return None if found is None else int(found.heard_at)


def inputs(engine: Engine) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    noise, fresh = (torch.randn(SHAPE, generator=generator) for _ in range(2))
    tokens, without = (torch.randn(1, 81, engine.token_dim, generator=generator) for _ in range(2))
    return [noise, fresh, tokens, without]


@pytest.mark.parametrize("scheduler", ["flow", "EulerDiscreteScheduler", "LCMScheduler", "DDIMScheduler"])
def test_a_still_scene_equals_the_eager_loops(tmp_path: Path, scheduler: str) -> None:
    kind = "flow" if scheduler == "flow" else "sd-turbo"
    changes: dict[str, object] = {} if scheduler == "flow" else {"_class_name": scheduler}
    engine = load_engine(make_tiny_engine(tmp_path / "engine", kind, scheduler=changes), "cpu")
    noise, fresh, tokens, without = inputs(engine)
    unet, _ = networks(engine)
    loop = SamplingLoop(SHAPE, engine.device)
    for steps, guidance in ((2, 1.0), (3, 1.0), (4, 1.0), (4, 3.0)):

        def predict(_n: int, x: torch.Tensor, t: torch.Tensor, scale: float = guidance) -> torch.Tensor:
            mine = unet(x, t, tokens)
            return mine if scale == 1.0 else torch.lerp(unet(x, t, without), mine, scale)

        plan, stream = engine.schedule.plan(steps), flight(engine, steps)
        with torch.inference_mode():
            expected = loop.run(plan, predict, noise, None, lambda n: (n + 1) * fresh)
        began = [
            step(stream, plan, noise, tokens, n, None, lambda n: (n + 1) * fresh, without, guidance) for n in range(8)
        ]
        assert began == [None] * (steps - 1) + list(range(9 - steps)), "each is shown steps - 1 pictures later"
        error = float((stream.latent - expected).abs().max() / expected.abs().max())
        assert error < 1e-4, (steps, guidance)


def test_moving_frames_equal_the_eager_loops_with_their_own_noise(turbo: Engine) -> None:
    """Each slot keeps its own noise: nothing of one picture gets into another."""
    unet, _ = networks(turbo)
    loop, stream, plan = SamplingLoop(SHAPE, turbo.device), flight(turbo, 3), turbo.schedule.plan(3)
    tokens = inputs(turbo)[2]
    noises = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(n)) for n in range(6)]
    for n, noise in enumerate(noises):
        finished = step(stream, plan, noise, tokens, n)
        if finished is not None:
            with torch.inference_mode():
                expected = loop.run(plan, lambda _n, x, t: unet(x, t, tokens), noises[finished])
            assert torch.allclose(stream.latent, expected, atol=1e-3 * float(expected.abs().max()))


def test_all_in_flight_follow_the_newest_tokens(turbo: Engine) -> None:
    seen: list[torch.Tensor] = []
    unet, _ = networks(turbo)

    def watch(x: torch.Tensor, t: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        seen.append(tokens.clone())
        return unet(x, t, tokens)

    stream = StreamBatch(2, BackendRequest(turbo, SIZE, 81), watch)
    noise, _, tokens, other = inputs(turbo)
    for each in (tokens, tokens, other):
        step(stream, turbo.schedule.plan(2), noise, each, 0)
    assert torch.equal(seen[-1], other.expand(2, -1, -1)) and torch.equal(seen[-2], tokens.expand(2, -1, -1))


def test_a_cut_discards_frames_in_flight_and_keeps_addresses(turbo: Engine) -> None:
    stream = flight(turbo, 2)
    noise, _, tokens, _ = inputs(turbo)
    plan, addresses = turbo.schedule.plan(2), (stream.latent.data_ptr(), stream.pixels.data_ptr())
    scenes = ["a", "a", "a", "b", "b"]
    assert [step(stream, plan, noise, tokens, n, scene) for n, scene in enumerate(scenes)] == [None, 0, 1, None, 3]
    stream.reset()
    assert step(stream, plan, noise, tokens, 9, "b") is None
    assert (stream.latent.data_ptr(), stream.pixels.data_ptr()) == addresses


@pytest.mark.parametrize("kind", ["eager", "cuda-graph"])
@pytest.mark.parametrize("name", ["flow", "turbo"])
def test_the_generator_shows_the_same_still_scene(
    request: pytest.FixtureRequest, name: str, kind: str, messages: list[str]
) -> None:
    engine: Engine = request.getfixturevalue(name)
    states = engine.texts.encode("blue sea")
    store = ParameterStore({"steps": 2, "prompt.negative": "grey"})
    images: list[np.ndarray] = []
    for in_flight in (False, True):
        generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1, stream_batch=in_flight))
        if kind == "cuda-graph":
            generator.use(cuda_graph.load("cuda-graph", generator.request))
        tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
        still = FrameParams(time=1.0, noise_position=0.4, guidance=2.0)
        frames = [
            generator.generate(FrameRequest(replace(still, heard_at=float(n)), Conditioning(tokens), store.snapshot()))
            for n in range(5)
        ]
        # While the pipe fills the loop draws, so no picture is missing; the first from the pipe is one shown before.
        assert [frame.heard_at for frame in frames] == ([0, 0, 1, 2, 3] if in_flight else [0, 1, 2, 3, 4])
        assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
        images += [frame.pixels.copy() for frame in frames[-2:]]
        if in_flight:  # the last picture feeds the next: that must be the very last one, so nothing is in flight
            fed = generator.generate(
                FrameRequest(replace(still, heard_at=5.0, strength=0.7), Conditioning(tokens), store.snapshot())
            )
            assert fed.heard_at == 5.0
            cut = generator.generate(
                FrameRequest(replace(still, heard_at=6.0, cut_index=1), Conditioning(tokens), store.snapshot())
            )
            assert cut.heard_at == 6.0 and messages == []
    for image in images[1:]:
        assert np.abs(image.astype(int) - images[0]).max() <= 2 and image.std() > 0


def test_a_backend_that_takes_one_row_says_so_and_the_eager_sampler_draws(turbo: Engine, messages: list[str]) -> None:
    generator = FrameGenerator(turbo, SIZE, "eager", GeneratorOptions(threads=1, stream_batch=True))
    generator.backend.prepare_batch_size = lambda count, wait=False: f"takes one row, not {count}"  # type: ignore
    states = turbo.texts.encode("sea")
    tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
    snapshot = ParameterStore({"steps": 4}).snapshot()
    assert [
        generator.generate(FrameRequest(FrameParams(heard_at=float(n)), Conditioning(tokens), snapshot)).heard_at
        for n in range(5)
    ] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert messages == ["no stream batch: takes one row, not 4"]
