from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes.forked_python import forked_python

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.backend_table import NAMES
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cache as caches
from tpos_live.diffusion.backends import openvino, registry, torch_compile
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.parity import MIN_PSNR
from tpos_live.diffusion.backends.registry import choose, is_available, prepare_better
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest, write_pixels
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs the extra tpos-live[openvino]"
)
SIZE = (64, 64)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(caches, "cache_dir", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_backend_of_the_table_has_a_module_that_can_load_it(name: str) -> None:
    ready, reason = is_available(name)
    assert (ready or reason) and callable(registry._module(name).load)


def test_a_name_that_does_not_exist(flow: Engine) -> None:
    with pytest.raises(EngineError, match=r"warp.*eager"):
        choose("warp", BackendRequest(flow, SIZE, 32))


@pytest.mark.parametrize("name", ["cuda-graph", "tensorrt"])
def test_a_backend_that_was_asked_for_and_cannot_run_here_is_named(flow: Engine, name: str) -> None:
    request = BackendRequest(flow, SIZE, 32)
    if is_available(name, flow)[0]:
        pytest.skip(f"{name} runs here")
    with pytest.raises(EngineError, match=f"--accelerator {name} is not used: .+") as refused:
        prepare_better(name, request)
    assert "\n" not in str(refused.value)
    assert prepare_better("eager", request) is None


def test_eager_says_why_it_is_not_openvino(flow: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("eager", BackendRequest(flow, SIZE, 32)).fallback_reason == "chosen by --accelerator"
    monkeypatch.setattr(openvino.importlib.util, "find_spec", lambda name: None)
    chosen = choose("auto", BackendRequest(flow, SIZE, 32))
    assert chosen.name == "eager" and "not installed" in chosen.fallback_reason
    assert prepare_better("auto", BackendRequest(flow, SIZE, 32)) is None


@needs_openvino
def test_not_converted_yet_is_said(flow: Engine, cache: Path) -> None:
    chosen = choose("auto", BackendRequest(flow, SIZE, 32))
    assert chosen.name == "eager" and "not converted" in chosen.fallback_reason


def test_pixels_are_rounded_as_the_stock_pipeline_does() -> None:
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    out = np.zeros((16, 24, 3), np.uint8)
    expected = ((image / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    write_pixels(image.clone(), out)
    assert int(np.abs(out.astype(int) - expected).max()) <= 1 and (out == expected).mean() > 0.999


@needs_openvino
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_openvino_equals_eager_and_is_cached(flow: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = FrameGenerator(flow, SIZE, "eager", GeneratorOptions(threads=1))
    with forked_python() as python, monkeypatch.context() as patch:
        patch.setattr(openvino.sys, "executable", python)
        better = prepare_better("auto", generator.request)
    assert better is not None and better.name == "openvino"
    place = openvino.folder(generator.request)
    facts = json.loads((place / openvino.CACHE.sidecar).read_text())
    assert facts["parity_db"] >= MIN_PSNR
    assert [path.name for path in (cache / "openvino").iterdir()] == [place.name]  # nothing half-made is left

    states = flow.texts.encode("blue sea")
    tokens = torch.cat([states, states.new_zeros(generator.prompt_length - len(states), states.shape[1])])
    store = ParameterStore({"steps": 2})
    images = []
    for backend in (generator.backend, better):
        generator.use(backend)
        frame = generator.generate(
            FrameRequest(FrameParams(noise_position=0.7), Conditioning(tokens), store.snapshot())
        )
        images.append(frame.pixels.astype(np.float64))
    error = float(((images[0] - images[1]) ** 2).mean())
    assert 10 * np.log10(255**2 / max(error, 1e-6)) >= MIN_PSNR
    assert choose("auto", BackendRequest(flow, SIZE, generator.request.sequence_length)).name == "openvino"

    # A show that starts on the converted engine does not read the networks; what falls back to them does.
    lazy = load_engine(flow.folder, "cpu", lazy=True)
    assert (
        FrameGenerator(lazy, SIZE, options=GeneratorOptions(threads=1)).backend.name == "openvino"
        and not lazy.networks.loaded
    )
    assert (
        choose("eager", BackendRequest(lazy, SIZE, generator.request.sequence_length)).name == "eager"
        and lazy.networks.loaded
    )

    # What OpenVINO compiled is kept; damage there costs the time of compiling again.
    kept = list((place / "compiled").glob("*.blob"))
    assert kept
    for blob in kept:
        blob.write_bytes(b"damaged")
    assert (
        choose("auto", BackendRequest(flow, SIZE, generator.request.sequence_length)).name == "openvino"
        and place.exists()
    )

    # Another size is another engine; a damaged one is removed and named.
    assert choose("auto", BackendRequest(flow, (96, 64), generator.request.sequence_length)).name == "eager"
    (place / "unet.xml").write_text("damaged")
    chosen = choose("auto", BackendRequest(flow, SIZE, generator.request.sequence_length))
    assert chosen.name == "eager" and "damaged" in chosen.fallback_reason and not place.exists()


@needs_openvino
@pytest.mark.slow
def test_a_failed_conversion_is_one_line(flow: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino.sys, "executable", "/bin/false")
    with pytest.raises(EngineError, match="eager goes on"):
        prepare_better("openvino", BackendRequest(flow, SIZE, 32))
    assert isinstance(choose("auto", BackendRequest(flow, SIZE, 32)), EagerBackend)
    assert list((cache / "openvino").iterdir()) == []
    crashing = cache / "crashing"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o700)
    monkeypatch.setattr(openvino.sys, "executable", str(crashing))
    with pytest.raises(EngineError, match=r"signal 11.*eager goes on"):
        prepare_better("openvino", BackendRequest(flow, SIZE, 32))


@needs_openvino
def test_a_cpu_without_bfloat16_does_not_take_the_conversion_of_one_that_has_it(
    flow: Engine, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    for native in (True, False):
        monkeypatch.setattr(openvino, "bfloat16_is_faster", lambda native=native: native)
        places.append(openvino.folder(BackendRequest(flow, SIZE, 32)))
    assert places[0] != places[1], "running it would crash the process"


SINGLE = """
import json, sys
from pathlib import Path
from tpos_live.core.paths import shipped
from tpos_live.diffusion.backends import eager, openvino
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.generator import FrameGenerator
openvino.bfloat16_is_faster = eager.bfloat16_is_faster = lambda: False
work, size = Path(sys.argv[1]), (256, 256)
engine = load_engine(shipped("engines") / "ember", "cpu")
openvino.convert(FrameGenerator(engine, size, "eager").request, work)
precision = json.loads((work / openvino.CACHE.sidecar).read_text())["precision"]
made = openvino.OpenVinoBackend(work, precision)
print(json.dumps([precision, made.prepare_batch_size(2, wait=True), made.prepare_batch_size(3, wait=True)]))
"""


@needs_openvino
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ember_is_converted_for_a_cpu_without_bfloat16(tmp_path: Path) -> None:
    """In a process of its own: where OpenVINO's kernels crash, they take the process with them."""
    with forked_python() as python:
        command = [python, "-c", SINGLE, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert json.loads(done.stdout.splitlines()[-1]) == ["f32", "", ""]
    assert json.loads((tmp_path / openvino.CACHE.sidecar).read_text())["parity_db"] >= 60


def test_a_property_that_openvino_does_not_know_is_left_out() -> None:
    asked: list[dict[str, Any]] = []

    class Core:
        def compile_model(self, _model: str, _device: str, options: dict[str, Any]) -> Any:
            asked.append(options)
            if "SNIPPETS_MODE" in options:
                raise RuntimeError("NotFound: Unsupported property SNIPPETS_MODE by CPU plugin.")
            if options.get("NUM_STREAMS") != "1":
                raise RuntimeError("another thing")
            return SimpleNamespace(create_infer_request=lambda: "request")

    assert openvino._compiled(Core(), "unet.xml", openvino._options("f32", 2)) == "request"
    assert [sorted(set(options) - {"PERFORMANCE_HINT", "NUM_STREAMS"}) for options in asked] == [
        ["INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT", "SNIPPETS_MODE"],
        ["INFERENCE_NUM_THREADS", "INFERENCE_PRECISION_HINT"],
    ]
    assert "SNIPPETS_MODE" not in openvino._options("bf16", 0)
    with pytest.raises(RuntimeError, match="another thing"):
        openvino._compiled(Core(), "unet.xml", {"SNIPPETS_MODE": "DISABLE"})


class OnACard:
    """The attributes of an engine on a card that `choose` reads."""

    device = torch.device("cuda")


def on_a_card(engine: Engine) -> Any:
    """The same engine, which claims to be on a card."""
    return SimpleNamespace(device=torch.device("cuda"), networks=engine.networks)


@pytest.mark.parametrize(
    ("name", "compiled_before", "now", "later"),
    [
        ("auto", True, ("compile", "cuda-graph", "eager"), "compile"),
        ("auto", False, ("compile", "cuda-graph", "eager"), ""),
        ("compile", True, ("compile", "cuda-graph"), "compile"),
        ("compile", False, ("compile", "cuda-graph"), "compile"),
        ("cuda-graph", True, ("cuda-graph",), ""),
        ("eager", True, ("eager",), ""),
    ],
)
def test_what_a_card_draws_with_first_and_what_is_swapped_in(
    name: str, compiled_before: bool, now: tuple[str, ...], later: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_compile, "is_prepared", lambda *_: compiled_before)
    engine: Any = OnACard()
    assert registry.fallback_order(name, "cuda") == now
    assert registry.preparable(name, BackendRequest(engine, SIZE, 81)) == later


def test_a_show_on_a_card_begins_with_what_is_there_soon(flow: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "fallback_order", lambda *_: ("compile", "cuda-graph", "eager"))
    monkeypatch.setattr(registry, "preparable", lambda *_: "compile")
    monkeypatch.setattr(registry, "is_available", lambda *_: (True, ""))
    loaded: list[tuple[str, bool]] = []

    def load(name: str, request: BackendRequest) -> EagerBackend:
        loaded.append((name, request.minimal_capture))
        return EagerBackend(flow)

    monkeypatch.setattr(registry, "load", load)
    request = BackendRequest(on_a_card(flow), SIZE, 32)
    assert choose("auto", request, fast_start=True).fallback_reason == "compile is on its way"
    assert loaded == [("cuda-graph", True)]  # captured briefly, and so made in half of the time
    assert choose("auto", request).fallback_reason == "" and loaded[1:] == [("compile", False)]
