"""torch.compile: compiles in a child process if there is a C++ compiler; equals eager; never compiles in a show."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.cpp_kernels import compile_alone as compile_alone
from fakes.live_loras import attention, check_backends, convolution, write_lora
from fakes.tools import require_tool

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cache as caches
from tpos_live.diffusion.backends import torch_compile
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import MIN_PSNR, verify_captured
from tpos_live.diffusion.backends.registry import choose, is_available, prepare_better
from tpos_live.diffusion.backends.torch_compile import CompiledBackend
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

SIZE = (64, 64)
SMALL = (16, 16)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(caches, "cache_dir", lambda: tmp_path)
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path))  # what is set in a test is taken back
    return tmp_path


def test_without_a_compiler_it_is_refused_in_one_line(turbo: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    chosen = choose("compile", BackendRequest(turbo, SIZE, 81))
    assert (
        isinstance(chosen, EagerBackend)
        and "C++ compiler" in chosen.fallback_reason
        and "\n" not in chosen.fallback_reason
    )
    with pytest.raises(EngineError, match=r"--accelerator compile is not used: .*C\+\+ compiler"):
        prepare_better("compile", BackendRequest(turbo, SIZE, 81))
    assert is_available("compile", turbo)[0] is False


@pytest.mark.parametrize(("device", "word"), [("mps", "mps"), ("cuda", "triton")])
def test_other_devices_are_told_why_not(device: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_compile.importlib.util, "find_spec", lambda name: None)
    ready, why = torch_compile.is_available("compile", device)
    assert not ready and word in why and "\n" not in why


def test_a_mode_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPOS_LIVE_COMPILE_MODE", "reduce-overhead")
    ready, why = torch_compile.is_available("compile", "cpu")
    assert not ready and "TPOS_LIVE_COMPILE_MODE" in why and "max-autotune" in why


def test_not_compiled_yet_is_said(turbo: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    chosen = choose("compile", BackendRequest(turbo, SIZE, 81))
    assert chosen.name == "eager" and "engines compile" in chosen.fallback_reason


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_damaged_kernels_are_named_and_made_again(
    turbo: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    request = BackendRequest(turbo, SIZE, 81)
    place = torch_compile.folder(request)
    place.mkdir(parents=True)
    (place / torch_compile.CACHE.sidecar).write_bytes(content)
    assert torch_compile.is_prepared(request)
    chosen = choose("compile", request)
    assert chosen.name == "eager" and "damaged" in chosen.fallback_reason and "\n" not in chosen.fallback_reason
    assert not torch_compile.is_prepared(request), "the next time they are compiled"


def refuse(*_: object) -> None:
    raise AssertionError("damaged kernels are loaded")


def flip(path: Path) -> None:
    """Another byte in the middle; of a new file, for this process may run the library."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip, lambda path: os.truncate(path, 40), Path.unlink])
def test_a_damaged_kernel_is_not_loaded(
    turbo: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """A library of which a part is missing would end the process; one of another byte draws anything."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(torch_compile, "make", refuse)
    request = BackendRequest(turbo, SIZE, 81)
    place = torch_compile.folder(request)
    kernel = place / "inductor" / "ab" / "kernel.so"
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(bytes(100))
    torch_compile.CACHE.write(place, {"files": caches.sums(place, torch_compile.CACHE.sidecar)})
    (kernel.parent / "of-a-show.py").write_text("came since")
    assert "damaged kernels are loaded" in choose("compile", request).fallback_reason, "whole ones are"
    damage(kernel)
    chosen = choose("compile", request)
    assert chosen.name == "eager" and "are damaged;" in chosen.fallback_reason and "\n" not in chosen.fallback_reason
    assert not place.exists(), "and they are compiled anew, not gone on with"


def test_what_a_killed_compilation_has_left_is_not_gone_on_with(cache: Path) -> None:
    place, ended = cache / "compile" / "key", subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for maker, kept in ((os.getppid(), True), (ended.pid, False)):
        place.mkdir(parents=True, exist_ok=True)
        (place / "half.so").write_bytes(b"")
        torch_compile.begin(place).write_text(str(maker))
        assert torch_compile.begin(place).read_text() == str(os.getpid())
        assert (place / "half.so").exists() == kept


def test_all_that_it_depends_on_is_in_its_key(turbo: Engine, flow: Engine, cache: Path) -> None:
    kinds = [(turbo, SIZE, 81, 1), (flow, SIZE, 81, 1), (turbo, (96, 64), 81, 1), (turbo, SIZE, 80, 1)]
    places = [torch_compile.folder(BackendRequest(*kind)) for kind in [*kinds, (turbo, SIZE, 81, 2)]]
    assert len(set(places)) == 5 and torch_compile.folder(BackendRequest(*kinds[0])) == places[0]


def test_a_failed_compilation_is_one_line(turbo: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match=r"torch\.compile failed") as caught:
        prepare_better("compile", BackendRequest(turbo, SIZE, 81))
    assert "\n" not in str(caught.value) and choose("compile", BackendRequest(turbo, SIZE, 81)).name == "eager"


def check_a_show(engine: Engine, better: CompiledBackend, size: tuple[int, int]) -> None:
    """Eager's pictures, from another thread than the loader's, and nothing compiled meanwhile."""
    from torch._dynamo.utils import counters

    generator = FrameGenerator(engine, size, "eager", GeneratorOptions(threads=1))
    states = engine.texts.encode("blue sea")
    tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
    frames: dict[str, list[np.ndarray]] = {}

    def show(name: str) -> None:
        generator.settle()
        generator.reset()
        frames[name] = []
        for n in range(8):
            params = FrameParams(time=n / 30, noise_position=n / 30, strength=1.0 - 0.3 * (n % 2))
            snapshot = ParameterStore({"steps": (1, 2, 4)[n % 3]}).snapshot()
            frames[name].append(generator.generate(FrameRequest(params, Conditioning(tokens), snapshot)).pixels.copy())

    show("eager")
    generator.use(better)
    before = dict(counters["stats"])
    thread = threading.Thread(target=show, args=("compile",))
    thread.start()
    thread.join()
    assert len(frames["compile"]) == 8 and dict(counters["stats"]) == before
    for one, other in zip(frames["eager"], frames["compile"], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 3 and one.std() > 0

    # What was not compiled for goes one by one and is the same.
    latents, times, rows = (
        torch.randn(3, *engine.latent_shape(size)[1:]),
        torch.tensor([900.0, 500.0, 20.0]),
        torch.randn(3, generator.request.sequence_length, 32),
    )
    with torch.inference_mode():
        expected = engine.unet(latents, times, encoder_hidden_states=rows, return_dict=False)[0]
        assert torch.allclose(better.predict(latents, times, rows), expected, atol=1e-3)
    assert "one by one" in better.prepare_batch_size(3) and better.prepare_batch_size(1) == ""
    assert dict(counters["stats"]) == before


def test_what_is_traced_once_serves_a_whole_show(small: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's tracer without its code generator, which takes minutes: one graph a network, never another."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, mode, **options: real(function, backend="eager", **options))
    request = BackendRequest(small, SMALL, 81, threads=1)
    made, eager = torch_compile.make(request, cache / "place")
    assert verify_captured(made, eager, request) > 60 and made.torch_threads == 1
    check_a_show(small, made, SMALL)


@pytest.fixture
def live(small: Engine, tmp_path: Path) -> Engine:
    """The smallest engine with a live LoRA, so that one compilation is enough for all checks."""
    folder = Path(shutil.copytree(small.folder, tmp_path / "engine"))
    write_lora(small, folder / "lora" / "0.safetensors", 0, lambda name: attention(name) or convolution(name))
    description = json.loads((folder / "tpos_live.json").read_text())
    description["loras"] = [{"file": "lora/0.safetensors", "live": True}]
    (folder / "tpos_live.json").write_text(json.dumps(description))
    return load_engine(folder, "cpu")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cache", "compile_alone")
def test_it_draws_eagers_frames_and_never_compiles_in_a_show(live: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels that PyTorch's compiler really makes, which see the new weights of a LoRA, too."""
    from torch._dynamo.utils import counters

    require_tool("g++")
    generator = FrameGenerator(live, SIZE, "compile", GeneratorOptions(threads=1))
    eager = generator.backend
    assert eager.name == "eager" and "not compiled yet" in eager.fallback_reason
    missed = counters["inductor"]["fxgraph_cache_miss"]
    better = prepare_better("compile", generator.request)
    assert isinstance(better, CompiledBackend) and better.torch_threads == 1
    assert counters["inductor"]["fxgraph_cache_miss"] == missed, "the kernels are read, and not made again"
    facts = json.loads((torch_compile.folder(generator.request) / torch_compile.CACHE.sidecar).read_text())
    assert facts["parity_db"] >= MIN_PSNR
    check_a_show(live, better, SIZE)
    check_backends(generator, {"eager": eager, "compile": better})
    monkeypatch.setattr(torch_compile, "make", lambda request, place: (better, eager))  # not traced a second time
    assert choose("compile", generator.request) is better
    flip(max(torch_compile.folder(generator.request).rglob("*.so"), key=lambda path: path.stat().st_size))
    assert "damaged" in choose("compile", generator.request).fallback_reason
