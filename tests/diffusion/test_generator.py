from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

START = FrameParams(noise_position=0.0)


def moment(n: int, **changes: float) -> FrameParams:
    return dataclasses.replace(START, time=n / 30, noise_position=n / 30, pan_y=0.02 * n / 30, **changes)


def prompt(engine: Engine, generator: FrameGenerator, text: str = "blue sea") -> torch.Tensor:
    states = engine.texts.encode(text)
    return torch.cat([states, states[-(generator.prompt_length - len(states)) :]])


def test_draws_a_frame(flow: Engine, messages: list[str]) -> None:
    generator = FrameGenerator(flow, (64, 96), "eager")
    params = FrameParams(time=2.5, heard_at=77.0, noise_position=1.0, pan_x=0.5, pan_y=0.25, cut_index=3)
    frame = generator.generate(FrameRequest(params, Conditioning(prompt(flow, generator)), ParameterStore().snapshot()))
    assert frame.pixels.shape == (96, 64, 3) and frame.pixels.dtype == np.uint8
    assert frame.pixels.flags["C_CONTIGUOUS"] and frame.pixels.std() > 0
    assert (frame.time, frame.heard_at, frame.pan_x, frame.pan_y, frame.cut_index) == (2.5, 77.0, 0.5, 0.25, 3)
    assert messages == [] and generator.times.count("total") == 1


@pytest.mark.parametrize("kind", ["flow", "sd-turbo"])
def test_same_inputs_same_bytes(tmp_path, kind: str) -> None:
    folder = make_tiny_engine(tmp_path, kind, metadata={"audio_tokens": 2, "size": [64, 64], "multiple": 32})
    snapshot = ParameterStore({"seed": 5, "steps": 2}).snapshot()

    def show() -> list[np.ndarray]:
        engine = load_engine(folder, "cpu")
        generator = FrameGenerator(engine, None, "eager", GeneratorOptions(threads=1))
        tokens = prompt(engine, generator)
        return [
            generator.generate(
                FrameRequest(moment(n, strength=1.0 if n < 3 else 0.5), Conditioning(tokens), snapshot)
            ).pixels.copy()
            for n in range(8)
        ]

    assert all(np.array_equal(a, b) for a, b in zip(show(), show(), strict=True))


def test_three_newest_frames_are_never_written(flow: Engine) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager")
    tokens, snapshot = prompt(flow, generator), ParameterStore().snapshot()
    frames, copies = [], []
    for n in range(20):
        frame = generator.generate(FrameRequest(moment(n), Conditioning(tokens), snapshot))
        frames.append(frame)
        copies.append(frame.pixels.copy())
        for kept, copy in zip(frames[-4:], copies[-4:], strict=True):
            assert np.array_equal(kept.pixels, copy)


def test_everything_moves_the_image(flow: Engine) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager")
    tokens = prompt(flow, generator)

    def image(params: FrameParams = START, tokens: torch.Tensor = tokens, **values: object) -> np.ndarray:
        return generator.generate(
            FrameRequest(params, Conditioning(tokens), ParameterStore(values).snapshot())
        ).pixels.copy()  # type: ignore[arg-type]

    base = image()
    assert np.array_equal(base, image())
    for other in (
        image(seed=1),
        image(steps=4),
        image(dataclasses.replace(START, intensity=0.9)),
        image(dataclasses.replace(START, noise_position=0.4)),
        image(dataclasses.replace(START, pan_x=0.1)),
        image(dataclasses.replace(START, cut_index=1)),
        image(tokens=prompt(flow, generator, "red fire")),
    ):
        assert not np.array_equal(base, other)


def test_size_is_the_nearest_possible_and_said(flow: Engine, messages: list[str]) -> None:
    generator = FrameGenerator(flow, (70, 110), "eager")
    assert generator.size == (64, 96)
    assert messages == ["Tiny flow cannot draw 70x110; drawing 64x96"]
    assert FrameGenerator(flow, (1, 1), "eager").size == (32, 32)


def test_guidance_and_negative_prompt(turbo: Engine, flow: Engine) -> None:
    generator = FrameGenerator(turbo, (64, 64), "eager")
    tokens = prompt(turbo, generator)
    params = dataclasses.replace(START, guidance=4.0)
    plain = generator.generate(FrameRequest(START, Conditioning(tokens), ParameterStore().snapshot())).pixels.copy()
    guided = generator.generate(FrameRequest(params, Conditioning(tokens), ParameterStore().snapshot())).pixels.copy()
    avoiding = generator.generate(
        FrameRequest(params, Conditioning(tokens), ParameterStore({"prompt.negative": "fog"}).snapshot())
    ).pixels.copy()
    assert not np.array_equal(plain, guided) and not np.array_equal(guided, avoiding)
    unguided = FrameGenerator(flow, (64, 64), "eager")  # its metadata says that it has no guidance
    one = unguided.generate(
        FrameRequest(START, Conditioning(prompt(flow, unguided)), ParameterStore().snapshot())
    ).pixels.copy()
    two = unguided.generate(
        FrameRequest(params, Conditioning(prompt(flow, unguided)), ParameterStore().snapshot())
    ).pixels.copy()
    assert np.array_equal(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_latent_feedback_keeps_its_statistics_over_many_frames(flow: Engine, strength: float) -> None:
    generator = FrameGenerator(flow, (64, 64), "eager")
    tokens, snapshot = prompt(flow, generator), ParameterStore().snapshot()
    latents = []
    decode = generator.backend.decode

    def watch(latent: torch.Tensor, out: np.ndarray) -> None:
        latents.append((latent.mean((0, 2, 3)).clone(), latent.std((0, 2, 3)).clone()))
        if len(latents) % 50 == 0:
            decode(latent, out)

    generator.backend.decode = watch  # type: ignore[method-assign]
    for n in range(2000):
        generator.generate(FrameRequest(moment(n, strength=strength), Conditioning(tokens), snapshot))
    means, deviations = (torch.stack(part) for part in zip(*latents, strict=True))
    assert torch.isfinite(means).all() and torch.isfinite(deviations).all()
    early, late = slice(50, 250), slice(1800, 2000)
    ratio = deviations[late].mean(0) / deviations[early].mean(0)
    assert (ratio > 0.8).all() and (ratio < 1.25).all()
    assert ((means[late].mean(0) - means[early].mean(0)).abs() < 0.25 * deviations[early].mean(0) + 0.05).all()


def test_a_strength_of_0_is_the_least_one(flow: Engine) -> None:
    drawn = []
    for strength in (0.0, 0.1):
        generator, snapshot = FrameGenerator(flow, (64, 64), "eager"), ParameterStore().snapshot()
        conditioning = Conditioning(prompt(flow, generator))
        for n in range(4):
            frame = generator.generate(FrameRequest(moment(n, strength=strength), conditioning, snapshot))
        drawn.append(frame.pixels.copy())
    assert np.array_equal(*drawn)


def test_feedback_follows_the_camera(flow: Engine) -> None:
    from tpos_live.diffusion.sampling.latent_feedback import LatentFeedback

    feedback = LatentFeedback(flow.schedule, (1, 4, 32, 32), torch.device("cpu"))
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    latent = (latent - latent.mean((2, 3), keepdim=True)) / latent.std((2, 3), keepdim=True)
    feedback.keep(latent, START)
    moved = feedback.start(dataclasses.replace(START, pan_x=3 / 32, pan_y=2 / 32))
    assert torch.allclose(moved, latent.roll((-2, 3), (-2, -1)), atol=1e-3)


def test_a_new_cut_index_ends_the_latent_feedback(flow: Engine) -> None:
    tokens_of = ParameterStore().snapshot()
    generator = FrameGenerator(flow, (64, 64), "eager")
    tokens = prompt(flow, generator)
    for n in range(5):
        generator.generate(FrameRequest(moment(n, strength=0.3), Conditioning(tokens), tokens_of))
    cut = generator.generate(
        FrameRequest(moment(5, strength=0.3, cut_index=1), Conditioning(tokens), tokens_of)
    ).pixels.copy()
    other = FrameGenerator(flow, (64, 64), "eager")
    assert np.array_equal(
        cut, other.generate(FrameRequest(moment(5, strength=1.0, cut_index=1), Conditioning(tokens), tokens_of)).pixels
    )
