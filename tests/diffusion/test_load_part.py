"""Networks are loaded without changes to PyTorch's global state, from files of every known form."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine
from safetensors.torch import load_file, save_file

import tpos_live
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.load_part import load_part

_WAIT = 60.0


@pytest.fixture
def copy(turbo_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(turbo_folder, tmp_path / "engine"))


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    tensors = change(load_file(path))  # a copy of each: the file's own pages are written over
    save_file({name: value.clone() for name, value in tensors.items()}, path, {"format": "pt"})


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_what_another_thread_makes_while_a_network_is_made_is_whole(
    copy: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """The load is stopped inside the network's constructor, where the libraries' loaders have changed PyTorch."""
    import transformers
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    classes: dict[str, Any] = {
        "unet": UNet2DConditionModel, "vae": AutoencoderTiny, "text_encoder": transformers.CLIPTextModel,
    }  # fmt: skip
    edit(copy / "text_encoder" / "model.safetensors", lambda all_: {k: v.half() for k, v in all_.items()})
    config = copy / "text_encoder" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float16", "torch_dtype": "float16"}))
    inside, go_on = threading.Event(), threading.Event()
    first = torch.nn.Module.__init__

    def stop(module: torch.nn.Module, *given: Any, **named: Any) -> None:
        if type(module) is classes[part] and threading.current_thread() is thread:
            inside.set()
            assert go_on.wait(_WAIT)
        first(module, *given, **named)

    monkeypatch.setattr(torch.nn.Module, "__init__", stop)
    loaded: list[Any] = []
    thread = threading.Thread(target=lambda: loaded.append(load_engine(copy, "cpu")))
    thread.start()
    try:
        assert inside.wait(_WAIT)
        torch.manual_seed(0)
        made, number = torch.nn.Linear(8, 8), torch.zeros(1)
    finally:
        go_on.set()
        thread.join(_WAIT)
    torch.manual_seed(0)
    assert made.weight.device.type == "cpu" and made.weight.equal(torch.nn.Linear(8, 8).weight)
    assert number.dtype == torch.float32
    assert loaded and loaded[0].texts.encode("sea").isfinite().all()


def test_the_files_of_other_versions_are_read(copy: Path, tmp_path: Path) -> None:
    """The names that transformers writes or not, an older name of a decoder's attention, and files in pieces."""
    before = load_engine(copy, "cpu")
    text, unet = copy / "text_encoder" / "model.safetensors", copy / "unet" / "diffusion_pytorch_model.safetensors"
    edit(text, lambda all_: {f"text_model.{k.removeprefix('text_model.')}": v for k, v in all_.items()})
    tensors = load_file(unet)
    halves = [dict(list(tensors.items())[start::2]) for start in (0, 1)]
    for number, half in enumerate(halves, 1):
        save_file(half, unet.with_name(f"diffusion_pytorch_model-{number:05}-of-00002.safetensors"), {"format": "pt"})
    save_file({name: value * 0 for name, value in tensors.items()}, unet.with_name("other.non_ema.safetensors"))
    unet.unlink()
    after = load_engine(copy, "cpu")
    assert after.texts.encode("sea").equal(before.texts.encode("sea"))
    for one, other in zip(before.unet.parameters(), after.unet.parameters(), strict=True):
        assert one.equal(other)
    edit(text, lambda all_: {k.removeprefix("text_model."): v for k, v in all_.items()})
    assert load_engine(copy, "cpu").texts.encode("sea").equal(before.texts.encode("sea"))


def test_an_older_decoder_is_read(tmp_path: Path) -> None:
    folder = make_tiny_engine(tmp_path, "sd-turbo", vae="kl")
    before = load_engine(folder, "cpu").vae.decoder.state_dict()
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def older(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for new, old in names.items():
            tensors = {name.replace(new, old): value for name, value in tensors.items()}
        return tensors

    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    edit(path, older)
    assert any(".proj_attn." in name for name in load_file(path))
    after = load_engine(folder, "cpu").vae.decoder.state_dict()
    assert before.keys() == after.keys() and all(after[name].equal(value) for name, value in before.items())


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_weights_of_another_size_are_named(copy: Path, part: str) -> None:
    path = next((copy / part).glob("*.safetensors"))
    name = sorted(load_file(path))[0]
    edit(path, lambda all_: {**all_, name: torch.zeros(3, 2)})
    with pytest.raises(EngineError, match=r" is 3 x 2, its configuration says .*; fetch or install") as found:
        load_engine(copy, "cpu")
    assert "\n" not in str(found.value) and name.removeprefix("text_model.") in str(found.value)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists the mapped files")
def test_an_engine_is_read_and_not_mapped(copy: Path) -> None:
    """Its files may be written over, or their disk may go, while it draws."""
    engine = load_engine(copy, "cpu")
    assert str(copy) not in Path("/proc/self/maps").read_text()
    shutil.rmtree(copy)
    assert engine.texts.encode("sea").isfinite().all()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_that_is_gone_is_one_line(copy: Path, part: str) -> None:
    """As when a stick is pulled out before the encoder is first needed; the libraries would ask the hub for it."""
    import transformers
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    shutil.rmtree(copy / part)
    cls = transformers.CLIPTextModel if part == "text_encoder" else AutoencoderTiny
    with pytest.raises(EngineError, match=r"config.json: missing or damaged; fetch or install") as found:
        load_part(copy, part, cls)
    assert "\n" not in str(found.value) and "huggingface" not in str(found.value)


def test_no_network_is_made_by_a_library_s_own_loader() -> None:
    """`from_pretrained` changes PyTorch for all threads; a tokenizer's, a configuration's and an embedding's do not."""
    package, found = Path(tpos_live.__file__).parent, set()
    for path in package.rglob("*.py"):
        if path.relative_to(package).parts[0] != "training":
            found |= {
                f"{path.name}: {call}" for call in re.findall(r"[\w.]+\.from_pretrained\(", path.read_text("utf-8"))
            }
    assert found == {
        "load_part.py: cls.config_class.from_pretrained(",
        "text_encoders.py: cls.from_pretrained(",  # of a tokenizer
        "textual_inversion.py: torch.nn.Embedding.from_pretrained(",
    }
