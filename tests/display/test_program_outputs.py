"""Spout, Syphon and a virtual camera: the calls of their libraries. Spout and Syphon do not exist on Linux, so these
two use test doubles; the virtual camera uses the real library with a backend of the test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes.waiting import wait_until

from tpos_live.core.output_names import PROGRAMS, parse_output
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings
from tpos_live.display import program_output
from tpos_live.display.errors import DisplayError
from tpos_live.display.output import Output
from tpos_live.display.program_output import ProgramOutput
from tpos_live.display.program_senders import SENDERS
from tpos_live.runtime.outputs import ExtraOutputs

FRAME = np.random.default_rng(3).integers(0, 256, (32, 64, 3), dtype=np.uint8)


def sent(kind: str, address: str, keyed: bool = False) -> ProgramOutput:
    """An output that has sent FRAME and is closed."""
    output = ProgramOutput(kind, address, lambda: keyed)
    output.open((64, 32), 30.0)
    assert wait_until(lambda: output.receivers != 0 or output.error)
    output.send(FRAME, 0.0)
    assert wait_until(lambda: output.sent or output.error)
    output.close()
    return output


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a module of that name, and lets its kind run here."""

    def install(kind: str, **modules: SimpleNamespace) -> None:
        for name, content in modules.items():
            module = ModuleType(name := name.replace("__", "."))
            module.__spec__ = ModuleSpec(name, None)
            vars(module).update(vars(content))
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(SENDERS, kind, replace(SENDERS[kind], systems={}))

    return install


class FakeSpout:
    calls: list[tuple[Any, ...]]
    takes = True

    def __enter__(self) -> FakeSpout:
        FakeSpout.calls = []
        return self

    def __exit__(self, *exc: object) -> None:
        self.calls.append(("released",))

    def createOpenGL(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name, *args))

    def sendImage(self, pixels: np.ndarray, width: int, height: int, form: int, invert: bool, fbo: int) -> bool:
        self.calls.append(("sent", pixels.copy(), pixels.flags.c_contiguous, width, height, form, invert, fbo))
        return self.takes


def test_spout_gets_every_frame_with_its_alpha_and_is_released(double: Callable[..., None]) -> None:
    double("spout", SpoutGL=SimpleNamespace(SpoutSender=FakeSpout))
    output = sent("spout", "stage", keyed=True)
    assert output.error == "" and output.line == "spout:stage to 0" and output.sent == 1
    names = [call[0] for call in FakeSpout.calls]
    assert names == ["setSenderName", "sent", "setFrameSync", "closeOpenGL", "released"]
    _, pixels, contiguous, *rest = FakeSpout.calls[1]
    assert contiguous and rest == [64, 32, 0x1908, False, 0]
    assert np.array_equal(pixels[..., :3], FRAME) and pixels[..., 3].min() < 255


def test_closing_waits_for_no_frame(double: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    double("spout", SpoutGL=SimpleNamespace(SpoutSender=FakeSpout))
    monkeypatch.setattr(program_output, "_STOP_CHECK", 60.0)
    output = ProgramOutput("spout", "stage")
    output.open((64, 32), 30.0)
    output.close()
    thread = output._thread
    assert thread is not None and wait_until(lambda: not thread.is_alive())


def test_a_driver_that_shares_no_textures_is_one_line(
    double: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    double("spout", SpoutGL=SimpleNamespace(SpoutSender=FakeSpout))
    monkeypatch.setattr(FakeSpout, "takes", False)
    assert sent("spout", "stage").error == (
        "spout:stage: Spout took no frame; the graphics driver may not share textures"
    )


def test_syphon_publishes_a_texture_for_its_clients_and_stops(double: Callable[..., None]) -> None:
    calls: list[tuple[Any, ...]] = []

    class Server:
        device, has_clients = "card", True

        def __init__(self, name: str) -> None:
            calls.append(("server", name))

        def publish_frame_texture(self, texture: object) -> None:
            calls.append(("published", texture))

        def stop(self) -> None:
            calls.append(("stopped",))

    double(
        "syphon",
        syphon=SimpleNamespace(SyphonMetalServer=Server, __path__=[]),
        syphon__utils=SimpleNamespace(__path__=[]),
        syphon__utils__raw=SimpleNamespace(create_mtl_texture=lambda device, w, h: (device, w, h)),
        syphon__utils__numpy=SimpleNamespace(copy_image_to_mtl_texture=lambda im, to: calls.append(("copied", im, to))),
    )
    assert sent("syphon", "stage").error == ""
    assert [call[0] for call in calls] == ["server", "copied", "published", "stopped"]
    assert calls[1][2] == calls[2][1] == ("card", 64, 32) and np.array_equal(calls[1][1][..., :3], FRAME)
    assert (calls[1][1][..., 3] == 255).all()


class Loopback:
    """A backend of the real pyvirtualcam."""

    made: list[Loopback]

    def __init__(self, width: int, height: int, fps: float, fourcc: int, device: str | None, **options: object) -> None:
        if device == "/dev/video9":
            raise RuntimeError("/dev/video9 is no virtual camera")
        self.size, self.fps, self.name, self.frames, self.open = (width, height), fps, device, list[np.ndarray](), True
        Loopback.made.append(self)

    def close(self) -> None:
        self.open = False

    def send(self, frame: np.ndarray) -> None:
        self.frames.append(frame.copy())

    def device(self) -> str:
        return self.name or "first"

    def native_fourcc(self) -> None:
        return None


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Loopback]:
    if "NEEDS_CAMERA" not in os.environ:
        pytest.importorskip("pyvirtualcam")
    from pyvirtualcam import camera as library

    Loopback.made = []
    monkeypatch.setattr(library, "BACKENDS", {"loopback": Loopback})
    return Loopback


def test_a_virtual_camera_gets_the_frames(camera: type[Loopback]) -> None:
    assert sent("camera", "").line == "camera to 0"
    (made,) = camera.made
    assert (made.size, made.fps, made.name, made.open) == ((64, 32), 30.0, None, False)
    assert np.array_equal(made.frames[0].reshape(FRAME.shape), FRAME)
    assert sent("camera", "/dev/video2").error == "" and camera.made[1].name == "/dev/video2"


def test_a_camera_that_is_none_is_told_and_the_show_goes_on(camera: type[Loopback], messages: list[str]) -> None:
    extra, outputs = ExtraOutputs(OutputSettings(to=["camera:/dev/video9"]), ParameterStore().snapshot), list[Output]()
    extra.update(0.0, (64, 32), outputs)
    assert wait_until(lambda: outputs[0].error)
    extra.update(0.1, (64, 32), outputs)
    assert outputs == [] and extra.line == "camera:/dev/video9 failed"
    assert messages == [
        "camera:/dev/video9: /dev/video9 is no virtual camera, or another program uses it; it needs v4l2loopback "
        "(Linux), OBS or Unity Capture; the show goes on, and it is tried again"
    ]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("spout", "spout:stage: Spout is for Windows; take ndi:NAME here"),
        ("syphon", "syphon:stage: Syphon is for macOS; take ndi:NAME here"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is there on one of the other systems")
def test_another_system_s_way_is_refused_with_what_works_here(kind: str, said: str) -> None:
    with pytest.raises(DisplayError, match=said):
        ProgramOutput(kind, "stage").open((64, 32), 30.0)


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SENDERS, "camera", replace(SENDERS["camera"], library="no_such_library"))
    assert ProgramOutput("camera", "").is_available() == 'this needs no_such_library: pip install "tpos-live[camera]"'


def test_names_are_read() -> None:
    assert set(PROGRAMS) == set(SENDERS)
    read = {text: parse_output(text) for text in ("spout:The stage", "SYPHON: a ", "camera", "Camera:/dev/video2")}
    assert [(spec.kind, spec.address, spec.name) for (spec,) in read.values()] == [
        ("spout", "The stage", "spout:The stage"),
        ("syphon", "a", "syphon:a"),
        ("camera", "", "camera"),
        ("camera", "/dev/video2", "camera:/dev/video2"),
    ]
    assert [spec.name for spec in parse_output("spout:wall tile=2x1")] == ["spout:wall 1", "spout:wall 2"]
    for bad in ("spout:", "syphon: ", "cameras", "camera tile=2x1"):
        with pytest.raises(ValueError, match=r"spout:NAME|whose parts have names"):
            parse_output(bad)
