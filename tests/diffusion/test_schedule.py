"""Our tables against the stock schedulers and pipelines, on real (small) engines."""

from __future__ import annotations

import itertools

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.schedule import Schedule
from tpos_live.diffusion.sampling.eager import SamplingLoop

FLOW = {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
CONFIGS = {
    "flow": FLOW | {"solver_order": 1},
    "flow-shift": FLOW | {"solver_order": 1, "flow_shift": 2.0},
    "flow-uncorrected": FLOW | {"solver_order": 1, "disable_corrector": [0, 1, 2]},
    "unipc-trailing": SD
    | {"_class_name": "UniPCMultistepScheduler", "solver_order": 1, "timestep_spacing": "trailing"},
    "euler-trailing": SD | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"},
    "euler-leading": SD | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading", "steps_offset": 1},
    "euler-linspace-v": SD | {"_class_name": "EulerDiscreteScheduler", "prediction_type": "v_prediction"},
    "euler-zero-snr": SD
    | {
        "_class_name": "EulerDiscreteScheduler",
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    },
    "ddim": SD | {"_class_name": "DDIMScheduler", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
    "ddim-linspace": SD | {"_class_name": "DDIMScheduler", "clip_sample": False, "timestep_spacing": "linspace"},
    "ddim-zero-snr": SD
    | {
        "_class_name": "DDIMScheduler",
        "clip_sample": False,
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    },
    "lcm": SD | {"_class_name": "LCMScheduler"},
}


def model(x: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """A bounded, non-linear stand-in for a network that depends on the time."""
    return torch.tanh(x.roll(1, -1) * 0.7 + float(timestep) / 2000) + 0.3 * x


def stock(config: dict[str, object], steps: int, noise: torch.Tensor, seed: int) -> torch.Tensor:
    import diffusers

    scheduler = getattr(diffusers, str(config["_class_name"])).from_config(config)
    scheduler.set_timesteps(steps)
    x = noise * scheduler.init_noise_sigma
    extra = {"generator": torch.Generator().manual_seed(seed)} if "LCM" in str(config["_class_name"]) else {}
    for t in scheduler.timesteps:
        prediction = model(scheduler.scale_model_input(x, t), torch.tensor([float(t)]))
        x = scheduler.step(prediction, t, x, **extra, return_dict=False)[0]
    return x


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_stock_scheduler(name: str, steps: int) -> None:
    config = CONFIGS[name]
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    fresh = torch.Generator().manual_seed(7)
    loop = SamplingLoop((1, 4, 8, 8), torch.device("cpu"))
    plan = Schedule.from_config(config).plan(steps)
    ours = loop.run(plan, lambda _n, x, t: model(x, t), noise, fresh=lambda n: torch.randn(1, 4, 8, 8, generator=fresh))
    expected = stock(config, steps, noise, 7)
    assert torch.allclose(ours, expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("kind", ["flow", "sd-turbo"])
@pytest.mark.parametrize("vae", ["tiny", "kl"])
def test_equals_stock_pipeline(tmp_path, kind: str, vae: str, steps: int) -> None:
    from diffusers import StableDiffusionPipeline

    folder = make_tiny_engine(tmp_path, kind, vae=vae)
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    expected = pipeline(
        "blue sea", num_inference_steps=steps, guidance_scale=0.0, latents=noise.clone(), output_type="pt"
    ).images
    engine = load_engine(folder, "cpu")
    tokens = engine.texts.encode("blue sea")[None]
    loop = SamplingLoop((1, 4, 8, 8), engine.device)
    with torch.inference_mode():
        latent = loop.run(
            engine.schedule.plan(steps),
            lambda _n, x, t: engine.unet(x, t, encoder_hidden_states=tokens, return_dict=False)[0],
            noise,
        )
        scale = engine.vae.config.scaling_factor
        image = engine.vae.decode(latent / scale, return_dict=False)[0] / 2 + 0.5
    assert torch.allclose(image.clamp(0, 1), expected, atol=2e-3)


@pytest.mark.parametrize("name", ["flow", "euler-trailing", "ddim", "unipc-trailing"])
def test_strength_is_continuous(name: str) -> None:
    schedule = Schedule.from_config(CONFIGS[name])
    plans = [schedule.plan(2, s / 100) for s in range(5, 101)]
    shares = [plan.noise for plan in plans]
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(shares))
    assert max(b - a for a, b in itertools.pairwise(shares)) < 0.05
    assert plans[0].last > 0.8 and plans[-1].last == 0


def test_unknown_scheduler_has_a_remedy() -> None:
    with pytest.raises(EngineError, match=r"PNDMScheduler.*_class_name"):
        Schedule.from_config({"_class_name": "PNDMScheduler"})
    with pytest.raises(EngineError, match="use_karras_sigmas"):
        Schedule.from_config(CONFIGS["euler-trailing"] | {"use_karras_sigmas": True})
    with pytest.raises(EngineError, match="flow_prediction"):
        Schedule.from_config({"_class_name": "EulerDiscreteScheduler", "prediction_type": "flow_prediction"})
