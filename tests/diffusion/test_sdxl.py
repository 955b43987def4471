"""Engines of two text encoders, as Stable Diffusion XL: text and pictures are the stock pipeline's."""

from __future__ import annotations

import importlib.util
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.tiny_engine import POOLED, make_tiny_engine

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import openvino, tensorrt_build
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import MIN_PSNR, parity, verify_captured
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.captured import CapturedBackend
from tpos_live.diffusion.sampling.eager import SamplingLoop
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

SIZE = (96, 64)
"""Not square: height and width must not change places among the six numbers."""
TEXTS = ("blue sea", "", "sea " * 200, "🔥 夜の街", "a")
WORDS = 77


def stock_pipeline(folder: Path) -> Any:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def stock(xl_folder: Path) -> Any:
    return stock_pipeline(xl_folder)


def noise_of(seed: int = 3) -> torch.Tensor:
    return torch.randn(1, 4, SIZE[1] // 8, SIZE[0] // 8, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
@pytest.mark.parametrize("text", TEXTS)
def test_text_is_that_of_the_stock_pipeline(xl: Engine, stock: Any, text: str) -> None:
    expected, _, pooled, _ = stock.encode_prompt(text, device="cpu", do_classifier_free_guidance=False)
    states = xl.texts.encode(text)
    assert states.shape == (xl.text_tokens, xl.token_dim) == (1 + WORDS, 40)
    assert torch.equal(states[1:], expected[0])
    assert torch.equal(states[0, :POOLED], pooled[0]) and not states[0, POOLED:].any()
    assert torch.allclose(xl.texts.sentences([text, "sea"])[0, :POOLED], pooled[0], atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("negative", ["", "a red fire"])
def test_what_guidance_leads_away_from_is_that_of_the_stock_pipeline(xl: Engine, stock: Any, negative: str) -> None:
    _, expected, _, pooled = stock.encode_prompt("blue sea", device="cpu", negative_prompt=negative or None)
    states = xl.texts.avoid(negative)
    assert torch.equal(states[1:], expected[0]) and torch.equal(states[0, :POOLED], pooled[0])
    assert bool(states.any()) == bool(negative)


@pytest.fixture(scope="module", params=["tiny", "kl"])
def with_decoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Engine]:
    """The stock pipeline and the engine of one folder, with either kind of decoder."""
    folder = make_tiny_engine(tmp_path_factory.mktemp("decoder"), "sdxl", vae=request.param)
    return stock_pipeline(folder), load_engine(folder, "cpu")


@pytest.mark.parametrize(("steps", "guidance"), [(1, 0.0), (2, 0.0), (1, 3.0)])
def test_frames_are_those_of_the_stock_pipeline(with_decoder: tuple[Any, Engine], steps: int, guidance: float) -> None:
    pipeline, engine = with_decoder
    noise = noise_of()
    expected = pipeline(
        "blue sea", num_inference_steps=steps, guidance_scale=guidance, latents=noise.clone(), output_type="pt",
        width=SIZE[0], height=SIZE[1],
    ).images  # fmt: skip
    tokens = torch.stack([engine.texts.encode("blue sea"), engine.texts.avoid("")])

    def predict(_n: int, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        both = engine.unet(x.expand(2, -1, -1, -1), t, encoder_hidden_states=tokens, return_dict=False)[0]
        return torch.lerp(both[1:], both[:1], guidance) if guidance else both[:1]

    with torch.inference_mode():
        latent = SamplingLoop(tuple(noise.shape), engine.device).run(engine.schedule.plan(steps), predict, noise)  # type: ignore[arg-type]
        image = engine.vae.decode(latent / engine.vae.config.scaling_factor, return_dict=False)[0] / 2 + 0.5
    assert expected.std() > 1e-3 and torch.allclose(image.clamp(0, 1), expected, atol=1e-5)


@torch.inference_mode()
def test_all_that_is_added_reaches_the_unet(xl: Engine) -> None:
    """Each in turn: the pooled numbers, the words, height and width."""
    tokens, timestep = xl.texts.encode("blue sea")[None], torch.tensor([999.0])

    def predict(noise: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = xl.unet(noise, timestep, encoder_hidden_states=tokens, return_dict=False)[0]
        return found

    base = predict(noise_of(), tokens)
    for row in (0, 2):
        other = tokens.clone()
        other[0, row, :POOLED] += 1.0
        assert not torch.equal(predict(noise_of(), other), base)
    filling = tokens.clone()
    filling[0, 0, POOLED:] = 9.0
    assert torch.equal(predict(noise_of(), filling), base), "the pooled row is not attended to"
    inner = xl.unet.unet
    for sizes, same in (((64, 96, 0, 0, 64, 96), True), ((96, 64, 0, 0, 96, 64), False)):
        added = {"text_embeds": tokens[:, 0, :POOLED], "time_ids": torch.tensor([sizes], dtype=torch.float32)}
        found = inner(noise_of(), timestep, encoder_hidden_states=tokens[:, 1:], added_cond_kwargs=added)[0]
        assert torch.allclose(found, base, atol=1e-6) == same


def mix(
    xl: Engine, generator: FrameGenerator, weight: float, mode: str = "append"
) -> tuple[torch.Tensor, Conditioning]:
    """What the builder gives after half a minute of "fire" beside the prompt "sea"."""
    texts = TextCache(xl.texts.encode, synchronous=True)
    sound = PhraseBankConditioner(("fire", "rain"), xl.texts.encode_all, xl.metadata.audio_tokens, xl.texts.first_word)
    rows = generator.prompt_length
    builder = ConditioningBuilder(PromptBank(texts), sound, DirectedScene(texts), rows, xl.trained_with_audio)
    snapshot = ParameterStore({"prompt": "sea", "audio.mode": mode}).snapshot()
    heard = AudioEmbedding(0.0, np.array([1.0, 0.0], np.float32), 1.0)
    for n in range(100):
        built = builder.build(n / 3, snapshot, FrameParams(audio_weight=weight), heard)
    assert built is not None
    return built.prompt_embeds.clone(), built


def test_sound_goes_behind_the_words_and_never_over_the_pooled_row(xl_folder: Path) -> None:
    xl = load_engine(xl_folder, "cpu")
    xl.metadata = xl.metadata.model_copy(update={"trained_with_sound": False})
    generator = FrameGenerator(xl, SIZE, "eager", GeneratorOptions(threads=1))
    sea, fire = xl.texts.encode("sea"), xl.texts.encode("fire")
    assert generator.prompt_length == 1 + WORDS + 4
    silent, _ = mix(xl, generator, 0.0)
    assert torch.equal(silent, torch.cat([sea, sea[-4:]])), "in silence the last words again, not the pooled row"
    loud, _ = mix(xl, generator, 1.0)
    assert torch.equal(loud[: 1 + WORDS], sea)
    assert torch.allclose(loud[1 + WORDS :], fire[2:6], atol=1e-3), "the words, not what begins the text"
    blended, _ = mix(xl, generator, 1.0, "blend")
    assert torch.allclose(blended[0], fire[0], atol=1e-3), "the pooled embedding turns with the words"
    _, built = mix(xl, generator, 1.0, "semantic")
    assert built.edits is not None
    assert torch.allclose(built.edits.prompt_embeds[0], torch.cat([fire, fire[-4:]]), atol=1e-3)
    frame = generator.generate(
        FrameRequest(FrameParams(audio_weight=1.0), Conditioning(loud, edits=built.edits), ParameterStore().snapshot())
    )
    assert frame.pixels.shape == (64, 96, 3) and frame.pixels.std() > 0


def test_a_show_with_guidance_and_feedback_draws(xl: Engine) -> None:
    generator = FrameGenerator(xl, SIZE, "eager", GeneratorOptions(threads=1))
    tokens = torch.cat(
        [xl.texts.encode("blue sea"), torch.zeros(generator.prompt_length - xl.text_tokens, xl.token_dim)]
    )
    shown = {}
    for negative in ("", "a red fire"):
        snapshot = ParameterStore({"steps": 2, "prompt.negative": negative}).snapshot()
        for n in range(3):
            frame = generator.generate(
                FrameRequest(
                    FrameParams(time=n / 30, noise_position=n / 30, strength=0.8, guidance=3.0),
                    Conditioning(tokens),
                    snapshot,
                )
            )
        shown[negative] = frame.pixels.copy()
        assert frame.pixels.std() > 0
    assert not np.array_equal(*shown.values())


def test_a_captured_pipeline_gives_the_frame_of_eager(xl: Engine) -> None:
    request, eager = BackendRequest(xl, SIZE, 1 + WORDS + 4), EagerBackend(xl)
    whole = CapturedBackend("cuda-graph", request, networks(xl))
    assert verify_captured(whole, eager, request) > 100


def test_lazy_is_the_same_engine(xl: Engine, xl_folder: Path) -> None:
    lazy = load_engine(xl_folder, "cpu", lazy=True)
    assert torch.equal(lazy.texts.encode("sea"), xl.texts.encode("sea")) and lazy.factor == 8
    assert not lazy.networks.loaded and lazy.networks.pooled == POOLED
    mine, theirs = lazy.unet.state_dict(), xl.unet.state_dict()
    assert lazy.networks.loaded and all(torch.equal(mine[key], theirs[key]) for key in theirs)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra tpos-live[openvino]")
def test_openvino_draws_it(xl_folder: Path, tmp_path: Path) -> None:
    """Converted in this process: what the child process adds is in test_backends.py."""
    engine, rows = load_engine(xl_folder, "cpu"), 1 + WORDS + 4
    request = BackendRequest(engine, SIZE, rows, threads=1)
    openvino.convert(request, tmp_path)
    made = openvino.OpenVinoBackend(tmp_path, str(openvino.CACHE.read(tmp_path)["precision"]), threads=1)
    eager = EagerBackend(engine)
    assert parity(made, eager, request) >= MIN_PSNR
    assert made.prepare_batch_size(2, wait=True) == ""  # as many texts at once: the six numbers must follow
    tokens = torch.zeros(2, rows, engine.token_dim)
    for n, text in enumerate(("blue sea", "a red fire")):
        tokens[n, : engine.text_tokens] = engine.texts.encode(text)
    latent, timestep = noise_of().repeat(2, 1, 1, 1), torch.full((2,), 999.0)
    found = made.predict(latent, timestep, tokens).clone()
    single = [made.predict(latent[:1], timestep[:1], row[None]).clone() for row in tokens]
    error = (found - torch.cat(single)).norm() / found.norm()
    assert error < 1e-3 and (single[0] - single[1]).norm() / found.norm() > 0.01


@pytest.mark.slow
def test_compiling_takes_it_whole(xl: Engine) -> None:
    """What the compiler is given is one graph, for one row and for two."""
    unet = torch.compile(networks(xl)[0], fullgraph=True, dynamic=False, backend="aot_eager")
    for count in (1, 2):
        inputs = (
            noise_of().repeat(count, 1, 1, 1),
            torch.full((count,), 999.0),
            xl.texts.encode("sea").repeat(count, 1, 1),
        )
        with torch.no_grad():
            assert torch.allclose(unet(*inputs), networks(xl)[0](*inputs), atol=1e-5)


def test_the_plan_builder_traces_one_module(xl: Engine) -> None:
    """The module that is exported for TensorRT: half precision inside, and the same picture."""
    half = tensorrt_build.HalfUnet(deepcopy(xl.unet).half()).eval()
    inputs = noise_of(), torch.tensor([999.0]), xl.texts.encode("sea")[None]
    with torch.inference_mode():
        traced = torch.jit.trace(half, inputs, check_trace=False)
        again = inputs[0].neg(), inputs[1], xl.texts.encode("a red fire")[None]
        for given in (inputs, again):
            expected = xl.unet(given[0], given[1], encoder_hidden_states=given[2], return_dict=False)[0]
            assert (traced(*given) - expected).norm() / expected.norm() < 0.01


def test_its_own_decoder_stays_in_full_precision(tmp_path: Path) -> None:
    """On a card, where the rest is in half: SDXL's own decoder overflows there. Made out here, without a card."""
    half, full = torch.float16, torch.float32
    for kind, vae, expected in (("sdxl", "kl", full), ("sdxl", "tiny", half), ("sd-turbo", "kl", half)):
        folder = make_tiny_engine(tmp_path / f"{kind}-{vae}", kind, vae=vae)  # type: ignore[arg-type]
        engine = load_engine(folder, "cpu", lazy=True)
        engine.networks.dtype = half
        assert engine.vae.dtype == expected and next(engine.unet.parameters()).dtype == torch.float16
