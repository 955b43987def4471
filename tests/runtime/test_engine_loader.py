"""The engine loads while the show runs; errors are logged, and leaving never waits for the engine."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fakes.messages import heard_messages
from fakes.waiting import wait_until
from safetensors.torch import save_file

from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.errors import EngineError
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.model.backend import Backend
from tpos_live.runtime import engine_loader
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.engine_loader import EngineLoader
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.runtime.status_registry import StatusRegistry

SIZE = (64, 64)


def settings_of(folder: Path, **more: object) -> Settings:
    chosen = {"engine.name": str(folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1}
    return load_settings(chosen | more)


class Session:
    """The loader with the parts that it is connected to."""

    def __init__(self, settings: Settings) -> None:
        self.store = ParameterStore()
        self.status_registry = StatusRegistry(self.store)
        self.frames: Mailbox[Frame] = Mailbox()
        self.audio_processor = AudioProcessor(RuleBasedEncoder())
        self.loader = EngineLoader(
            settings, self.audio_processor, self.store, self.frames, self.status_registry
        )  # fmt: skip

    def wait(self, true: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for a condition, with silent sound."""
        end, moment = time.monotonic() + seconds, 0.0
        while not true():
            assert time.monotonic() < end, (self.status_registry.status(), self.loader.error)
            moment += 0.01
            self.audio_processor.frame_params.put(FrameParams(time=moment))
            time.sleep(0.01)


def test_an_engine_is_loaded_and_generates(turbo_folder: Path) -> None:
    session = Session(settings_of(turbo_folder))
    loader = session.loader
    assert loader.renderer is None and loader.fps() == 0.0 and not loader.alive
    with loader:
        session.wait(loader.ready.is_set)
        session.wait(lambda: session.frames.latest() is not None)
        status = session.status_registry.status()
        assert (status.state, status.backend, status.size) == ("running", "eager", SIZE)
        assert status.engine == loader.pipeline.engine.name if loader.pipeline else False
        session.wait(lambda: loader.fps() > 0 and loader.busy() > 0)
        session.wait(lambda: not loader.alive)
        left_out, searched = gc.get_freeze_count(), len(gc.get_objects())
        assert gc.isenabled() and left_out > 10 * searched, "a search in the show would look at all that was loaded"
    assert gc.get_freeze_count() == 0
    assert loader.error is None and loader.renderer is not None
    session.wait(lambda: not any(thread.name == "render" for thread in threading.enumerate()))


def test_an_engine_that_is_not_there_is_an_error_for_the_session(tmp_path: Path) -> None:
    with Session(settings_of(tmp_path / "engine")).loader as loader:
        end = time.monotonic() + 30
        while loader.alive and time.monotonic() < end:
            time.sleep(0.01)
        assert isinstance(loader.error, EngineError) and "\n" not in str(loader.error)
        assert str(tmp_path / "engine") in str(loader.error) and loader.renderer is None and not loader.ready.is_set()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ("cut", "damaged weights"),
        ("pickle", "which can run code"),
        ("lora", "made for Stable Diffusion XL; choose a LoRA for this engine"),
        ("file", "cut.safetensors: damaged or cut off"),
    ],
)
def test_a_live_show_goes_on_with_the_engine_in_the_box(
    turbo_folder: Path, flow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str, word: str
) -> None:
    """If the chosen engine exists but cannot be used: a line with the remedy, in the log and in the status."""
    shutil.copytree(flow_folder, tmp_path / "box" / "ember")
    monkeypatch.setattr("tpos_live.diffusion.hub.resolve._engines", lambda: tmp_path / "box")
    monkeypatch.setattr(Pipeline, "improve", lambda _pipeline: None)
    folder = Path(shutil.copytree(turbo_folder, tmp_path / "engine"))
    weights = next((folder / "unet").glob("*.safetensors"))
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "pickle":
        weights.rename(weights.with_suffix(".bin"))
    elif damage == "lora":
        key = "lora_unet_down_blocks_9_attentions_0_transformer_blocks_0_attn2_to_k"
        save_file({f"{key}.lora_down.weight": torch.ones(1, 2048)}, folder / "x.safetensors")
        (folder / "tpos_live.json").write_text(json.dumps({"loras": [{"file": "x.safetensors"}]}))
    else:
        folder = tmp_path / "cut.safetensors"
        folder.write_bytes(weights.read_bytes()[:-100])
    session = Session(settings_of(folder))
    with heard_messages() as heard, session.loader as loader:
        session.wait(lambda: session.frames.latest() is not None)
        status = session.status_registry.status()
        assert loader.error is None and status.state == "running" and status.engine == "Tiny flow"
        assert word in status.fallback_reason and "\n" not in status.fallback_reason
    assert sum(word in line for line in heard) == 1 and heard[0].startswith("engine: Ember on the CPU (")


@pytest.mark.parametrize("name", ["cut.safetensors", "engine"])
def test_a_render_does_not_go_on_with_another_engine(turbo_folder: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(turbo_folder, tmp_path / "engine"))
    weights = next((folder / "unet").glob("*.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:-100])
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EngineError, match="damaged"), Pipeline(settings_of(tmp_path / name), live=False):
        pass


def test_texts_that_cannot_be_read_end_a_render_in_one_line(
    turbo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 cannot be multiplied\nand a long story")

    monkeypatch.setattr("tpos_live.diffusion.model.text_encoders.Texts.encode", fail)
    quick = Pipeline(settings_of(turbo_folder), live=False, encoder=RuleBasedEncoder())
    with pytest.raises(EngineError, match=r"mat1 .*; fetch or install") as found, quick as pipeline:
        pipeline.draw(FrameParams(), None, ParameterStore({"prompt": "sea"}).snapshot(), now=0.0)
    assert "\n" not in str(found.value) and str(turbo_folder) in str(found.value)


def test_leaving_does_not_wait_for_an_engine_that_is_loading(
    turbo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, loads = Pipeline.__enter__, threading.Event()

    def slow(pipeline: Pipeline) -> Pipeline:
        assert loads.wait(20), "leaving waits"
        return entered(pipeline)

    monkeypatch.setattr(Pipeline, "__enter__", slow)
    session = Session(settings_of(turbo_folder))
    with session.loader as loader:
        assert loader.alive and not loader.ready.is_set()
    assert loader.alive, "it is loading still"
    loads.set()
    assert wait_until(lambda: not loader.alive, 30.0)
    assert loader.renderer is None and session.frames.latest() is None, "nothing begins after the session has ended"
    assert gc.get_freeze_count() == 0, "what was loaded is closed"


def test_the_status_names_the_backend_that_draws(turbo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that was ready, but abandoned before its first frame, as by a failover at that moment."""
    from tpos_live.diffusion.backends.eager import EagerBackend
    from tpos_live.runtime.pipeline import Pipeline
    from tpos_live.runtime.render_thread import RenderThread

    class Faster(EagerBackend):
        name = "faster"

    def swap(thread: RenderThread, backend: Backend) -> bool:
        return True  # it has failed since

    monkeypatch.setattr(Pipeline, "improve", lambda pipeline: Faster(pipeline.engine))
    monkeypatch.setattr(RenderThread, "swap", swap)
    session = Session(settings_of(turbo_folder))
    with session.loader as loader:
        session.wait(lambda: loader.ready.is_set() and not loader.alive)
        assert session.status_registry.status().backend == "eager"
        monkeypatch.undo()
        assert loader.renderer is not None and loader.pipeline is not None
        assert loader.renderer.swap(Faster(loader.pipeline.engine))
        session.wait(lambda: session.status_registry.status().backend == "faster")


def test_a_backend_that_cannot_be_prepared_leaves_the_one_that_runs(
    turbo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """The folder of the cache is a file: the session goes on with eager, and says why."""
    pytest.importorskip("openvino")
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("TPOS_LIVE_CACHE", str(tmp_path / "cache"))
    session = Session(settings_of(turbo_folder, **{"engine.accelerator": "openvino"}))
    with session.loader as loader:
        session.wait(lambda: loader.ready.is_set() and not loader.alive)
        status = session.status_registry.status()
        assert loader.error is None and status.backend == "eager"
        assert "TPOS_LIVE_CACHE" in status.fallback_reason
        assert len([line for line in messages if "TPOS_LIVE_CACHE" in line]) == 1
        renderer = loader.renderer
        assert renderer is not None
        drawn = renderer.drawn
        session.wait(lambda: renderer.drawn > drawn)


@pytest.mark.parametrize("mode", ["frames", "keyframes"])
def test_keyframes_are_offered_where_frames_take_long(
    turbo_folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """Once, by the measured time, and not if they are on."""
    monkeypatch.setattr(engine_loader, "SLOW", 1e-6)
    session = Session(settings_of(turbo_folder, **{"engine.accelerator": "eager"}))
    session.store.update({"engine.mode": mode})
    with session.loader as loader:
        session.wait(lambda: session.frames.latest() is not None and not loader.alive)
    offers = [line for line in messages if "--mode keyframes" in line]
    assert len(offers) == (mode == "frames") and all("s a frame on this computer" in line for line in offers)
