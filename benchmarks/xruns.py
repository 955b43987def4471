"""Counts the buffer underruns of an audio program while a show runs on the same machine.

    python benchmarks/xruns.py --minutes 10 --nice 0 10

Starts its own PulseAudio server with a null sink, and a display (the tests' fakes). A client plays silence with a
buffer of `--buffer` ms, first without a show, then with one for each value of `--nice` (niceness of the show's heavy
threads). Prints a JSON line for each. `--threads` limits the engine's threads. `--real-time` gives server and client
real-time priority, as desktops do for audio programs (by rtkit or PAM); it needs that permission, for example as root.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.fake_mic import fake_microphone
from fakes.xvfb import one_screen

from tpos_live.audio.demo import DEMO

SINK = "short"
PRIORITY = 5
"""Real-time priority of PulseAudio's and its clients' threads; PulseAudio's default."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for each value")
    parser.add_argument("--nice", type=int, nargs="*", default=[0, 10])
    parser.add_argument("--buffer", type=int, default=5, help="of the client, ms")
    parser.add_argument("--threads", type=int, default=0, help="of the engine, 0 = all")
    parser.add_argument("--real-time", action="store_true", help="priority of server and client (Linux)")
    parser.add_argument("--warm", type=float, default=60.0, help="seconds before counting: the engine is prepared")
    options = parser.parse_args()
    with fake_microphone(), one_screen() as display, tempfile.TemporaryDirectory() as folder:
        add_sink(options.real_time)
        report(options, "none", count_underruns(options), 0.0)
        for nice in options.nice:
            with show(display, nice, options.threads, Path(folder)) as process:
                time.sleep(options.warm)
                before = sum(process.cpu_times()[:2])
                underruns = count_underruns(options)
                report(options, f"nice {nice}", underruns, sum(process.cpu_times()[:2]) - before)


@contextmanager
def show(display: str, nice: int, threads: int, folder: Path) -> Iterator[psutil.Popen]:
    command = [
        sys.executable,
        "-m",
        "tpos_live",
        "--audio",
        str(DEMO),
        "--loop",
        "--mute",
        "--no-web",
        "--osc-port",
        "0",
    ]
    command += ["--seed", "7", "--nice", str(nice), "--threads", str(threads)]
    environment = {**os.environ, "DISPLAY": display, "TPOS_LIVE_STATE": str(folder)}
    process = psutil.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def add_sink(real_time: bool) -> None:
    """Add a sink whose block size follows its clients; the fakes' sink has blocks of 50 ms."""
    subprocess.run(["pactl", "load-module", "module-null-sink", f"sink_name={SINK}"], check=True, capture_output=True)
    if real_time:
        server = int((Path(os.environ["PULSE_RUNTIME_PATH"]) / "pid").read_text())
        for thread in psutil.Process(server).threads():
            os.sched_setscheduler(thread.id, os.SCHED_FIFO, os.sched_param(PRIORITY))


def count_underruns(options: argparse.Namespace) -> int:
    """Number of underruns of a client that plays silence."""
    command = ["pacat", "--playback", "--raw", "-v", f"--device={SINK}", f"--latency-msec={options.buffer}"]
    command.append("/dev/zero")
    if options.real_time:
        command = ["chrt", "--fifo", str(PRIORITY), *command]
    client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    found: list[str] = []

    def read() -> None:
        assert client.stderr is not None
        for line in client.stderr:
            found.extend(["x"] * line.lower().count("underrun"))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(60 * options.minutes)
    if client.poll() is not None:
        raise SystemExit("the client has ended by itself")
    client.terminate()
    reader.join(10.0)
    client.wait(10.0)
    return len(found)


def report(options: argparse.Namespace, beside: str, underruns: int, used: float) -> None:
    result = {
        "kind": "xruns",
        "show": beside,
        "minutes": options.minutes,
        "buffer_ms": options.buffer,
        "real_time": options.real_time,
        "threads": options.threads,
        "underruns": underruns,
        "show_cpu_s": round(used, 1),
        "cores": psutil.cpu_count(),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
