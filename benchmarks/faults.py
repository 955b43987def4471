"""Recovery from short faults (input, sound server, stream, disk), each many times in one live show that records.

    python benchmarks/faults.py [--times 20] [--only unplugged,stream] [--size 128]

The show has no window. Prints a JSON line for each kind of fault: how often the show recovered, after how many seconds
(median and worst), the longest time without a new engine frame, lost recordings, and tracebacks. The exit status is 1
if the show did not recover, a recording was lost, or there was a traceback. KINDS describes the faults.

The input is a PulseAudio null sink (the tests' fake): no sound card is needed. `read_only` needs root, on Linux.
"""

from __future__ import annotations

import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.fake_mic import FakeMicrophone, fake_microphone
from fakes.ports import free_port
from fakes.read_only import own_mounts, read_only
from show_watch import ShowWatch, fault_options

from tpos_live.audio.source import SourceState
from tpos_live.bench.results import processor
from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.messages import terminal_messages
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.display.stream_output import StreamOutput
from tpos_live.runtime.live_session import LiveSession

RECEIVER = Path(__file__).parent.parent / "tests" / "fakes" / "stream_receiver.py"
KINDS = {
    "unplugged": "the input is removed, and returned once the show reports the loss",
    "stalled": "the input delivers no more blocks without an error, and resumes once the show has noticed",
    "server": "the sound server is killed, and a new one is started",
    "stream": "the receiver of an RTMP output is killed, and restarted once the show has noticed",
    "removed": "the folder of a recording is removed; the time until it continues in the spare folder",
    "read_only": "a recording begins while its folder is read-only; the time until it runs in the spare folder",
}


class Tracebacks(logging.Handler):
    """Counts log records with a traceback, and threads that end with an exception."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        threading.excepthook = self._thread_ended

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.exc_info is not None

    def _thread_ended(self, ended: threading.ExceptHookArgs) -> None:
        self.count += 1
        sys.__excepthook__(ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)


class Faults:
    """Causes the faults of KINDS in one show."""

    def __init__(self, session: LiveSession, mic: FakeMicrophone, url: str, folder: Path) -> None:
        self._session, self._url, self._folder = session, url, folder
        self._receiver: subprocess.Popen[bytes] | None = None
        self.watch = ShowWatch(session)
        self._kinds: dict[str, Callable[[], float]] = {
            "unplugged": lambda: self._input(mic.unplug, mic.replug),
            "stalled": lambda: self._input(mic.suspend, mic.resume),
            "server": lambda: self._input(mic.kill_server, mic.serve),
            "stream": self._stream,
            "removed": self._removed,
            "read_only": self._read_only,
        }
        self.lost = 0
        """Number of recordings that are missing or cannot be decoded to their end."""

    def happen(self, kind: str) -> float:
        """Cause a fault, repair it, and return the seconds from the repair to the recovery. Raises TimeoutError."""
        return self._kinds[kind]()

    def _stream(self) -> float:
        if self._receiver is None:
            self._receive()
            self.watch.wait(self._connected)
        self.close()
        self.watch.wait(lambda: not self._connected())
        begun = time.perf_counter()
        self._receive()
        return self.watch.wait(self._connected, begun)

    def _removed(self) -> float:
        first = self._folder / "first"
        self.record(False)
        self.record(True)
        begun = time.perf_counter()
        shutil.rmtree(first)
        took = self.watch.wait(lambda: self._recorded_to().startswith(str(self._folder / "spare")), begun)
        first.mkdir()
        return took

    def _read_only(self) -> float:
        self.record(False)
        with read_only(self._folder / "first"):
            begun = time.perf_counter()
            self._session.store.set("out.record", True)
            spare = str(self._folder / "spare")
            return self.watch.wait(lambda: self._recorded_to().startswith(spare) and self._seconds() > 0.0, begun)

    def record(self, on: bool) -> None:
        """Start a recording and wait until it is 1.5 s long, or stop the current one and check that it plays."""
        if bool(self._recorded_to()) == on:
            return
        path, store = Path(self._recorded_to()), self._session.store
        if on:
            store.set("out.record", True)
            self.watch.wait(lambda: self._seconds() > 1.5)
            return
        self.watch.wait(lambda: self._seconds() > 1.5)  # a shorter one may have no frame
        store.set("out.record", False)
        self.watch.wait(lambda: not self._recorded_to())
        self.watch.wait(path.exists)
        self.lost += not _plays(path)

    def close(self) -> None:
        """End the receiver."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.kill()
            receiver.wait()

    def _input(self, lose: Callable[[], None], give_back: Callable[[], None]) -> float:
        self.watch.wait(lambda: self._state() is SourceState.RUNNING)
        lose()
        self.watch.wait(lambda: self._state() is not SourceState.RUNNING)
        begun = time.perf_counter()
        give_back()
        return self.watch.wait(lambda: self._state() is SourceState.RUNNING, begun)

    def _state(self) -> SourceState:
        return self._session.sound.status(time.perf_counter()).state

    def _recorded_to(self) -> str:
        return str(self._session.controls.recordings.fields().get("recording", ""))

    def _seconds(self) -> float:
        """Length of the recording."""
        return float(self._session.controls.recordings.fields().get("record_seconds", 0.0))

    def _connected(self) -> bool:
        return any(isinstance(each, StreamOutput) and each.connected for each in self._session.display.outputs)

    def _receive(self) -> None:
        command = [sys.executable, str(RECEIVER), self._url, "3600"]
        self._receiver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._receiver.stdout is not None
        self._receiver.stdout.readline()  # it is about to listen


def _plays(path: Path) -> bool:
    try:
        with av.open(str(path)) as file:
            return sum(1 for _ in file.decode(video=0)) > 0
    except (OSError, av.FFmpegError):
        return False


def settings_of(mic: FakeMicrophone, folder: Path, url: str, size: str) -> Settings:
    for name in ("first", "spare"):
        (folder / name).mkdir()
    return load_settings(
        {
            "sound.device": mic.device,
            "engine.size": size,
            "engine.accelerator": "eager",
            "window.headless": True,
            "record.folder": str(folder / "first"),
            "record.spare": str(folder / "spare"),
            "record.resolution": "320x180",
            "output.to": [url],
            "osc.port": 0,
        }
    )


def repeat(faults: Faults, kind: str, times: int, tracebacks: Tracebacks) -> dict[str, object]:
    """The figures of one kind."""
    before, back = tracebacks.count, list[float]()
    faults.record(True)
    faults.watch.begin()
    faults.lost = 0
    for _ in range(times):
        try:
            back.append(faults.happen(kind))
        except TimeoutError:
            break  # the show may not recover any more
    faults.record(False)
    return {
        "fault": kind,
        "times": times,
        "back": len(back),
        "median_s": round(statistics.median(back), 2) if back else None,
        "worst_s": round(max(back), 2) if back else None,
        "oldest_frame_s": round(faults.watch.oldest, 2),
        "recordings_lost": faults.lost,
        "tracebacks": tracebacks.count - before,
    }


def main() -> None:
    given = fault_options(__doc__, KINDS)
    if "read_only" in given.kinds:
        own_mounts()  # before other threads start: these would keep the old mounts
    url = f"rtmp://127.0.0.1:{free_port()}/live/key"
    tracebacks, failed = Tracebacks(), False
    logging.getLogger().addHandler(tracebacks)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mic = stack.enter_context(fake_microphone())
        stack.enter_context(terminal_messages())
        session = stack.enter_context(LiveSession(settings_of(mic, folder, url, given.size)))
        run_until_first_frame(session)
        faults = Faults(session, mic, url, folder)
        stack.callback(faults.close)
        for kind in given.kinds:
            found = repeat(faults, kind, given.times, tracebacks)
            failed = failed or found["back"] != given.times or bool(found["recordings_lost"] or found["tracebacks"])
            print(json.dumps({**found, "cpu": processor()}), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
