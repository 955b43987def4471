"""What outputs cost: python benchmarks/outputs.py [--size 640x360] [--seconds 8] [--rounds 3] [--threads N]

Runs a show without a window: with no output, with a video file, and with a file and one output more (a stream by UDP,
and NDI where its extra is installed; a process each receives them). The first output also pays for the composition of
frames, which a show without a window and outputs does not need. Prints, as one JSON line, the median engine frames per
second of each, and its ratio to no output or, of the last two, to the file alone.
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

from tpos_live.audio.demo import DEMO
from tpos_live.bench.results import processor
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.waiting import run_until_fastest_backend, run_until_first_frame

FAKES = Path(__file__).parent.parent / "tests" / "fakes"
SETTLE = 3.0
"""Seconds before the count begins: the receivers are there, the encoders have chosen their preset."""
STREAM = "udp://127.0.0.1:9631"


def engine_fps(to: list[str], receivers: list[list[str]], size: str, seconds: float, threads: int) -> float:
    """Engine frames per second of a show with these outputs. receivers: commands of the other ends."""
    values: dict[str, Any] = {
        "window.headless": True, "record.resolution": size, "sound.audio": str(DEMO), "sound.mute": True,
        "sound.loop": True, "osc.port": 0, "web.off": True, "parameters.prompt": "an inferno", "output.to": to,
        "engine.threads": threads,
    }  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []
    with LiveSession(load_settings(values, here=Path("/nowhere"))) as session:
        run_until_first_frame(session)
        run_until_fastest_backend(session)
        for command in receivers:
            running.append(subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL))
        counts: list[tuple[float, int]] = []
        for wait in (SETTLE, seconds):
            until = time.perf_counter() + wait
            session.run_until(lambda until=until: time.perf_counter() > until)  # type: ignore[misc]
            assert session.renderer is not None
            counts.append((time.perf_counter(), session.renderer.drawn))
    for process in running:
        process.kill()
        process.wait()
    (begin, before), (end, after) = counts
    return (after - before) / (end - begin)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of the engine; 0 = as a show chooses")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = '{"ndi": {"networks": {"ips": "127.0.0.1", "discovery": ""}}}'
        (Path(folder) / "ndi-config.v1.json").write_text(config)
        os.environ["NDI_CONFIG_DIR"] = folder
        file = str(Path(folder) / "show.mp4")
        kinds: dict[str, tuple[list[str], list[list[str]]]] = {
            "none": ([], []),
            "file": ([file], []),
            "file and stream": ([file, STREAM], [[str(FAKES / "stream_receiver.py"), STREAM, "1000"]]),
        }
        if importlib.util.find_spec("cyndilib") is not None:
            kinds["file and ndi"] = ([file, "ndi:bench"], [[str(FAKES / "ndi_receiver.py"), "bench", "1000000"]])
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(given.rounds):
            for name, (to, receivers) in kinds.items():
                found[name].append(engine_fps(to, receivers, given.size, given.seconds, given.threads))
    fps = {name: round(statistics.median(each), 1) for name, each in found.items()}
    ratios = {name: round(fps[name] / fps["none" if name == "file" else "file"], 2) for name in fps if name != "none"}
    how = {"processor": processor(), "size": given.size, "threads": given.threads}
    print(json.dumps({**how, "fps": fps, "ratio": ratios}))
    os._exit(0)


if __name__ == "__main__":
    main()
