"""Residual guidance: a schedule with other coefficients, away from the prediction of an uninformed model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.schedule import Schedule
from tpos_live.diffusion.sampling.eager import SamplingLoop
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

SHAPE = (1, 4, 8, 8)
KINDS = ["flow", "EulerDiscreteScheduler", "LCMScheduler", "DDIMScheduler"]


def schedule(tmp_path: Path, kind: str, **changes: object) -> Schedule:
    if kind != "flow":
        changes["_class_name"] = kind
    folder = make_tiny_engine(tmp_path / "engine", "flow" if kind == "flow" else "sd-turbo", scheduler=changes)
    return load_engine(folder, "cpu", lazy=True).schedule


@pytest.mark.parametrize("kind", KINDS)
def test_scale_1_is_off_and_another_scale_extrapolates(tmp_path: Path, kind: str) -> None:
    plan = schedule(tmp_path, kind).plan(3)
    assert plan.with_rcfg(1.0) is plan
    x, model = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(n)) for n in range(2))
    for step, led in zip(plan.steps, plan.with_rcfg(2.5).steps, strict=True):
        x0, unconditional = step.c_skip * x + step.c_out * model, step.prior * x
        expected = torch.lerp(unconditional, x0, 2.5)
        assert torch.allclose(led.c_skip * x + led.c_out * model, expected, rtol=1e-4, atol=1e-3)
        assert (led.timestep, led.x_coef, led.x0_coef, led.noise_coef, led.correct) == (
            step.timestep, step.x_coef, step.x0_coef, step.noise_coef, step.correct
        )  # fmt: skip


def test_the_prior_is_the_mean_of_frames_of_unit_variance(tmp_path: Path) -> None:
    """Measured: the best linear guess of x0 from alpha * x0 + sigma * noise."""
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(200_000, generator=generator) for _ in range(2))
    found = schedule(tmp_path, "DDIMScheduler")
    for step in found.plan(4).steps:
        alpha, sigma = found._alpha_sigma(step.timestep)
        x = alpha * x0 + sigma * noise
        assert step.prior == pytest.approx(float((x * x0).mean() / (x * x).mean()), abs=0.01)


def test_at_pure_noise_the_prior_is_zero(tmp_path: Path) -> None:
    """There an uninformed model predicts the mean of all images: 0, like StreamDiffusion's residual."""
    assert schedule(tmp_path, "flow").plan(2).steps[0].prior == pytest.approx(0.0, abs=1e-5)


def test_it_costs_no_pass(turbo: Engine) -> None:
    calls = 0

    def model(_n: int, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return torch.zeros_like(x)

    for scale in (1.0, 1.5, 7.0):
        SamplingLoop(SHAPE, turbo.device).run(turbo.schedule.plan(3).with_rcfg(scale), model, torch.randn(SHAPE))
    assert calls == 9


def test_the_generator_uses_it_for_any_engine(flow: Engine) -> None:
    """Ember's kind was made without guidance: full guidance leaves its picture alone, residual guidance does not."""
    states = flow.texts.encode("sea")
    shown: dict[tuple[bool, float], np.ndarray] = {}
    for residual in (False, True):
        generator = FrameGenerator(flow, (64, 64), "eager", GeneratorOptions(threads=1, residual_guidance=residual))
        tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
        for guidance in (1.0, 2.0):
            frame = generator.generate(
                FrameRequest(
                    FrameParams(guidance=guidance), Conditioning(tokens), ParameterStore({"steps": 2}).snapshot()
                )
            )
            shown[residual, guidance] = frame.pixels.copy()
    assert np.array_equal(shown[False, 1.0], shown[False, 2.0]) and np.array_equal(shown[False, 1.0], shown[True, 1.0])
    assert not np.array_equal(shown[True, 1.0], shown[True, 2.0])
