"""Keyframes and in-betweens: nothing jumps, nothing is a double exposure, and a file repeats itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import shipped
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.keyframes.fade import Fade, Sway
from tpos_live.diffusion.keyframes.inbetweens import Inbetweens, Morph, order
from tpos_live.diffusion.keyframes.keyframe import LONGEST_STEP, Keyframe, KeyframeGenerator
from tpos_live.diffusion.keyframes.offline import USUAL_RATE, OfflineKeyframes
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

SIZE = (64, 64)
FPS = 30


def latents(count: int, shape: tuple[int, ...] = (1, 4, 12, 20), seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def prompt_of(generator: FrameGenerator, text: str) -> Conditioning:
    states = generator.engine.texts.encode(text)
    rows = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
    return Conditioning(rows, label=text)


@pytest.mark.parametrize("likeness", [-0.5, 0.0, 0.5, 0.95])
def test_a_morph_has_its_ends_and_keeps_the_variance(likeness: float) -> None:
    one, other = latents(2)
    end = likeness * one + (1 - likeness**2) ** 0.5 * other
    morph = Morph(one, end)
    assert torch.allclose(morph.at(0.0), one, atol=1e-4) and torch.allclose(morph.at(1.0), end, atol=1e-4)
    assert torch.equal(morph.at(-1.0), morph.at(0.0)) and torch.equal(morph.at(2.0), morph.at(1.0))
    least = min(float(morph.at(share).std()) for share in np.linspace(0, 1, 21))
    assert least >= 0.9 * min(float(one.std()), float(end.std()))


def test_a_morph_of_equal_opposite_or_empty_latents_is_finite() -> None:
    (one,) = latents(1)
    assert torch.allclose(Morph(one, one).at(0.5), one, atol=1e-5)
    assert torch.isfinite(Morph(one, -one).at(0.5)).all()
    nothing = torch.zeros_like(one)
    assert torch.isfinite(Morph(nothing, one).at(0.5)).all() and torch.isfinite(Morph(nothing, nothing).at(0.5)).all()


def test_different_scenes_change_place_by_place() -> None:
    """At half of the path most positions show one of the two scenes."""
    one, other = latents(2)
    half = Morph(one, other).at(0.5)
    own = [
        float((half[0, :, y, x] - each[0, :, y, x]).norm())
        for y in range(12)
        for x in range(20)
        for each in (one, other)
    ]
    near = [min(pair) for pair in zip(own[::2], own[1::2], strict=True)]
    dissolve = float((one - other).norm(dim=1).mean()) / 2
    assert np.mean(near) < 0.75 * dissolve


def test_places_with_most_to_show_come_first() -> None:
    quiet, loud = torch.full((1, 4, 16, 16), 0.1), torch.full((1, 4, 16, 16), 0.1)
    loud[..., 10:, 10:] = 5.0
    places = order(quiet, loud)
    assert places.shape == (1, 1, 16, 16) and float(places.min()) == 0.0 and float(places.max()) == 1.0
    assert float(places[..., 12:, 12:].max()) < 0.3 < float(places[..., :8, :8].min())
    assert float(places.mean()) == pytest.approx(0.5, abs=0.01)


def keyframe(latent: torch.Tensor, **params: Any) -> Keyframe:
    return Keyframe(latent, FrameParams(**params), None, SIZE)  # type: ignore[arg-type]


def moment(time: float, speed: float = 1.0, **params: Any) -> FrameParams:
    return FrameParams(time=time, noise_position=speed * time, **params)


def steps_of(shown: list[torch.Tensor]) -> np.ndarray:
    return np.array([float((b - a).norm()) for a, b in pairwise(shown)])


@pytest.mark.parametrize("late", [0.0, 0.4, 2.0])
def test_nothing_jumps_when_a_keyframe_comes(late: float) -> None:
    """Also where the keyframe is late: the motion slows down, and continues from there."""
    between, shown, due = Inbetweens(), [], 0.0
    frames = iter(latents(30))
    for n in range(8 * FPS):
        time = n / FPS
        if time >= due:
            between.take(keyframe(next(frames)), moment(time))
            due += 1.0 + (late if due == 4.0 else 0.0)
        shown.append(between.at(moment(time)).latent)
    steps = steps_of(shown)[2 * FPS :]
    assert steps.max() <= 3 * np.median(steps)
    assert steps.min() > 0, "it never stands still"


def test_a_push_of_the_sound_moves_the_image() -> None:
    between, position, pushed, calm = Inbetweens(), 0.0, [], []
    one, other = latents(2)
    between.take(keyframe(one), moment(0.0))
    before = between.at(moment(0.0)).latent
    between.take(keyframe(other), moment(0.0))
    for n in range(1, FPS // 2):
        kick = n % 8 == 0
        position += 0.1 if kick else 0.02
        latent = between.at(FrameParams(time=n / FPS, noise_position=position)).latent
        (pushed if kick else calm).append(float((latent - before).norm()))
        before = latent
    assert min(pushed) > 2 * np.median(calm)


def test_a_pause_slows_the_morph_and_does_not_end_it() -> None:
    """The noise does not move, so keyframes hardly differ; a new prompt must still appear."""
    between = Inbetweens()
    one, other = latents(2)
    between.take(keyframe(one), moment(0.0))
    between.at(moment(0.0))
    between.take(keyframe(other), moment(0.0))
    for n in range(10):
        between.at(moment(n / FPS))
    moving = between.share
    between.at(replace(moment(9 / FPS), time=14 / FPS))
    assert 0 < between.share - moving < 0.4 * moving * 5 / 9


def test_a_drop_cuts_to_the_newest_keyframe_and_then_to_the_new_scene() -> None:
    between = Inbetweens()
    one, other, new = latents(3)
    between.take(keyframe(one), moment(0.0))
    between.at(moment(0.0))
    between.take(keyframe(other), moment(1.0))
    assert not torch.allclose(between.at(moment(1.1)).latent, other)
    dropped = between.at(moment(1.2, cut_index=1))
    assert torch.equal(dropped.latent, other) and dropped.params.cut_index == 1
    between.take(keyframe(new, cut_index=1), moment(1.5, cut_index=1))
    assert torch.equal(between.at(moment(1.6, cut_index=1)).latent, new)


def test_an_engine_of_another_size_takes_over_at_once() -> None:
    """After a failover."""
    between = Inbetweens()
    (one,), (small,) = latents(1), latents(1, (1, 4, 6, 10))
    between.take(keyframe(one), moment(0.0))
    between.at(moment(0.0))
    between.take(keyframe(small), moment(1.0))
    assert torch.equal(between.at(moment(1.1)).latent, small)


def test_a_drift_is_motion() -> None:
    """Between two keyframes that differ by a pan only, the in-between is the same image, shifted."""
    between = Inbetweens()
    y, x = torch.meshgrid(torch.arange(16) / 16, torch.arange(16) / 16, indexing="ij")

    def waves(right: float) -> torch.Tensor:
        rows = [torch.sin(2 * torch.pi * (k * (x - right) + y)) for k in (1, 2, 3, 4)]
        return torch.stack(rows)[None].float()

    between.take(keyframe(waves(0.0)), moment(0.0))
    between.at(moment(0.0))
    between.take(keyframe(waves(0.25), pan_x=0.25), moment(1.0, pan_x=0.25))
    for n in range(1, 20):
        found = between.at(moment(1.0 + n / FPS, pan_x=0.3))
        inside = slice(5, -5)  # what enters at the edges is mirrored
        moved, expected = found.latent[..., inside, inside], waves(found.params.pan_x)[..., inside, inside]
        assert float((moved - expected).abs().mean()) < 0.1
    assert 0.05 < found.params.pan_x < 0.25


def test_a_sway_is_smooth_and_comes_from_the_position_alone() -> None:
    y, x = np.mgrid[0:48, 0:80]
    image = (127 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7)).astype(np.uint8)[..., None].repeat(3, 2)
    sway, shown = Sway(), []
    for n in range(120):
        pixels = image.copy()
        sway.apply(pixels, 0.02 * n)
        shown.append(pixels.astype(int))
    again = image.copy()
    Sway().apply(again, 0.02 * 60)
    assert np.array_equal(again, shown[60])
    steps = np.array([np.abs(a - b).mean() for a, b in pairwise(shown)])
    assert steps.min() > 0 and steps.max() <= 3 * np.median(steps)
    assert all(each.std() > 0.9 * image.std() for each in shown)
    far = image.copy()
    sway.apply(far, 1e9)
    flat = np.full((48, 80, 3), 77, np.uint8)
    sway.apply(flat, 3.3)
    assert far.any() and (flat == 77).all()


def test_keyframes_follow_the_trajectory_by_steps_that_have_something_in_common(flow: Engine) -> None:
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    drawing, snapshot = KeyframeGenerator(), ParameterStore({"seed": 1}).snapshot()
    prompt = prompt_of(generator, "blue sea")

    def position(**params: Any) -> float:
        return drawing.draw(generator, FrameRequest(FrameParams(**params), prompt, snapshot)).params.noise_position

    assert position(noise_position=5.0) == 5.0
    assert position(noise_position=5.25) == 5.25
    assert position(noise_position=9.0) == pytest.approx(5.25 + LONGEST_STEP)
    assert position(noise_position=9.1) == pytest.approx(5.35 + LONGEST_STEP)
    assert position(noise_position=9.1, cut_index=1) == 9.1


def test_a_keyframe_is_the_latent_of_the_frame(flow: Engine) -> None:
    """Decoded, it equals the frame that the engine draws; the next keyframe does not overwrite it."""
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    snapshot, prompt = ParameterStore({"seed": 1}).snapshot(), prompt_of(generator, "blue sea")
    request = FrameRequest(FrameParams(noise_position=1.0), prompt, snapshot)
    drawn = KeyframeGenerator().draw(generator, request)
    kept = drawn.latent.clone()
    expected = generator.generate(request).pixels
    generator.generate(FrameRequest(FrameParams(noise_position=3.0), prompt, snapshot))
    pixels = np.zeros_like(expected)
    drawn.backend.decode(drawn.latent, pixels)
    assert drawn.size == SIZE and torch.equal(drawn.latent, kept) and np.array_equal(pixels, expected)


@pytest.mark.parametrize("limit", [0.0, 2.0])
def test_a_file_has_a_keyframe_every_so_many_frames_and_repeats(flow: Engine, limit: float) -> None:
    snapshot = ParameterStore({"seed": 1, "engine.mode": "keyframes", "engine.keyframes": limit}).snapshot()
    runs, drawn = [], []
    for _ in range(2):
        generator, offline = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1)), OfflineKeyframes()
        prompt, sample, count = prompt_of(generator, "blue sea"), generator.sample, [0]

        def counted(request: FrameRequest, sample: Any = sample, count: list[int] = count) -> Any:
            count[0] += 1
            return sample(request)

        generator.sample = counted  # type: ignore[method-assign]
        shown = []
        for n in range(3 * FPS):
            request = FrameRequest(moment((n + 1) / FPS, 0.3), prompt, snapshot)
            shown.append(offline.draw(generator, request).pixels.copy())
            drawn.append(count[0])
        runs.append(shown)
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))
    changes = [n + 1 for n, (a, b) in enumerate(pairwise(drawn[: 3 * FPS])) if b > a]
    every = round(FPS / (limit or USUAL_RATE))
    assert changes == list(range(every, 3 * FPS, every))
    steps = np.array([np.abs(a.astype(int) - b).mean() for a, b in pairwise(runs[0])])[2 * every :]
    assert steps.max() <= 3 * np.median(steps) and len({each.tobytes() for each in runs[0][every:]}) > FPS


def test_embers_in_betweens_are_no_double_exposure() -> None:
    """Contrast between two keyframes, of one prompt and of two."""
    engine = load_engine(shipped("engines") / "ember", "cpu")
    generator = FrameGenerator(engine, (256, 256), "eager", GeneratorOptions(threads=1))
    snapshot = ParameterStore({"seed": 3}).snapshot()

    def latent(text: str, position: float) -> torch.Tensor:
        request = FrameRequest(
            FrameParams(noise_position=position, intensity=0.5), prompt_of(generator, text), snapshot
        )
        return generator.sample(request).latent.clone()

    def contrast(latent: torch.Tensor) -> float:
        pixels = np.zeros((256, 256, 3), np.uint8)
        generator.backend.decode(latent.contiguous(), pixels)
        return float(pixels.astype(np.float32).mean(2).std())

    start = latent("neon jellyfish", 10.0)
    for text, step in (("neon jellyfish", LONGEST_STEP), ("a forest in autumn fog", 0.3), ("a volcano at night", 0.3)):
        end = latent(text, 10.0 + step)
        morph = Morph(start, end)
        ends = (contrast(morph.at(0.0)) + contrast(morph.at(1.0))) / 2
        assert contrast(morph.at(0.5)) >= 0.9 * ends, text


def decoded(value: int, cut: int = 0, size: tuple[int, int] = (24, 32)) -> Frame:
    return Frame(np.full((*size, 3), value, np.uint8), 0, 0.0, 0.0, 0.0, cut_index=cut)


def test_a_slow_decoder_is_faded_between() -> None:
    """Four decoded frames a second, thirty shown, without a jump."""
    fade, shown, due, value = Fade(), [], 0.0, 0
    for n in range(4 * FPS):
        now = n / FPS
        if now >= due:
            fade.take(decoded(value := value + 10), 1, now)
            due += 0.25
        shown.append(float(fade.at(FrameParams(time=now), now).pixels.mean()))
    steps = np.diff(shown)[FPS:]
    assert steps.min() >= 0 and steps.max() <= 3 * np.median(steps) and np.median(steps) > 0.5


def test_a_fast_decoder_is_shown_as_it_is() -> None:
    fade = Fade()
    for n in range(30):
        fade.take(decoded(3 * n), 1, n / FPS)
        assert (fade.at(FrameParams(), n / FPS).pixels == 3 * n).all()


def test_a_fade_cuts_to_another_scene_and_size() -> None:
    fade = Fade()
    for n in range(4):
        fade.take(decoded(10), 1, 0.25 * n)
    fade.take(decoded(200), 2, 1.0)
    assert (fade.at(FrameParams(), 1.0).pixels == 200).all()
    fade.take(decoded(50, size=(16, 16)), 2, 1.25)
    assert fade.at(FrameParams(), 1.25).pixels.shape == (16, 16, 3)


def test_the_pixels_of_a_fade_stay_for_three_frames() -> None:
    fade = Fade()
    fade.take(decoded(10), 1, 0.0)
    frames = [fade.at(FrameParams(), 0.0)]
    for n in range(3):
        fade.take(decoded(50 * (n + 1)), 1, n + 1.0)
        frames.append(fade.at(FrameParams(), n + 1.0))
    assert (frames[0].pixels == 10).all()
