"""Frame rate and processor time of a show with outputs: python benchmarks/outputs.py [--size 640x360] [--seconds 8]
[--rounds 3] [--threads N] [--cap N]

Runs a show without a window: with no output, with a video file, and with a file and a second output: a UDP stream,
and NDI where its extra is installed. A separate process receives it. The stream is received twice: by a relay, which
reads packets and does not decode them, as a streaming server does, and by a player that decodes it on the same cores.
The first output includes the cost of composing frames, which a show without window and outputs skips.

Prints one JSON line: median engine frames per second, the ratio to no output (for all but the first: to the file
alone), and the processor time of show and receiver in percent of a core. --cap limits the engine's frame rate; the
differences of processor time are then the cost of the outputs, even on a machine with other load.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tpos_live.audio.demo import DEMO
from tpos_live.bench.results import processor
from tpos_live.bench.waiting import run_until_fastest_backend, run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession

FAKES = Path(__file__).parent.parent / "tests" / "fakes"
SETTLE = 3.0
"""Seconds before the measurement, in which receivers connect and encoders choose their preset."""
STREAM = "udp://127.0.0.1:9631"
RELAY = f"""
import av
with av.open("{STREAM}", options={{"overrun_nonfatal": "1"}}) as stream:
    for packet in stream.demux():
        pass
"""


def engine_fps(
    to: list[str], receivers: list[list[str]], size: str, seconds: float, threads: int, cap: float
) -> tuple[float, float, float]:
    """Engine frames per second of a show with the outputs `to`, and the processor time of show and receivers in percent
    of a core. receivers: Python arguments of the receiving processes."""
    values: dict[str, Any] = {
        "window.headless": True, "record.resolution": size, "sound.audio": str(DEMO), "sound.mute": True,
        "sound.loop": True, "osc.port": 0, "web.off": True, "parameters.prompt": "an inferno", "output.to": to,
        "engine.threads": threads, "engine.fps_cap": cap,
    }  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []
    with LiveSession(load_settings(values, here=Path("/nowhere"))) as session:
        run_until_first_frame(session)
        run_until_fastest_backend(session)
        for command in receivers:
            running.append(subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL))
        counts: list[tuple[float, int, float, float]] = []
        for wait in (SETTLE, seconds):
            until = time.perf_counter() + wait
            session.run_until(lambda until=until: time.perf_counter() > until)  # type: ignore[misc]
            assert session.renderer is not None
            used = [psutil.Process(process.pid).cpu_times() for process in running]
            received = sum(times.user + times.system for times in used)
            counts.append((time.perf_counter(), session.renderer.drawn, time.process_time(), received))
    for process in running:
        process.kill()
        process.wait()
    drawn, show, received = (
        (after - before) / (counts[1][0] - counts[0][0])
        for before, after in zip(*(count[1:] for count in counts), strict=True)
    )
    return drawn, 100 * show, 100 * received


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0 = as a show chooses")
    parser.add_argument("--cap", type=float, default=0.0, help="engine frames per second at most; 0 = no limit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = '{"ndi": {"networks": {"ips": "127.0.0.1", "discovery": ""}}}'
        (Path(folder) / "ndi-config.v1.json").write_text(config)
        os.environ["NDI_CONFIG_DIR"] = folder
        file = str(Path(folder) / "show.mp4")
        kinds: dict[str, tuple[list[str], list[list[str]]]] = {
            "none": ([], []),
            "file": ([file], []),
            "file and relayed stream": ([file, STREAM], [["-c", RELAY]]),
            "file and played stream": ([file, STREAM], [[str(FAKES / "stream_receiver.py"), STREAM, "1000"]]),
        }
        if importlib.util.find_spec("cyndilib") is not None:
            kinds["file and ndi"] = ([file, "ndi:bench"], [[str(FAKES / "ndi_receiver.py"), "bench", "1000000"]])
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
        for _ in range(given.rounds):
            for name, (to, receivers) in kinds.items():
                found[name].append(engine_fps(to, receivers, given.size, given.seconds, given.threads, given.cap))
    fps, show, received = (
        {name: round(statistics.median(each[n] for each in rounds), 1) for name, rounds in found.items()}
        for n in range(3)
    )
    ratios = {name: round(fps[name] / fps["none" if name == "file" else "file"], 2) for name in fps if name != "none"}
    how = {"processor": processor(), "size": given.size, "threads": given.threads, "cap": given.cap}
    print(json.dumps({**how, "fps": fps, "ratio": ratios, "show_percent": show, "receiver_percent": received}))
    os._exit(0)


if __name__ == "__main__":
    main()
