"""The captured pipeline draws the same as the sampling loop and the generator, and its buffers keep their addresses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import NotReady
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.registry import choose
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend, CapturedPipeline
from tpos_live.diffusion.sampling.composition import Composition
from tpos_live.diffusion.sampling.eager import SamplingLoop
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.sampler import FrameConditioning, SamplerInputs

SIZE = (64, 64)


def inputs(engine: Engine) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(2)
    noise, last, fresh = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(3))
    tokens, without = (torch.randn(1, 81, engine.token_dim, generator=generator) for _ in range(2))
    return noise, last, fresh, tokens, without


@pytest.mark.parametrize("scheduler", ["flow", "EulerDiscreteScheduler", "LCMScheduler", "DDIMScheduler"])
def test_a_captured_pipeline_gives_the_eager_loops_latent(tmp_path: Path, scheduler: str) -> None:
    kind = "flow" if scheduler == "flow" else "sd-turbo"
    changes: dict[str, object] = {} if scheduler == "flow" else {"_class_name": scheduler}
    engine = load_engine(make_tiny_engine(tmp_path / "engine", kind, scheduler=changes), "cpu")
    noise, last, fresh, tokens, without = inputs(engine)
    unet, decoder = networks(engine)
    whole, loop = (
        CapturedPipeline(BackendRequest(engine, SIZE, 81), unet, decoder),
        SamplingLoop((1, 4, 8, 8), engine.device),
    )
    addresses = whole.latent.data_ptr(), whole.pixels.data_ptr()
    with torch.inference_mode():
        for steps in (1, 2, 4):
            for start in (None, last):
                for guidance in (1.0, 3.0):
                    plan = engine.schedule.plan(steps, 0.6 if start is not None else 1.0)

                    def predict(_n: int, x: torch.Tensor, t: torch.Tensor, scale: float = guidance) -> torch.Tensor:
                        if scale == 1.0:
                            return unet(x, t, tokens)
                        return torch.lerp(unet(x, t, without), unet(x, t, tokens), scale)

                    expected = loop.run(plan, predict, noise, start, lambda n: (n + 1) * fresh)
                    guided = without if guidance > 1 else None
                    fresh_at = lambda n: (n + 1) * fresh  # noqa: E731
                    conditioning = FrameConditioning(tokens, negative=guided, guidance=guidance)
                    whole.draw(SamplerInputs(plan, noise, conditioning, start, fresh_at))
                    scale = float(expected.abs().max())
                    error = float((whole.latent - expected).abs().max()) / scale
                    assert error < 1e-4, (steps, start is None, guidance)
    assert (whole.latent.data_ptr(), whole.pixels.data_ptr()) == addresses


@pytest.mark.parametrize("name", ["flow", "turbo"])
def test_the_generator_draws_the_same_frames(request: pytest.FixtureRequest, name: str) -> None:
    engine: Engine = request.getfixturevalue(name)
    frames: dict[str, list[np.ndarray]] = {}
    for kind in ("eager", "cuda-graph"):
        generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
        if kind == "cuda-graph":
            generator.use(cuda_graph.load("cuda-graph", generator.request))
        states = engine.texts.encode("blue sea")
        tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
        store = ParameterStore({"steps": 2})
        frame_params = [
            FrameParams(time=n / 30, noise_position=n / 30, strength=0.7, guidance=1.0 + n % 2) for n in range(5)
        ]
        frames[kind] = [
            generator.generate(FrameRequest(params, Conditioning(tokens), store.snapshot())).pixels.copy()
            for params in frame_params
        ]
    for one, other in zip(frames["eager"], frames["cuda-graph"], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3 and one.std() > 0


def test_a_backend_whose_frame_differs_from_eagers_is_refused(turbo: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = networks(turbo)
    monkeypatch.setattr(cuda_graph, "networks", lambda engine: (real[0], lambda latent: real[1](latent) + 0.5))
    with pytest.raises(NotReady, match="another frame"):
        cuda_graph.load("cuda-graph", BackendRequest(turbo, SIZE, 81))


@pytest.mark.parametrize(("brief", "recorded"), [(False, {1, 2, 4}), (True, {1})])
def test_an_interim_backend_captures_the_fewest_steps_only(
    turbo: Engine, monkeypatch: pytest.MonkeyPatch, brief: bool, recorded: set[int]
) -> None:
    drawn: list[tuple[int, int]] = []
    real = CapturedPipeline._run

    def run(whole: CapturedPipeline, steps: int, composition: Composition) -> None:
        drawn.append((steps, composition.regions))
        real(whole, steps, composition)

    monkeypatch.setattr(CapturedPipeline, "_run", run)
    made = cuda_graph.load("cuda-graph", BackendRequest(turbo, SIZE, 81, minimal_capture=brief))
    assert {steps for steps, _scenes in drawn} == recorded and {scenes for _steps, scenes in drawn} == {1, 2, 3}
    noise, _last, _fresh, tokens, _without = inputs(turbo)
    made.pipeline.draw(
        SamplerInputs(turbo.schedule.plan(4), noise, FrameConditioning(tokens))
    )  # is recorded when it is wanted
    assert drawn[-1] == (4, 1)


def test_without_a_card_eager_goes_on_and_says_why(turbo: Engine) -> None:
    chosen = choose("cuda-graph", BackendRequest(turbo, SIZE, 81))
    assert isinstance(chosen, EagerBackend) and not isinstance(chosen, CapturedBackend)
    assert "CUDA" in chosen.fallback_reason and "cpu" in chosen.fallback_reason
