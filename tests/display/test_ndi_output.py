"""NDI frames reach another process, every one and in order, with and without transparency."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes.clips import numbered
from fakes.ndi_loopback import find_on_loopback
from fakes.waiting import wait_until

from tpos_live.core.output_view import OutputView
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings
from tpos_live.display.errors import DisplayError
from tpos_live.display.output import Output
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.program_output import BRIGHT, DARK, ProgramOutput, with_alpha
from tpos_live.display.stream_output import StreamOutput
from tpos_live.runtime.outputs import PAUSES, ExtraOutputs

RECEIVER = Path(__file__).parent.parent / "fakes" / "ndi_receiver.py"


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_on_loopback(tmp_path, monkeypatch)


def receive(name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(RECEIVER), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.own_process
@pytest.mark.parametrize("keyed", [False, True])
def test_every_frame_arrives_in_order(loopback: None, keyed: bool) -> None:
    view = OutputView((0.0, 0.5, 1.0, 1.0), corners=((0.0, 0.0), (0.0, 0.0), (-0.05, 0.0), (0.0, 0.0)))
    lower = OutputTransform("a", ParameterStore().snapshot, view=view)
    lower(numbered(0))  # PyTorch is imported, as in a show
    output = ProgramOutput("ndi", f"frames {keyed}", lambda: keyed, lower if keyed else None)
    assert output.is_available() == ""
    output.open((128, 64), 15.0)
    assert not output.wants(time.perf_counter())  # nothing is read back from the GPU for nobody
    receiver = receive(f"frames {keyed}", 40)
    assert wait_until(lambda: output.receivers == 1)
    number = 0
    while receiver.poll() is None and number < 200:
        if output.wants(time.perf_counter()):
            output.send(numbered(number), time.perf_counter())
            number += 1
            assert wait_until(lambda sent=number: output.sent == sent)
        time.sleep(0.002)
    found = json.loads(receiver.communicate(timeout=30)[0])
    output.close()
    first = found["numbers"][0]
    assert found["numbers"] == list(range(first, first + 40)) and first < 10
    assert (
        found["dropped"] == 0
        and found["size"] == [128, 32 if keyed else 64]
        and output.error == ""
        and output.dropped == 0
    )
    assert found["alpha"] == [255] if not keyed else found["alpha"][0] < 120 and found["alpha"][-1] > 240


@pytest.mark.own_process
def test_a_receiver_that_goes_and_comes_back_is_served(loopback: None) -> None:
    output = ProgramOutput("ndi", "comes back")
    output.open((64, 32), 60.0)
    for _ in range(2):
        receiver = receive("comes back", 10_000)
        assert wait_until(lambda: output.receivers == 1)
        before = output.sent
        for number in range(20):
            output.send(numbered(number, 64, 32), 0.0)
            time.sleep(0.01)
        assert wait_until(lambda before=before: output.sent > before)
        receiver.kill()
        receiver.wait()
        assert wait_until(lambda: output.receivers == 0)
    output.send(numbered(1, 96, 48), 0.0)  # of another size: it is fitted in
    assert wait_until(lambda: output._frames.latest() is not None)
    output.close()
    assert output.error == ""


def test_transparency_follows_the_luminance() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0] = [[0, 0, 0], [255, 255, 255], [round(255 * (DARK + BRIGHT) / 2)] * 3]
    opaque, keyed = with_alpha(pixels, False), with_alpha(pixels, True)
    assert (opaque[..., 3] == 255).all() and np.array_equal(opaque[..., :3], pixels)
    assert keyed[0, 0, 3] == 0 and keyed[0, 1, 3] == 255 and abs(int(keyed[0, 2, 3]) - 127) < 4
    assert np.array_equal(keyed[..., :3], pixels)


@pytest.mark.parametrize(
    ("text", "kind", "pauses"),
    [("ndi:stage", ProgramOutput, PAUSES), ("rtmp://host/live/key", StreamOutput, PAUSES[:1])],
)
def test_an_output_that_cannot_run_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, messages: list[str], text: str, kind: type, pauses: tuple[float, ...]
) -> None:
    tries: list[float] = []

    def refuse(self: object, size: tuple[int, int], fps: float) -> None:
        tries.append(now)
        raise DisplayError("no library")

    monkeypatch.setattr(kind, "open", refuse)
    extra, outputs = ExtraOutputs(OutputSettings(to=[text]), ParameterStore().snapshot), list[Output]()
    extra.update(0.0, (0, 0), outputs)
    assert not tries  # there are no frames yet
    for now in np.arange(0.0, 40.0, 0.1):
        extra.update(now, (64, 32), outputs)
    waits, each = np.diff(tries), len(pauses)
    assert np.allclose(waits[:each], pauses, atol=0.11) and np.allclose(waits[each:], pauses[-1], atol=0.11)
    assert messages == ["no library; the show goes on, and it is tried again"] and extra.line.endswith(" failed")


def test_an_output_that_fails_leaves_the_show_and_comes_back_each_time(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    opened: list[ProgramOutput] = []
    monkeypatch.setattr(ProgramOutput, "open", lambda self, size, fps: opened.append(self))
    extra, outputs = ExtraOutputs(OutputSettings(to=["ndi:a", "ndi:b"]), ParameterStore().snapshot), list[Output]()
    extra.update(0.0, (64, 32), outputs)
    assert len(outputs) == 2 and extra.line == "ndi:a to 0 · ndi:b to 0"
    now = 1.0
    for failures in range(1, 21):  # an hour apart
        next(output for output in reversed(opened) if output.name == "ndi:a").error = "ndi:a: the runtime gave up"
        extra.update(now, (64, 32), outputs)
        assert [output.name for output in outputs] == ["ndi:b"] and extra.line == "ndi:a failed · ndi:b to 0"
        extra.update(now + 1.1, (64, 32), outputs)
        assert len(outputs) == 2 and len(opened) == 2 + failures
        now += 3600.0
        extra.update(now, (64, 32), outputs)
        assert len(messages) == 2 * failures and messages[-1] == "ndi:a: works again"
    extra.close(outputs)
    assert outputs == []


def test_an_output_that_fails_at_once_each_time_is_told_once(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    opened: list[float] = []

    def fail(self: ProgramOutput, size: tuple[int, int], fps: float) -> None:
        opened.append(now)
        self.error = "ndi:a: no network"

    monkeypatch.setattr(ProgramOutput, "open", fail)
    extra, outputs = ExtraOutputs(OutputSettings(to=["ndi:a"]), ParameterStore().snapshot), list[Output]()
    for step in range(600):
        now = step / 10
        extra.update(now, (64, 32), outputs)
    assert len(messages) == 1 and 8 <= len(opened) <= 11
