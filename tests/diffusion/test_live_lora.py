"""Live LoRAs: bit-exact weights, a limited amount of work per frame, and a log line where they have no effect."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.live_loras import TEXT, attention, check_backends, convolution, tokens_of, write_lora
from safetensors.torch import save_file

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.control.osc_router import Datagram, Router
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import LORAS
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.openvino import OpenVinoBackend
from tpos_live.diffusion.backends.registry import choose
from tpos_live.diffusion.backends.tensorrt import TensorRtBackend
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.hub import download
from tpos_live.diffusion.hub.presets import Preset, load_preset
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.live_lora import SPREAD, LiveLoras
from tpos_live.diffusion.model.lora import Change, merge, read_lora
from tpos_live.diffusion.model.metadata import read_metadata
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.features.features import HOP_SECONDS, Features
from tpos_live.modulation.integrator import ModulationIntegrator

SIZE = (64, 64)
FILES = ("lora/0.safetensors", "lora/1.safetensors", "lora/2.safetensors")


def described(folder: Path, *loras: dict[str, object]) -> Engine:
    """The engine of a folder that has these LoRAs."""
    description = {"loras": [{"file": file} | lora for file, lora in zip(FILES, loras, strict=False)]}
    (folder / "tpos_live.json").write_text(json.dumps(description))
    return load_engine(folder, "cpu")


@pytest.fixture
def folder(turbo_folder: Path, turbo: Engine, tmp_path: Path) -> Path:
    """An engine with three files of LoRAs beside it, and no description that names them."""
    place = Path(shutil.copytree(turbo_folder, tmp_path / "engine"))
    write_lora(turbo, place / FILES[0], 0, attention, text=True)
    write_lora(turbo, place / FILES[1], 1, convolution)
    write_lora(turbo, place / FILES[2], 2, lambda name: name.endswith("proj_in"))
    return place


@pytest.fixture
def engine(folder: Path) -> Engine:
    """Two live LoRAs, of weight 0.8 and -0.5, that share layers, and one that is merged before them."""
    (folder / FILES[2]).rename(folder / "last")
    (folder / FILES[1]).rename(folder / FILES[2])
    (folder / FILES[0]).rename(folder / FILES[1])
    (folder / "last").rename(folder / FILES[0])
    return described(folder, {"weight": 1.0}, {"weight": 0.8, "live": True}, {"weight": -0.5, "live": True})


def merged(folder: Path, *weights: float) -> Engine:
    """The same engine without live LoRAs: files with a weight are merged, the others are left out."""
    (folder / "tpos_live.json").unlink(missing_ok=True)
    engine = load_engine(folder, "cpu")
    for file, weight in zip(FILES, weights, strict=True):
        if weight:
            merge(read_lora({"unet": engine.unet, "text_encoder": engine.text_encoder}, folder / file), weight)
    return engine


def weights_of(engine: Engine) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in engine.unet.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("factors", [(1.0, 1.0), (0.0, 0.0), (0.5, 0.0), (0.0, 1.5), (1.25, 0.3)])
def test_a_weight_is_that_of_a_merged_lora_bit_for_bit(
    engine: Engine, folder: Path, factors: tuple[float, float]
) -> None:
    engine.networks.live.follow(factors, whole=True)
    expected = merged(folder, 1.0, 0.8 * factors[0], -0.5 * factors[1])
    assert same(weights_of(engine), weights_of(expected))
    assert not same(weights_of(engine), weights_of(merged(folder, 1.0, 0.8 * factors[0], -0.4)))


def test_there_and_back_is_the_same_in_every_bit(engine: Engine) -> None:
    live, chance = engine.networks.live, random.Random(0)
    live.follow((0.37, 1.21), whole=True)
    before, places = weights_of(engine), [weight.data_ptr() for weight in engine.unet.parameters()]
    for _ in range(200):
        live.follow((chance.uniform(0, 1.5), chance.uniform(0, 1.5)))
    assert not same(weights_of(engine), before)
    live.follow((0.37, 1.21), whole=True)
    assert same(weights_of(engine), before)
    assert [weight.data_ptr() for weight in engine.unet.parameters()] == places, "a recorded graph would miss it"
    live.rest()
    live.follow((1.0, 1.0))
    assert not live.follow((1.0, 1.0)) and not same(weights_of(engine), before)


def test_half_precision_does_not_drift_and_kernels_may_lie_channels_last() -> None:
    """As on a card, where eager lays the UNet out anew after it was loaded."""
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(6, 8, 3).half().requires_grad_(False)
    before = layer.weight.clone()
    change = Change("unet", layer, torch.randn(8, 2), torch.randn(2, 6 * 9), 0.5)
    live = LiveLoras([([change], 0.7)])
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert not layer.weight.is_contiguous()
    expected = before + 0.35 * 1.2 * (change.up @ change.down).reshape(before.shape)
    for n in range(100):
        live.follow((n / 100,))
    live.follow((1.2,), whole=True)
    assert torch.allclose(layer.weight.float(), expected, rtol=2e-3, atol=2e-3)
    live.follow((0.0,), whole=True)
    assert torch.equal(layer.weight, before) and not layer.weight.is_contiguous()
    assert live.memory == 2 * (before.numel() + 2 * 8 + 2 * 54)


def test_a_change_is_spread_and_the_newest_weight_wins(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    live = engine.networks.live
    sizes = [layer.work for layer in live._layers]
    written: list[int] = []
    real = type(live._layers[0]).write

    def write(layer: Any, wanted: tuple[float, ...]) -> None:
        written.append(layer.work)
        real(layer, wanted)

    monkeypatch.setattr(type(live._layers[0]), "write", write)
    images = 0
    while live.follow((0.0, 0.0)):
        images += 1
        assert 0 < sum(written) <= sum(sizes) / SPREAD + max(sizes)
        written.clear()
    assert 1 < images <= SPREAD
    for _ in range(1000):
        assert not live.follow((0.0, 0.0))
    assert written == [], "a weight that stands costs nothing"
    live.follow((1.5, 1.5))  # on its way there, but called back
    for _ in range(SPREAD):
        live.follow((0.25, 0.25))
    assert sum(written) <= sum(sizes) * (1 + 1 / SPREAD) + max(sizes)
    found = weights_of(engine)
    written.clear()
    live.follow((0.25, 0.25), whole=True)
    assert written == [] and same(found, weights_of(engine))


def test_a_layer_that_fails_is_written_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    live, before = engine.networks.live, weights_of(engine)
    with monkeypatch.context() as broken:
        broken.setattr(Change, "add_to", lambda *given: 1 / 0)  # after the layer has lost its weights
        with pytest.raises(ZeroDivisionError):
            live.follow((0.5, 0.5))
    live.follow((0.5, 0.5), whole=True)
    found = weights_of(engine)
    live.rest()
    assert same(before, weights_of(engine))
    live.follow((0.5, 0.5), whole=True)
    assert same(found, weights_of(engine)) and not same(before, found)


def test_osc_moves_the_image(engine: Engine, folder: Path, messages: list[str]) -> None:
    store = ParameterStore({"strength": 1.0})
    router = Router(store, lambda *answer: None)
    integrator, generator = ModulationIntegrator(), FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
    tokens = tokens_of(engine, generator.prompt_length)
    hops = 0

    def drive_on(seconds: float) -> FrameParams:
        nonlocal hops
        for _ in range(round(seconds / HOP_SECONDS)):
            hops += 1
            params = integrator.step(Features(time=hops * HOP_SECONDS), store.snapshot(), 0.0)
        return dataclasses.replace(params, noise_position=0.5, time=0.0, pan_x=0.0, pan_y=0.0)

    def image(params: FrameParams) -> np.ndarray:
        return generator.generate(FrameRequest(params, Conditioning(tokens), store.snapshot())).pixels.copy()

    first = image(drive_on(0.1))
    osc = b"/tpos/lora/1\0\0\0\0,f\0\0" + struct.pack(">f", 0.0)
    router.apply([Datagram(osc, "127.0.0.1", 1.0)])
    assert store.snapshot()["lora.1"] == 0.0 and not messages
    soon = drive_on(0.1)
    assert 0.5 < soon.loras[0] < 1.0, "it fades"
    between, rest = image(soon), drive_on(6.0)
    assert rest.loras == (0.0, 1.0, 1.0, 1.0)
    for _ in range(SPREAD):
        last = image(rest)
    assert not np.array_equal(first, last) and not np.array_equal(first, between) and not messages

    (folder / "tpos_live.json").unlink()
    expected = load_engine(folder, "cpu")
    for file, weight in ((FILES[0], 1.0), (FILES[2], -0.5)):
        merge(read_lora({"unet": expected.unet}, folder / file), weight)
    generator = FrameGenerator(
        expected, SIZE, "eager", GeneratorOptions(threads=1)
    )  # the texts are the live engine's, which were read once
    assert np.array_equal(image(rest), last)


def test_the_first_frame_and_those_made_offline_have_the_weights_at_once(engine: Engine) -> None:
    snapshot, params = ParameterStore().snapshot(), FrameParams(loras=(0.0, 0.0, 1.0, 1.0))
    for patient in (False, True):
        engine.networks.live.rest()
        generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1, wait_for_compile=patient))
        tokens = tokens_of(engine, generator.prompt_length)
        first = generator.generate(FrameRequest(params, Conditioning(tokens), snapshot)).pixels.copy()
        assert np.array_equal(generator.generate(FrameRequest(params, Conditioning(tokens), snapshot)).pixels, first)
        second = generator.generate(FrameRequest(FrameParams(), Conditioning(tokens), snapshot)).pixels.copy()
        assert (
            np.array_equal(
                generator.generate(FrameRequest(FrameParams(), Conditioning(tokens), snapshot)).pixels, second
            )
            is patient
        )


def test_texts_are_read_once_with_the_engines_own_weight(engine: Engine, folder: Path) -> None:
    states = engine.texts.encode("blue sea")
    engine.networks.live.follow((0.0, 0.0), whole=True)
    assert torch.equal(engine.texts.encode("blue sea"), states)
    assert torch.equal(merged(folder, 1.0, 0.8, -0.5).texts.encode("blue sea"), states)
    assert not torch.equal(merged(folder, 0.0, 0.0, 0.0).texts.encode("blue sea"), states)


def test_a_captured_pipeline_sees_the_new_weights(engine: Engine) -> None:
    """A pipeline that uses the networks by their addresses, as a captured graph does."""
    generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
    backends = {"eager": generator.backend, "cuda-graph": cuda_graph.load("cuda-graph", generator.request)}
    check_backends(generator, backends)


class Converted(EagerBackend):
    """As OpenVINO and TensorRT, whose networks were made ahead."""

    name, weights_frozen = "converted", True


def test_a_backend_with_weights_of_its_own_says_so_once(engine: Engine, messages: list[str]) -> None:
    assert OpenVinoBackend.weights_frozen and TensorRtBackend.weights_frozen
    generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
    eager, converted = generator.backend, Converted(engine)
    tokens, snapshot = tokens_of(engine, generator.prompt_length), ParameterStore().snapshot()

    def log_lines(factor: float) -> list[str]:
        messages.clear()
        for n in range(4):
            generator.generate(
                FrameRequest(FrameParams(loras=(factor + n / 100, 1.0, 1.0, 1.0)), Conditioning(tokens), snapshot)
            )
        return messages

    before = weights_of(engine)
    generator.use(converted)
    (line,) = log_lines(0.2)
    assert line.startswith("lora.1 stays at 1: converted") and "--accelerator" in line and "\n" not in line
    assert log_lines(0.6) == [] and same(before, weights_of(engine))
    generator.use(eager)
    assert log_lines(0.6) == [] and not same(before, weights_of(engine)), "it goes on where it can"


def test_a_number_without_a_live_lora_is_told_once(engine: Engine, turbo: Engine, messages: list[str]) -> None:
    live = engine.networks.live
    for _ in range(3):
        live.follow((1.0, 1.0, 0.5, 1.0))
        live.follow((1.0, 1.0, 0.4, 1.0))
    assert messages == ["lora.3 does nothing: this engine has 2 live LoRAs"]
    messages.clear()
    none = LiveLoras()
    assert not none.follow((1.0,) * 4) and not messages and none.memory == 0
    assert not none.follow((0.5, 1.0, 1.0, 1.0)) and "has no live LoRAs" in messages[0]
    assert turbo.networks.live.memory == 0, "what is merged costs nothing"


def test_what_is_proven_against_eager_is_not_moved_meanwhile(engine: Engine) -> None:
    live = engine.networks.live
    before = weights_of(engine)
    with live.held():
        assert not live.follow((0.0, 0.0)) and same(before, weights_of(engine))
    assert live.follow((0.0, 0.0)), "it is caught up"
    assert not same(before, weights_of(engine))
    choose("eager", BackendRequest(engine, SIZE, 81))
    assert same(before, weights_of(engine)), "a plan of the engine's own weights would be refused"
    assert live.follow((0.0, 0.0))


def test_the_feedbacks_reference_is_renewed(engine: Engine) -> None:
    generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
    tokens, snapshot = tokens_of(engine, generator.prompt_length), ParameterStore().snapshot()
    drafts: list[int] = []
    real = generator._feedback.set_reference
    generator._feedback.set_reference = lambda *given: (drafts.append(n), real(*given))[1]  # type: ignore[method-assign]
    for n in range(60):
        loras = (0.0 if n > 10 else 1.0, 1.0, 1.0, 1.0)
        generator.generate(
            FrameRequest(FrameParams(time=n / 30, strength=0.5, loras=loras), Conditioning(tokens), snapshot)
        )
    assert drafts == [0, 32]


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("cut", "missing or damaged"),
        ("foreign", "another architecture"),
        ("rank", "another architecture"),
        ("numbers", "holds no numbers"),
        ("texts", "texts are read once"),
    ],
)
def test_a_bad_file_is_one_line_and_changes_nothing(folder: Path, turbo: Engine, damage: str, word: str) -> None:
    path, before = folder / FILES[0], weights_of(turbo)
    good = {"unet.mid_block.attentions.0.proj_in": turbo.unet.mid_block.attentions[0].proj_in.weight}
    tensors = {f"{name}.lora_A.weight": torch.ones(2, weight[0].numel()) for name, weight in good.items()}
    tensors |= {f"{name}.lora_B.weight": torch.ones(len(weight), 2) for name, weight in good.items()}
    name = next(iter(good))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "foreign":
        save_file(tensors | {"unet.a.lora_A.weight": torch.ones(1, 4), "unet.a.lora_B.weight": torch.ones(4, 1)}, path)
    elif damage == "rank":
        save_file(tensors | {f"{name}.lora_B.weight": torch.ones(len(good[name]), 3)}, path)
    elif damage == "numbers":
        save_file(tensors | {f"{name}.lora_B.weight": torch.full((len(good[name]), 2), torch.nan)}, path)
    else:
        save_file({f"{TEXT}.lora_A.weight": torch.ones(1, 32), f"{TEXT}.lora_B.weight": torch.ones(64, 1)}, path)
    with pytest.raises(EngineError, match=word) as caught:
        described(folder, {"live": True})
    assert "\n" not in str(caught.value) and FILES[0] in str(caught.value)
    if damage != "texts":
        with pytest.raises(EngineError, match=word):
            read_lora({"unet": turbo.unet}, path)
    assert same(before, weights_of(turbo))


def test_descriptions_say_which_are_live(folder: Path, tmp_path: Path) -> None:
    source = 'source = "a/b"\n' + '[[lora]]\nsource = "a/b"\nfile = "x.safetensors"\nlive = true\n'
    (tmp_path / "mine.toml").write_text(source)
    preset = load_preset("mine", tmp_path)
    assert preset.lora[0].live
    download._describe(preset, folder)
    assert [lora.live for lora in read_metadata(folder).loras] == [True]
    assert not any(lora.live for name in ("sd15-lcm", "sd15-hyper") for lora in load_preset(name).lora)
    for extra, word in (("weight = 0.0\n", "cannot be 0"), (source.partition("\n")[2] * len(LORAS), "at most 4")):
        (tmp_path / "mine.toml").write_text(source + extra)
        with pytest.raises(EngineError, match=f"mine.toml.*{word}"):
            load_preset("mine", tmp_path)
    (folder / "tpos_live.json").write_text(json.dumps({"loras": [{"file": FILES[0], "weight": 0, "live": True}]}))
    with pytest.raises(EngineError, match=r"tpos_live.json.*loras.0.*cannot be 0") as caught:
        read_metadata(folder)
    assert "\n" not in str(caught.value)
    assert not Preset.model_validate({"source": "a/b"}).lora
