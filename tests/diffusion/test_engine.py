from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import shipped
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.metadata import EngineMetadata


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def copy(flow_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_folder, tmp_path / "engine"))


@pytest.mark.parametrize("kind", ["flow", "sd-turbo"])
@pytest.mark.parametrize("vae", ["tiny", "kl"])
def test_loads_any_stable_diffusion_folder(tmp_path: Path, kind: str, vae: str) -> None:
    engine = load_engine(make_tiny_engine(tmp_path, kind, vae=vae), "cpu")  # type: ignore[arg-type]
    assert engine.factor == 8 and engine.latent_channels == 4
    rows = {"flow": 24, "sd-turbo": 77}[kind]
    assert engine.texts.encode("a blue sea").shape == (rows, engine.token_dim)
    assert not any(p.requires_grad for p in engine.unet.parameters())
    assert len(engine.weights_hash) == 64
    assert engine.trained_with_audio == (kind == "flow")


def test_half_precision_files_load(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    for part, name in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        path = copy / part / f"{name}.safetensors"
        half = {key: value.half() if value.is_floating_point() else value for key, value in load_file(path).items()}
        path.unlink()
        save_file(half, copy / part / f"{name}.fp16.safetensors", metadata={"format": "pt"})
    engine = load_engine(copy, "cpu")
    assert engine.dtype == torch.float32 and engine.texts.encode("x").dtype == torch.float32


@pytest.mark.parametrize("text", ["", "sea " * 4000, "🔥🔥", "夜の街", "\x00\n\t"])
def test_any_text_can_be_encoded(flow, turbo, text: str) -> None:
    for engine in (flow, turbo):
        states = engine.texts.encode(text)
        assert states.shape == (engine.text_tokens, engine.token_dim) and torch.isfinite(states).all()


def test_an_older_ember_is_refused_with_a_way_out(copy: Path) -> None:
    edit(copy / "tpos_live.json", name="ember")
    with pytest.raises(EngineError, match=r"older Ember; use the included ones \(--engine ember\)") as refused:
        load_engine(copy, "cpu", lazy=True)
    assert "\n" not in str(refused.value)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such engine folder"):
        load_engine(tmp_path / "nothing")
    with pytest.raises(EngineError, match="model_index"):
        load_engine(tmp_path)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_missing_part(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(EngineError, match=f"{part} is missing.*again"):
        load_engine(copy)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "gone"])
def test_damaged_weights(copy: Path, part: str, damage: str) -> None:
    path = next((copy / part).glob("*.safetensors"))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "garbage":
        path.write_bytes(b"\xff" * 1000)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    with pytest.raises(EngineError, match=part) as caught:
        load_engine(copy)
    assert "\n" not in str(caught.value) and "again" in str(caught.value)


def test_pickles_are_refused(copy: Path) -> None:
    path = next((copy / "unet").glob("*.safetensors"))
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(EngineError, match="pickles"):
        load_engine(copy)


def test_wrong_classes(copy: Path) -> None:
    edit(copy / "unet" / "config.json", _class_name="UNet3DConditionModel")
    with pytest.raises(EngineError, match="UNet3DConditionModel"):
        load_engine(copy)
    edit(copy / "unet" / "config.json", _class_name="UNet2DConditionModel")
    edit(copy / "model_index.json", text_encoder=["transformers", "T5EncoderModel"])
    with pytest.raises(EngineError, match="T5EncoderModel"):
        load_engine(copy)


def test_wrong_scheduler(copy: Path) -> None:
    edit(copy / "scheduler" / "scheduler_config.json", _class_name="PNDMScheduler")
    with pytest.raises(EngineError, match="PNDMScheduler"):
        load_engine(copy)


def test_parts_of_different_engines(copy: Path, turbo_folder: Path) -> None:
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(copy / part)
        shutil.copytree(turbo_folder / part, copy / part)
    edit(
        copy / "model_index.json",
        text_encoder=["transformers", "CLIPTextModel"],
        tokenizer=["transformers", "CLIPTokenizer"],
    )
    with pytest.raises(EngineError, match="different engines"):
        load_engine(copy)


def test_broken_description(copy: Path) -> None:
    (copy / "tpos_live.json").write_text('{"sizes": 3}')
    with pytest.raises(EngineError, match="tpos_live"):
        load_engine(copy)


def test_loading_asks_no_network(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_engine(copy, "cpu").texts.encode("sea")


def test_resolve(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tpos_live.diffusion.hub.resolve._engines", lambda: tmp_path)
    assert resolve_engine(str(copy))[0] == copy
    with pytest.raises(EngineError, match="install tpos-live again"):
        resolve_engine("ember")
    (tmp_path / "ember").mkdir()
    path, note = resolve_engine("auto")
    if not torch.cuda.is_available():
        assert path == tmp_path / "ember" and "Ember" in note and "\n" not in note
    (tmp_path / "mine.toml").write_text('source = "nobody/nothing-of-that-name"')
    monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path / "fetched"))
    with pytest.raises(EngineError, match="engines fetch mine"):
        resolve_engine("mine")
    with pytest.raises(EngineError, match="ember, mine"):
        resolve_engine("whatever")
    for odd in ("", "a/b/c", "../none", "öß?"):
        with pytest.raises(EngineError):
            resolve_engine(odd)


def test_a_lazy_engine_is_the_same_engine(flow: Engine, flow_folder: Path) -> None:
    engine = load_engine(flow_folder, "cpu", lazy=True)
    shapes = ("latent_channels", "factor", "token_dim", "text_tokens")
    facts = ("name", "dtype", "trained_with_audio", "weights_hash", *shapes)
    assert all(getattr(engine, fact) == getattr(flow, fact) for fact in facts)
    assert torch.equal(engine.texts.encode("sea"), flow.texts.encode("sea"))
    assert engine.nearest_size((70, 90)) == (64, 96)
    assert not engine.networks.loaded, "nothing of this needs the networks"
    mine, theirs = engine.unet.state_dict(), flow.unet.state_dict()
    assert engine.networks.loaded and all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert not any(p.requires_grad for p in engine.vae.parameters()) and not engine.unet.training


def test_a_lazy_engine_is_loaded_once_by_many(flow_folder: Path) -> None:
    engine = load_engine(flow_folder, "cpu", lazy=True)
    with ThreadPoolExecutor(4) as pool:
        assert len({id(unet) for unet in pool.map(lambda _n: engine.unet, range(4))}) == 1


def test_what_a_lazy_engine_cannot_know_is_loaded(copy: Path) -> None:
    path = copy / "unet" / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "in_channels"}))
    engine = load_engine(copy, "cpu", lazy=True)
    assert engine.networks.loaded and engine.latent_channels == 4
    edit(path, in_channels=4, block_out_channels=[8, 8])
    engine = load_engine(copy, "cpu", lazy=True)
    for _ in range(2):  # each time anew: a failed load leaves nothing half-made
        with pytest.raises(EngineError, match=r"unet.*cannot be loaded.*again"):
            _ = engine.unet
    edit(path, out_channels=8)
    with pytest.raises(EngineError, match="different engines"):
        load_engine(copy, "cpu", lazy=True)


def test_importing_the_contracts_is_light() -> None:
    code = (
        "import sys, tpos_live.diffusion.generator, tpos_live.runtime.render_thread, tpos_live.conditioning.builder;"
        "assert not {'diffusers', 'transformers', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("output", "size"),
    [((1920, 1080), (448, 256)), ((1920, 1200), (448, 256)), ((900, 900), (256, 256)), ((720, 1280), (256, 256))],
)
def test_the_size_of_the_output_s_shape(output: tuple[int, int], size: tuple[int, int]) -> None:
    sizes = [(256, 256), (448, 256), (512, 288)]
    assert EngineMetadata(size=sizes[0], sizes=sizes).size_for(output) == size
    assert EngineMetadata(size=(512, 512)).size_for(output) == (512, 512)


@pytest.mark.parametrize(
    ("output", "size"),
    [((1920, 1080), (320, 192)), ((1920, 1200), (320, 192)), ((900, 900), (256, 256)), ((720, 1280), (256, 256))],
)
def test_the_smallest_size_of_the_output_s_shape_for_few_cores(output: tuple[int, int], size: tuple[int, int]) -> None:
    sizes = [(256, 256), (320, 192), (448, 256), (512, 288)]
    assert EngineMetadata(size=sizes[0], sizes=sizes).light_size_for(output) == size
    without = EngineMetadata(size=sizes[0], sizes=[sizes[0], *sizes[2:]]).light_size_for(output)
    assert without == (size if size != (320, 192) else (448, 256)), "no size that the engine does not name"
    assert EngineMetadata(size=(512, 512)).light_size_for(output) == (512, 512)


@pytest.mark.parametrize("kind", ["flow", "turbo", "xl"])
def test_many_texts_are_read_as_each_alone(request: pytest.FixtureRequest, kind: str) -> None:
    engine: Engine = request.getfixturevalue(kind)
    texts = ["a blue sea", "", "fire and rain " * 40, *(f"number {n}" for n in range(40))]
    states = engine.texts.encode_all(texts)
    assert states.shape == (len(texts), engine.text_tokens, engine.token_dim) and states.dtype == engine.dtype
    for n in (0, 1, 2, 31, 32, 42):
        assert torch.allclose(states[n], engine.texts.encode(texts[n]), atol=1e-5)


def test_engines_load_at_the_same_time(tmp_path: Path) -> None:
    """The libraries' loaders change PyTorch for all threads: without a lock another engine's weights came out empty."""
    folders = [shipped("engines") / "ember", make_tiny_engine(tmp_path, "sd-turbo", vae="kl")]
    begin = threading.Barrier(6)

    def load(number: int) -> Engine:
        begin.wait(30)
        engine = load_engine(folders[number % 2], "cpu")
        assert engine.unet is not None and engine.texts.encode("fire") is not None
        return engine

    with ThreadPoolExecutor(6) as pool:
        for engine in pool.map(load, range(6)):
            for part in (engine.unet, engine.vae):
                assert not any(weight.is_meta for weight in part.parameters())
    assert os.environ.get("HF_HUB_OFFLINE") == "1", "as the tests began"
