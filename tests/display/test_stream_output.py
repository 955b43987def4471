"""Streams reach another process with image and sound in sync, and connect again when the receiver is back."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes.ports import free_port
from fakes.waiting import wait_until
from images import flat
from test_video import frames_of, sound_of

from tpos_live.audio.source import Chunk
from tpos_live.core.output_names import OutputSpec, masked, parse_output
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import OutputSettings
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.settings_loader import load_settings
from tpos_live.display.av_writer import AvWriter
from tpos_live.display.disk_watch import DiskUsage
from tpos_live.display.encoded_output import EncodedOutput
from tpos_live.display.output import Output
from tpos_live.display.stream_output import StreamOutput
from tpos_live.display.stream_writer import StreamWriter
from tpos_live.display.video import _File
from tpos_live.runtime import outputs
from tpos_live.runtime.outputs import ExtraOutputs

pytestmark = pytest.mark.real_time

RECEIVER = Path(__file__).parent.parent / "fakes" / "stream_receiver.py"
SIZE = (160, 90)
KEY = "live_secret_42"


def receive(url: str, seconds: float = 3.0) -> subprocess.Popen[str]:
    """A receiver that is about to listen."""
    command = [sys.executable, str(RECEIVER), url, str(seconds)]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    return receiver


class LiveFeed:
    """A show of 60 refreshes and 100 blocks of sound a second; once a second a flash with a click.

    It goes by a clock of its own, which is no faster than a real one, and waits for encoders that are late: how busy
    the machine is changes nothing of what is sent.
    """

    def __init__(self, *names: str, usage: DiskUsage = shutil.disk_usage) -> None:
        self.extra = ExtraOutputs(OutputSettings(to=list(names)), ParameterStore().snapshot, usage=usage)
        self.outputs: list[Output] = []
        self.now = 0.0
        self._refreshes = self._blocks = 0

    def run(self, until: Callable[[], object], seconds: float = 60.0) -> None:
        """Go on until `until()`, for so many seconds at most."""
        end = time.monotonic() + seconds
        while not until():
            began = time.monotonic()
            assert began < end, self.extra.line
            self._refresh()
            assert wait_until(lambda: not any(map(is_late, self.outputs))), self.extra.line
            time.sleep(max(1 / 60 - (time.monotonic() - began), 0.0))

    def run_for(self, seconds: float) -> None:
        """Go on for so many seconds of the show."""
        end = self.now + seconds
        self.run(lambda: self.now >= end)

    def _refresh(self) -> None:
        self._refreshes += 1
        self.now = self._refreshes / 60
        self.extra.update(self.now, SIZE, self.outputs)
        bright = self.now % 1.0 < 0.2
        for output in self.outputs:
            if output.wants(self.now):
                output.send(flat(230 if bright else 20, SIZE), self.now)
        while (self._blocks + 1) * 0.01 <= self.now:
            sound = np.zeros((480, 2), np.float32)
            if self._blocks % 100 < 5:
                sound[:] = 0.8 * np.sin(np.arange(480) / 3)[:, None]
            self._blocks += 1
            self.extra.add_audio(Chunk(sound[:, 0], sound, self._blocks * 0.01))

    def connected(self) -> bool:
        return any(isinstance(output, StreamOutput) and output.connected for output in self.outputs)


def is_late(output: Output) -> bool:
    """Whether it would drop a frame soon, because its encoder's thread has not been given a core."""
    return isinstance(output, EncodedOutput) and output.recording and len(output._frames) >= output.room - 1


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> set[threading.Thread]:
    """The threads that connect, encode and send."""
    found: set[threading.Thread] = set()
    for kind, name in ((StreamWriter, "__enter__"), (AvWriter, "write_frame"), (AvWriter, "write_sound")):
        monkeypatch.setattr(kind, name, noting(found, getattr(kind, name)))
    return found


def noting(found: set[threading.Thread], function: Callable[..., object]) -> Callable[..., object]:
    return lambda *arguments: found.add(threading.current_thread()) or function(*arguments)


def check(found: dict) -> None:
    assert found["size"] == list(SIZE) and len(found["flashes"]) >= 2
    for flash in found["flashes"]:
        assert min(abs(flash - click) for click in found["clicks"]) < 0.04


def test_rtmp_arrives_with_its_sound_and_comes_back_after_the_server(
    messages: list[str], working: set[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "STEADY", math.inf)  # how long it is connected depends on the receiver
    url = f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    feed = LiveFeed(url)
    feed.run(lambda: bool(messages))
    receivers = [receive(url)]
    feed.run(feed.connected)
    feed.run(lambda: receivers[0].poll() is not None)
    check(json.loads(receivers[0].communicate()[0]))
    feed.run(lambda: not feed.outputs)  # the server is gone
    receivers.append(receive(url, 20.0))
    feed.run(feed.connected)
    assert feed.extra.line.startswith(f"{masked(url)} ")
    receivers[1].kill()
    receivers[1].wait()
    feed.run(lambda: not feed.outputs)
    feed.extra.close(feed.outputs)
    assert working and threading.current_thread() not in working, "the show waits for nothing"
    assert messages == [f"{masked(url)}: Connection refused; the show goes on, and it is tried again"]


def test_udp_arrives_with_its_sound_beside_a_file_and_a_dead_server(
    tmp_path: Path, messages: list[str], working: set[threading.Thread]
) -> None:
    url, dead = f"udp://127.0.0.1:{free_port()}", f"rtmp://127.0.0.1:{free_port()}/live/{KEY}"
    file = tmp_path / "show.mkv"
    receiver = receive(url)
    feed = LiveFeed(url, str(file), dead, str(tmp_path / "none" / "a.mp4"))
    feed.run(lambda: receiver.poll() is not None)
    check(json.loads(receiver.communicate()[0]))
    feed.extra.close(feed.outputs)
    assert feed.outputs == [] and len(working) > 1 and threading.current_thread() not in working
    times, sound = [at for at, _ in frames_of(file)], sound_of(file)
    assert np.diff(times).max() < 0.1 and len(sound) / 48000 == pytest.approx(times[-1], abs=0.1)
    first = next(at for at, frame in frames_of(file) if frame.mean() > 120 and at > 0.3)
    assert np.abs(sound[round(48000 * (first - 0.04)) : round(48000 * (first + 0.04)), 0]).max() > 0.3
    assert len(messages) == 2 and KEY not in "".join(messages)
    assert "Connection refused" in messages[0] + messages[1] and "none does not exist" in messages[0] + messages[1]


def test_a_file_on_a_full_disk_leaves_no_parts_and_goes_on_when_there_is_room(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt left a part without a frame: one every 8 s, all night."""
    free = [0]
    write = _File.write

    def limited(file: _File, data: bytes) -> int:
        if not free[0] and file.written > 700:  # the header, and no picture
            file.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise file.error
        return write(file, data)

    monkeypatch.setattr(_File, "write", limited)
    monkeypatch.setattr(outputs, "PAUSES", (0.05,))
    feed = LiveFeed(str(tmp_path / "show.mp4"), usage=lambda _folder: SimpleNamespace(free=free[0]))
    feed.run(lambda: bool(messages))
    assert "No space left" in messages[0] and "show.part" not in messages[0].partition("No space")[2]
    feed.run_for(0.5)
    assert list(tmp_path.iterdir()) == [] and len(messages) == 1
    free[0] = 2 * 10**9
    feed.run(lambda: bool(feed.outputs))
    feed.run_for(0.6)
    feed.extra.close(feed.outputs)
    assert [path.name for path in tmp_path.iterdir()] == ["show.mp4"] and frames_of(tmp_path / "show.mp4")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtmp://host/app/{KEY}", "rtmp://host/app/***"),
        (f"rtmps://user:{KEY}@host:443/app/{KEY}?auth={KEY}", "rtmps://host:443/app/***"),
        (f"rtmp://host/{KEY}", "rtmp://host/***"),
        (f"rtmp://host/app/instance/{KEY}", "rtmp://host/app/***"),
        (f"udp://host:1234?passphrase={KEY}", "udp://host:1234/***"),
        ("udp://239.0.0.1:1234", "udp://239.0.0.1:1234"),
        ("ndi:stage", "ndi:stage"),
        ("a.mp4", "a.mp4"),
    ],
)
def test_keys_are_never_shown(text: str, shown: str) -> None:
    assert masked(text) == shown and KEY not in StreamOutput(text).line


@pytest.mark.parametrize(
    ("text", "kind"),
    [("C:\\show.mp4", "file"), ("/a/b.MKV", "file"), ("RTMP://h/a/k", "rtmp"), ("udp://[::1]:9", "udp")],
)
def test_outputs_are_told_apart(text: str, kind: str) -> None:
    assert parse_output(text) == [OutputSpec(kind, text)]


@pytest.mark.parametrize(
    "text",
    ["", "ndi:", "show.avi", f"http://host/app/{KEY}", f"rtmpx://host/app/{KEY}", f"rtmp:///app/{KEY}", "udp://host",
     f"rtmp://host:99999/app/{KEY}", "udp://[::1:9", "rtmp://host", f"srt://host:9?passphrase={KEY}"],
)  # fmt: skip
def test_what_cannot_be_sent_to_is_one_line_without_the_key(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_output(text)
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SettingsError) as refused:
        load_settings({"output.to": [text]})
    assert KEY not in str(refused.value) and "output" in str(refused.value)


def test_the_line_is_told_while_an_output_fails(tmp_path: Path) -> None:
    """The status is read on another thread than the one that removes the output."""

    class Failing:
        name = "file"

        def __init__(self) -> None:
            self.found = [SimpleNamespace(line="file 0:01")]

        @property
        def running(self) -> object:
            return self.found.pop() if self.found else None

    extra = ExtraOutputs(OutputSettings(to=[str(tmp_path / "a.mp4")]), ParameterStore().snapshot)
    extra._places = [Failing(), Failing()]  # type: ignore[list-item]
    assert extra.line == "file 0:01 · file 0:01"
    assert extra.line == "file failed · file failed"
