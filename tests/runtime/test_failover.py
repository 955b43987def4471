"""Failures in the middle of a show: the last frame stays, and a smaller size or a safer backend continues."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.failover import RETRIES, FailureKind, Fallback, choose_fallback, classify_failure, smaller_size
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.runtime.render_thread import RenderThread

LOST = "CUDA error: an illegal memory access was encountered\nand a long story"
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError(FULL), FailureKind.MEMORY),
        (RuntimeError("CUDA error: out of memory"), FailureKind.MEMORY),
        (MemoryError(), FailureKind.MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), FailureKind.MEMORY),
        (RuntimeError(LOST), FailureKind.LOST),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), FailureKind.LOST),
        (RuntimeError("The size of tensor a (4) must match"), FailureKind.OTHER),
        (ValueError(), FailureKind.OTHER),
    ],
)
def test_kinds_of_failure(error: Exception, kind: FailureKind) -> None:
    assert classify_failure(error) is kind


def test_each_step_loses_as_little_as_it_can() -> None:
    assert choose_fallback(FailureKind.LOST, 1, True, "tensorrt", False) is Fallback.BUILT_IN
    assert choose_fallback(FailureKind.MEMORY, 1, True, "tensorrt", False) is Fallback.SMALLER
    assert choose_fallback(FailureKind.MEMORY, 1, False, "tensorrt", False) is Fallback.EAGER
    assert choose_fallback(FailureKind.MEMORY, 1, False, "eager", False) is Fallback.BUILT_IN
    assert choose_fallback(FailureKind.OTHER, 1, True, "tensorrt", False) is Fallback.HOLD
    assert choose_fallback(FailureKind.OTHER, RETRIES, True, "tensorrt", False) is Fallback.EAGER
    assert choose_fallback(FailureKind.OTHER, RETRIES, True, "eager", False) is Fallback.BUILT_IN
    for kind in FailureKind:  # below the built-in engine there is nothing: it tries again for ever
        assert choose_fallback(kind, 10 * RETRIES, False, "eager", True) is Fallback.HOLD


def test_sizes_shrink_to_an_end() -> None:
    sizes, size = [], (512, 512)
    while (smaller := smaller_size(size, 64)) is not None:
        assert smaller[0] < size[0] and smaller[0] % 64 == 0
        sizes.append(size := smaller)
    assert sizes == [(384, 384), (256, 256)]
    assert smaller_size((64, 64), 64) is None
    assert smaller_size((1024, 576), 64) == (768, 384)


class Show:
    """A pipeline with a small engine and a small built-in engine, and its render thread."""

    def __init__(
        self, engine: Path, box: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], size: str = "128"
    ) -> None:
        """lines: of the messages so far, shown where no frame comes."""
        shutil.copytree(box, box.parent / "ember", dirs_exist_ok=True)
        monkeypatch.setattr("tpos_live.diffusion.hub.resolve._engines", lambda: box.parent)
        settings = load_settings(
            {"engine.name": str(engine), "engine.size": size, "engine.accelerator": "eager", "engine.threads": 1}
        )
        self.pipeline = Pipeline(settings, live=False)
        self.frame_params: Mailbox[FrameParams] = Mailbox()
        self.frames: Mailbox[Frame] = Mailbox()
        self.lines = lines

    def thread(self) -> RenderThread:
        embeddings: Mailbox[AudioEmbedding] = Mailbox()
        pipeline = self.pipeline
        return RenderThread(
            pipeline.generator, pipeline.builder, self.frame_params, embeddings, ParameterStore(), self.frames,
            fail_over=pipeline.fail_over,
        )  # fmt: skip

    def until_drawn(self, thread: RenderThread, count: int) -> Frame:
        deadline = time.monotonic() + 60
        while thread.drawn < count:
            assert time.monotonic() < deadline, (self.lines, thread.error)
            self.frame_params.put(FrameParams(time=time.monotonic()))
            time.sleep(0.002)
        frame = self.frames.latest()
        assert frame is not None
        return frame


@pytest.fixture
def box(flow_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_folder, tmp_path / "box"))


def test_a_card_lost_mid_show(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    show = Show(turbo_folder, box, monkeypatch, messages)
    with show.pipeline as pipeline, show.thread() as thread:
        frame = show.until_drawn(thread, 2)
        assert pipeline.engine.name == "turbo" or pipeline.engine.token_dim == 32
        held = frame.pixels.copy()

        def lost(*_: object) -> None:
            raise RuntimeError(LOST)

        broken = pipeline.generator.backend
        broken.predict = lost  # type: ignore[method-assign, assignment]
        drawn = thread.drawn
        after = show.until_drawn(thread, drawn + 3)
        assert np.array_equal(held, frame.pixels), "the last picture was written over"
        assert pipeline.engine.name == "Tiny flow" and pipeline.engine.device.type == "cpu"
        assert after.pixels.shape == (64, 64, 3) and after.pixels.std() > 0
        assert any("illegal memory access" in line and "Ember goes on" in line for line in messages)
        assert not any("\n" in line for line in messages)
        assert "illegal memory access" in pipeline.generator.backend.fallback_reason
        thread.swap(broken)  # a faster backend of the failed engine comes too late
        show.until_drawn(thread, thread.drawn + 2)
        assert thread.error == ""


def test_an_engine_that_fails_at_its_first_frame_gives_way_at_once(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str], tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(turbo_folder, tmp_path / "damaged"))
    config = damaged / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "upsample_fn": 3}))
    show = Show(damaged, box, monkeypatch, messages)
    with show.pipeline as pipeline, show.thread() as thread:
        assert show.until_drawn(thread, 1).pixels.std() > 0
        assert pipeline.engine.name == "Tiny flow" and thread.failed == 1
        assert any("damaged: cannot draw" in line for line in messages)
        assert not any("\n" in line for line in messages)


def test_memory_runs_out_mid_show(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr("tpos_live.runtime.failover.LEAST_SIDE", 64)
    show = Show(turbo_folder, box, monkeypatch, messages, size="192")
    with show.pipeline as pipeline, show.thread() as thread:
        assert show.until_drawn(thread, 1).pixels.shape == (192, 192, 3)

        def full(*_: object) -> None:
            raise torch.OutOfMemoryError(FULL)

        pipeline.generator.backend.decode = full  # type: ignore[method-assign]
        frame = show.until_drawn(thread, thread.drawn + 2)
        assert frame.pixels.shape == (128, 128, 3) and pipeline.engine.token_dim == 32
        assert any("out of memory" in line and "128x128" in line for line in messages)


@pytest.mark.own_process
@pytest.mark.skipif(sys.platform != "linux", reason="a limit of a process's memory")
def test_memory_of_the_processor_really_runs_out(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """The system refuses memory to PyTorch: 8 kB a pixel, which is too much for 192x192 and fits for 128x128."""
    import resource

    monkeypatch.setattr("tpos_live.runtime.failover.LEAST_SIDE", 64)
    show = Show(turbo_folder, box, monkeypatch, messages, size="192")
    with show.pipeline as pipeline, show.thread() as thread:
        held = show.until_drawn(thread, 2).pixels.copy()
        assert held.shape == (192, 192, 3)
        kind, wanted = type(pipeline.generator.backend), list[int]()
        decode = kind.decode

        def hungry(backend: Any, latent: torch.Tensor, *more: Any) -> Any:
            wanted.append(latent.shape[-1])
            torch.empty(latent.shape[-2] * latent.shape[-1] * 64 * 8192, dtype=torch.uint8)
            return decode(backend, latent, *more)

        monkeypatch.setattr(kind, "decode", hungry)
        in_use = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (in_use + (200 << 20), resource.RLIM_INFINITY))
        frame = show.until_drawn(thread, thread.drawn + 3)
        assert frame.pixels.shape == (128, 128, 3) and frame.pixels.std() > 0 and pipeline.engine.token_dim == 32
        assert len(set(wanted)) == 2 and thread.error == ""
        (line,) = [line for line in messages if "128x128" in line]
        assert "can't allocate memory: you tried to allocate 301989888 byte" in line


def test_a_failover_that_fails_is_tried_again(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    show = Show(turbo_folder, box, monkeypatch, messages)
    with show.pipeline as pipeline, show.thread() as thread:
        good, calls = pipeline.generator.backend.predict, []

        def flaky(*inputs: torch.Tensor) -> torch.Tensor:
            calls.append(1)
            if len(calls) < 3:
                raise RuntimeError(LOST)
            return good(*inputs)

        def useless(error: Exception, failures: int) -> None:
            raise OSError("no engine in the box")

        pipeline.generator.backend.predict = flaky  # type: ignore[method-assign, assignment]
        thread._fail_over = useless  # type: ignore[assignment]
        show.until_drawn(thread, 1)
        assert thread.failed == 2 and any("no engine in the box" in line for line in messages)


def test_an_engine_that_does_not_fit_starts_as_ember(
    turbo_folder: Path, box: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    import tpos_live.runtime.pipeline as module

    show, real = Show(turbo_folder, box, monkeypatch, messages), module.load_engine

    def load(path: Path, **how: Any) -> object:
        if path == turbo_folder:
            raise torch.OutOfMemoryError(FULL)
        return real(path, **how)

    monkeypatch.setattr(module, "load_engine", load)
    with show.pipeline as pipeline:
        assert pipeline.engine.name == "Tiny flow" and "does not fit" in pipeline.message
