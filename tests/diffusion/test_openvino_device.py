"""Which device OpenVINO runs on. Only a CPU is here: GPU and NPU are names in lists; AUTO and HETERO are real."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes.forked_python import forked_python

from tpos_live.core.setting_values import parse_openvino_device
from tpos_live.diffusion.backends import cache as caches
from tpos_live.diffusion.backends import openvino, openvino_device
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.backends.openvino_device import (
    RETRY,
    Choice,
    Result,
    choose_device,
    is_present,
    keep_result,
    list_devices,
    measure,
    unmeasured,
)
from tpos_live.diffusion.backends.parity import MIN_PSNR
from tpos_live.diffusion.backends.registry import choose, prepare_better
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine

SIZE = (64, 64)
BOTH = {"CPU": "a CPU", "GPU.0": "a GPU", "GPU.1": "another GPU"}


@pytest.mark.parametrize(
    ("text", "device"),
    [("AUTO", "auto"), ("gpu", "GPU"), ("gpu.1", "GPU.1"), ("npu", "NPU"), ("hetero:gpu,cpu", "HETERO:GPU,CPU")],
)
def test_a_device_is_named_as_openvino_does(text: str, device: str) -> None:
    assert parse_openvino_device(text) == device


@pytest.mark.parametrize("text", ["", "cuda", "GPU.x", "HETERO:", "AUTO:GPU,", "GPU,CPU"])
def test_another_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HETERO:GPU,CPU"):
        parse_openvino_device(text)


def test_which_devices_are_there() -> None:
    assert is_present("GPU", BOTH) and is_present("GPU.1", BOTH) and is_present("HETERO:GPU,CPU", BOTH)
    assert not any(is_present(name, BOTH) for name in ("NPU", "GPU.2", "AUTO:NPU,CPU"))


def test_a_cpu_alone_is_not_measured(tmp_path: Path) -> None:
    cpu = {"CPU": "a CPU"}
    assert unmeasured("auto", cpu, tmp_path) == unmeasured("CPU", BOTH, tmp_path) == ()
    assert choose_device("auto", cpu, tmp_path) == choose_device("CPU", BOTH, tmp_path) == Choice()
    assert unmeasured("NPU", cpu, tmp_path) == ()
    assert choose_device("NPU", cpu, tmp_path).reason == "OpenVINO finds no NPU here, only CPU; it runs on the CPU"


def test_auto_takes_the_fastest_that_was_measured(tmp_path: Path) -> None:
    assert unmeasured("auto", BOTH, tmp_path) == ("CPU", "GPU.0", "GPU.1")
    keep_result(tmp_path, BOTH, "CPU", Result(30.0, "bf16", 40.0))
    keep_result(tmp_path, BOTH, "GPU.0", Result(20.0, "f16", 45.0))
    assert unmeasured("auto", BOTH, tmp_path) == ("GPU.1",)
    keep_result(tmp_path, BOTH, "GPU.1", Result(5.0, reason="draws another picture", at=100.0))
    assert unmeasured("auto", BOTH, tmp_path, lambda: 200.0) == ()
    assert choose_device("auto", BOTH, tmp_path) == Choice("GPU.0", "f16")
    keep_result(tmp_path, BOTH, "CPU", Result(10.0, "bf16", 40.0))
    assert choose_device("auto", BOTH, tmp_path) == Choice()


def test_a_device_that_failed_is_named_and_tried_again_later(tmp_path: Path) -> None:
    keep_result(tmp_path, BOTH, "GPU", Result(reason="no driver", at=100.0))
    assert unmeasured("GPU", BOTH, tmp_path, lambda: 101.0) == ()
    assert choose_device("GPU", BOTH, tmp_path).reason == "OpenVINO cannot use GPU (no driver); it runs on the CPU"
    for now in (101.0 + RETRY, 99.0):
        assert unmeasured("GPU", BOTH, tmp_path, lambda now=now: now) == ("GPU",)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"devices": 1, "results": []}', '{"devices": {}, "results": {"CPU": 1}}']
)
def test_damaged_results_are_measured_again(tmp_path: Path, text: str) -> None:
    (tmp_path / openvino_device.FILE).write_text(text)
    assert unmeasured("auto", BOTH, tmp_path) == ("CPU", "GPU.0", "GPU.1")


def test_another_list_of_devices_is_measured_again(tmp_path: Path) -> None:
    keep_result(tmp_path, BOTH, "GPU.0", Result(20.0, "f16", 45.0))
    with_npu = BOTH | {"NPU": "an NPU"}
    assert unmeasured("auto", with_npu, tmp_path) == ("CPU", "GPU.0", "GPU.1", "NPU")
    assert choose_device("auto", with_npu, tmp_path) == Choice()


class Coarse(EagerBackend):
    """A backend whose pixels are rounded to `step`: parity depends on it."""

    def __init__(self, engine: Engine, step: int) -> None:
        super().__init__(engine)
        self._step = step

    def decode(self, latent: torch.Tensor, out: np.ndarray) -> None:
        super().decode(latent, out)
        np.copyto(out, out // self._step * self._step)


def test_a_precision_is_used_only_with_parity(flow: Engine) -> None:
    request, steps = BackendRequest(flow, SIZE, 32), {"f16": 64, "f32": 1}
    found = measure("GPU", lambda precision: Coarse(flow, steps[precision]), EagerBackend(flow), request)
    assert found.precision == "f32" and found.parity_db >= MIN_PSNR and found.ms > 0 and not found.reason
    assert 0 <= time.time() - found.at < 60
    found = measure("GPU", lambda precision: Coarse(flow, 64), EagerBackend(flow), request)
    assert found.reason.count("another frame than eager") == 2 and "\n" not in found.reason

    def fail(precision: str) -> EagerBackend:
        raise RuntimeError("no driver\nand a long story")

    assert measure("GPU", fail, EagerBackend(flow), request).reason == "no driver"


@pytest.fixture(scope="module")
def fresh(flow_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Path]:
    """An engine in single precision (eager changes it to bfloat16), and its conversion."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("needs the extra tpos-live[openvino]")
    engine, work = load_engine(flow_folder, "cpu"), tmp_path_factory.mktemp("converted")
    openvino.convert(BackendRequest(engine, SIZE, 32), work)
    return engine, work


@pytest.fixture
def converted(
    fresh: tuple[Engine, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], BackendRequest]:
    """Requests for devices, of an engine that is converted."""
    monkeypatch.setattr(caches, "cache_dir", lambda: tmp_path)
    engine, work = fresh
    shutil.copytree(work, openvino.folder(BackendRequest(engine, SIZE, 32)), ignore=shutil.ignore_patterns("compiled"))
    return lambda device: BackendRequest(engine, SIZE, 32, openvino_device=device)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_plugins_are_measured_once_and_used(
    converted: Callable[[str], BackendRequest], messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = converted("HETERO:CPU")
    chosen = choose("openvino", request)
    assert chosen.name == "eager" and "not measured yet" in chosen.fallback_reason
    with forked_python() as python, monkeypatch.context() as patch:
        patch.setattr(openvino.sys, "executable", python)
        assert prepare_better("openvino", request).name == "openvino on HETERO:CPU"  # type: ignore[union-attr]

    def no_child(*_: Any, **__: Any) -> None:
        raise AssertionError("it was measured before")

    monkeypatch.setattr(caches, "run_module", no_child)
    assert prepare_better("openvino", request).name == "openvino on HETERO:CPU"  # type: ignore[union-attr]
    made = choose("openvino", request)
    assert made.fallback_reason == "" and made.prepare_batch_size(2, wait=True) == ""
    # Nothing to choose: the CPU alone, without a measurement.
    assert choose("auto", converted("auto")).name == "openvino"
    # What is not there is one line, and the CPU is used.
    messages.clear()
    made = choose("openvino", converted("NPU"))
    assert made.name == "openvino" and "finds no NPU here" in made.fallback_reason
    assert messages == [made.fallback_reason]


def test_a_device_that_stops_working_falls_back_to_the_cpu(
    converted: Callable[[str], BackendRequest], messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO's own error of its GPU plugin, which finds no GPU."""
    request, both = converted("GPU"), {"CPU": "a CPU", "GPU": "a GPU"}
    if "GPU" in list_devices(openvino._core()):
        pytest.skip("this machine has a GPU that OpenVINO can use")
    monkeypatch.setattr(openvino, "list_devices", lambda core: both)
    keep_result(openvino.folder(request), both, "GPU", Result(1.0, "f16", 50.0))
    made = choose("openvino", request)
    assert made.name == "openvino" and made.fallback_reason.startswith("OpenVINO cannot use GPU (")
    assert messages == [made.fallback_reason] and "\n" not in messages[0]


def test_a_driver_that_crashes_is_one_line(
    converted: Callable[[str], BackendRequest], messages: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request, both = converted("GPU"), {"CPU": "a CPU", "GPU": "a GPU"}
    monkeypatch.setattr(openvino, "list_devices", lambda core: both)
    crashing = tmp_path / "crashing"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o700)
    monkeypatch.setattr(openvino.sys, "executable", str(crashing))
    made = prepare_better("openvino", request)
    assert made is not None and made.name == "openvino"
    assert made.fallback_reason == messages[-1] == "OpenVINO cannot use GPU (ended by signal 11); it runs on the CPU"
