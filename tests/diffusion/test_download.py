"""Presets and fetching, against a hub on this machine: the real library, a real socket, a real process."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from fakes.hub import FakeHub, fake_hub
from fakes.tiny_engine import make_tiny_engine
from safetensors.torch import load_file, save_file

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.hub import client, download
from tpos_live.diffusion.hub.download import damaged, fetch_engine
from tpos_live.diffusion.hub.presets import Preset, load_preset, preset_names
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.lora import read_lora

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(turbo_folder: Path, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with an engine ("maker/turbo", with pickles beside its safetensors) and a decoder (TAESD's name)."""
    engine, decoder = tmp_path / "hub" / "engine", tmp_path / "hub" / "decoder"
    shutil.copytree(turbo_folder, engine)
    (engine / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (engine / "README.md").write_text("not wanted")
    shutil.copytree(turbo_folder / "vae", decoder)
    with fake_hub({"maker/turbo": engine, "madebyollin/taesd": decoder}) as hub:
        yield hub


def tool(hub: FakeHub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "TPOS_LIVE_ENGINES": str(home / "engines"),
    }
    command = [sys.executable, "-m", "tpos_live", "engines", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_fetch_makes_an_engine_that_loads(hub: FakeHub, tmp_path: Path) -> None:
    done = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "engines" / "maker--turbo"
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert "README.md" not in names and not [name for name in names if name.endswith(".bin")]
    assert damaged(folder) == []
    engine = load_engine(folder, "cpu")
    assert not engine.trained_with_audio and engine.texts.encode("sea").shape == (77, 32)
    record = json.loads((folder / "fetched.json").read_text())
    assert {entry["repo"] for entry in record["files"]} == {"maker/turbo", "madebyollin/taesd"}
    assert all(entry["checksum"].startswith(("sha256:", "git:")) for entry in record["files"])

    again = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert again.returncode == 0 and "there and whole" in again.stdout
    assert "maker/turbo" in tool(hub, tmp_path, "list").stdout
    weights = folder / "unet" / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    checked = tool(hub, tmp_path, "check", "maker/turbo")
    assert checked.returncode == 1 and WEIGHTS in checked.stderr and "repairs it" in checked.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdxl-turbo", "stabilityai/sdxl-turbo"])
def test_an_engine_of_two_text_encoders_is_fetched_whole(tmp_path: Path, name: str) -> None:
    """By its preset and as a repository like any other: each with the decoder that its latents want."""
    own = {"_class_name": "EulerAncestralDiscreteScheduler"} if name == "sdxl-turbo" else {}
    engine, decoder = make_tiny_engine(tmp_path / "hub", "sdxl", vae="kl", scheduler=own), tmp_path / "decoder"
    shutil.copytree(make_tiny_engine(tmp_path / "small", "sdxl") / "vae", decoder)
    with fake_hub({"stabilityai/sdxl-turbo": engine, "madebyollin/taesdxl": decoder}) as hub:
        done = tool(hub, tmp_path, "fetch", name)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "engines" / name.replace("/", "--")
    loaded = load_engine(folder, "cpu")
    assert loaded.texts.encode("sea").shape == (78, 40) and not loaded.trained_with_audio
    assert type(loaded.vae).__name__ == "AutoencoderTiny" and loaded.vae.config.scaling_factor == 1.0
    shutil.rmtree(folder / "text_encoder_2")
    assert "text_encoder_2/config.json" in damaged(folder)


@pytest.mark.slow
def test_an_engine_that_another_process_fetches_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    hub.open.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(tool, hub, tmp_path, "fetch", "maker/turbo")
        assert hub.asked.wait(60)
        second = tool(hub, tmp_path, "fetch", "maker/turbo")
        hub.open.set()
    assert second.returncode == 1 and "by another tpos-live; wait" in second.stderr and second.stderr.count("\n") == 1
    assert first.result().returncode == 0 and damaged(tmp_path / "engines" / "maker--turbo") == []


@pytest.mark.slow
def test_half_a_download_is_gone_on_with(hub: FakeHub, tmp_path: Path) -> None:
    remote = f"unet/{WEIGHTS}"
    size = (hub.repos["maker/turbo"] / remote).stat().st_size
    hub.cut[remote] = size // 2
    first = tool(hub, tmp_path, "fetch", "maker/turbo")
    if first.returncode:  # the library itself may go on at once; if not, the same line does
        assert first.stderr.count("\n") <= 30 and "run the same line again" in first.stderr.splitlines()[-1]
        assert not (tmp_path / "engines" / "maker--turbo").exists()
        assert tool(hub, tmp_path, "fetch", "maker/turbo").returncode == 0
    assert hub.sent[remote] < 1.1 * size, "it began anew"
    assert any(line.startswith(remote) for line in hub.ranges)
    assert damaged(tmp_path / "engines" / "maker--turbo") == []


@pytest.mark.slow
def test_an_altered_file_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.altered.add("config.json")
    done = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert done.returncode == 1 and "checksum is wrong" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "engines" / "maker--turbo").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["pickles", "gated", "absent", "preset", "box"])
def test_what_cannot_be_fetched_is_one_line(hub: FakeHub, tmp_path: Path, case: str) -> None:
    name, word = "maker/turbo", ""
    if case == "pickles":
        (hub.repos[name] / "unet" / WEIGHTS).unlink()
        word = "only pickles"
    elif case == "gated":
        hub.gated.add(name)
        word = "accept its licence"
    elif case == "box":
        name, word = "ember", "nothing to fetch"
    elif case == "absent":
        name, word = "maker/nothing", "no such repository"
    else:
        name, word = "sd-tubro", "sd-turbo"
    done = tool(hub, tmp_path, "fetch", name)
    assert done.returncode == 1 and word in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_without_a_network_one_line_says_what_to_do(hub: FakeHub, tmp_path: Path, url: str) -> None:
    hub.url = url
    done = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "run the same line again" in done.stderr
    assert f"to {tmp_path / 'engines' / 'maker--turbo'}; `tpos-live engines check maker/turbo`" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 401, 500])
def test_an_answer_that_is_not_the_hubs_is_one_line(hub: FakeHub, tmp_path: Path, status: int) -> None:
    """As a hotel's network gives it before one has signed in, and a hub in trouble."""
    hub.answer = status, b"<html>Please sign in</html>"
    done = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "maker/turbo" in done.stderr and ("hf auth login" in done.stderr or "run the same line again" in done.stderr)


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file")
    done = tool(hub, tmp_path, "fetch", "maker/turbo")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot be written" in done.stderr and "TPOS_LIVE_ENGINES" in done.stderr


@pytest.mark.parametrize("where", ["_download", "_describe"])
def test_a_disk_that_gets_full_is_one_line(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "part"))

    monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path / "engines"))
    files = [client.HubFile("maker/turbo", "c", "model_index.json", "model_index.json", 1, "sha256:0")]
    monkeypatch.setattr(download, "plan", lambda _preset: files)
    if where == "_download":
        monkeypatch.setattr(client, "_download", full)
    else:
        monkeypatch.setattr(download, "_describe", full)
        monkeypatch.setattr(download, "fetch_file", lambda *_given: None)
    with pytest.raises(EngineError, match=r"part cannot be written \(No space left.*make room") as found:
        fetch_engine("maker/turbo")
    assert "\n" not in str(found.value)


def test_a_hub_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(client, "TIMEOUT", 0.3)
        with pytest.raises(EngineError, match="timed out"):
            fetch_engine("maker/turbo")


def test_whatever_the_hubs_client_raises_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    foreign = type("ConnectError", (Exception,), {"__module__": "httpx17.transports"})

    def fail(*_given: object, **_named: object) -> None:
        raise foreign("first line\nsecond line")

    monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    with pytest.raises(EngineError, match="fetching stopped") as found:
        fetch_engine("maker/turbo")
    assert "first line" in str(found.value) and "\n" not in str(found.value)


def test_shipped_presets_are_valid() -> None:
    names = preset_names()
    assert set(names) >= {"sd-turbo", "sd15-lcm", "sd15-hyper", "sdxs-512", "sdxl-turbo"}
    for name in names:
        preset = load_preset(name)
        assert preset.decoder and preset.decoder.startswith("madebyollin/taesd")
        assert preset.decoder.endswith("xl") == ("xl" in name)
        assert preset.licence != "unknown" and preset.title and preset.download_gb


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('source = "nothing"', "owner/name"),
        ('source = "a/b"\nstepps = [1]', "stepps"),
        ('source = "a/b"\nsteps = [9]', "steps"),
        ('source = "a/b"\n[[lora]]\nsource = "a/b"\nfile = "x.ckpt"', "pickles"),
        ('source = "a/../b"', "owner/name"),
        ("source = ", "not a valid preset"),
    ],
)
def test_a_wrong_preset_names_the_entry(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(EngineError, match=word) as caught:
        load_preset("mine", tmp_path)
    assert "\n" not in str(caught.value) and "mine.toml" in str(caught.value)


def test_a_preset_needs_only_a_source() -> None:
    assert Preset.model_validate({"source": "a/b"}).steps == [1, 2, 4]


@pytest.mark.parametrize("spelling", ["kohya", "diffusers", "peft"])
def test_lora_is_merged(turbo_folder: Path, tmp_path: Path, spelling: str) -> None:
    folder = tmp_path / "engine"
    shutil.copytree(turbo_folder, folder)
    engine = load_engine(folder, "cpu")
    name, layer = next((n, m) for n, m in engine.unet.named_modules() if n.endswith("attn2.to_k"))
    conv_name, conv = next((n, m) for n, m in engine.unet.named_modules() if n.endswith("resnets.0.conv1"))
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(2, layer.in_features, generator=generator), torch.randn(layer.out_features, 2)
    conv_down = torch.randn(2, *conv.weight.shape[1:], generator=generator)
    conv_up = torch.randn(conv.weight.shape[0], 2, 1, 1, generator=generator)
    tensors = {}
    for path, (low, high) in {name: (down, up), conv_name: (conv_down, conv_up)}.items():
        if spelling == "kohya":
            flat = "lora_unet_" + path.replace(".", "_")
            tensors |= {f"{flat}.lora_down.weight": low, f"{flat}.lora_up.weight": high}
            tensors[f"{flat}.alpha"] = torch.tensor(1.0)
        elif spelling == "diffusers":
            tensors |= {f"unet.{path}.lora.down.weight": low, f"unet.{path}.lora.up.weight": high}
        else:
            tensors |= {f"unet.{path}.lora_A.weight": low, f"unet.{path}.lora_B.weight": high}
    (folder / "lora").mkdir()
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "lora" / "0.safetensors")
    (folder / "tpos_live.json").write_text(json.dumps({"loras": [{"file": "lora/0.safetensors", "weight": 0.5}]}))
    merged = load_engine(folder, "cpu")
    scale = 0.5 * (0.5 if spelling == "kohya" else 1.0)  # alpha over rank
    assert torch.allclose(merged.unet.get_submodule(name).weight, layer.weight + scale * up @ down, atol=1e-5)
    expected = torch.einsum("or,rikl->oikl", conv_up[:, :, 0, 0], conv_down)
    assert torch.allclose(merged.unet.get_submodule(conv_name).weight, conv.weight + scale * expected, atol=1e-5)
    assert merged.weights_hash != engine.weights_hash


def test_a_lora_of_another_architecture_changes_nothing(turbo_folder: Path, tmp_path: Path) -> None:
    engine = load_engine(turbo_folder, "cpu")
    before = {key: value.clone() for key, value in engine.unet.state_dict().items()}
    name = next(n for n, m in engine.unet.named_modules() if n.endswith("attn2.to_k"))
    good = {f"unet.{name}.lora_A.weight": torch.ones(1, 32), f"unet.{name}.lora_B.weight": torch.ones(32, 1)}
    for extra in ({"unet.nowhere.lora_A.weight": torch.ones(1, 4)}, {"something.else": torch.ones(1)}):
        save_file(good | extra, tmp_path / "x.safetensors")
        with pytest.raises(EngineError, match=r"another architecture|not of a LoRA"):
            read_lora({"unet": engine.unet}, tmp_path / "x.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:50])
    for path in ("half.safetensors", "none.safetensors", "x.ckpt"):
        with pytest.raises(EngineError, match=r"fetch the engine again|pickle"):
            read_lora({"unet": engine.unet}, tmp_path / path)
    assert all(torch.equal(before[key], value) for key, value in engine.unet.state_dict().items())
    assert load_file(tmp_path / "x.safetensors")
