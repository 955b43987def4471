"""How much an event lengthens the frame times of a show: prompt change, flood of OSC, recording, device loss.

    python benchmarks/events.py --events 20

Runs a show in a window under Xvfb, with the tests' fake microphone as input. It first measures frame times without
events, then --events events of each kind. Prints for each kind the 95th percentile of the longest frame time within
1.2 s of an event, and its ratio to the median without events.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

STORM = """
import sys
from pythonosc.udp_client import SimpleUDPClient
client = SimpleUDPClient("127.0.0.1", int(sys.argv[1]))
for _ in sys.stdin:
    for i in range(2000):
        client.send_message("/tpos/finish/light", (i % 7) / 100)
"""
"""Sends 2,000 messages for each line that it reads. The process runs all the time, as TouchDesigner or Ableton does."""
WORDS = ["fire", "ocean waves", "aurora", "galaxy", "city at night", "neon tunnel", "snow", "storm clouds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--quiet-seconds", type=float, default=20.0)
    parser.add_argument("--window", default="1280x720")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from fakes.fake_mic import fake_microphone
    from fakes.xvfb import one_screen

    from tpos_live.audio.demo import DEMO
    from tpos_live.audio.files import read_audio

    with ExitStack() as stack:
        os.environ["DISPLAY"] = stack.enter_context(one_screen())
        mic = stack.enter_context(fake_microphone())
        mic.play(np.tile(read_audio(DEMO), (20, 1)))
        measure(options, mic, Path(stack.enter_context(tempfile.TemporaryDirectory())))


def measure(options: argparse.Namespace, mic: object, folder: Path) -> None:
    from tpos_live.bench.session import machine
    from tpos_live.bench.waiting import run_until_fastest_backend
    from tpos_live.core.messages import terminal_messages
    from tpos_live.core.settings_loader import load_settings
    from tpos_live.runtime.live_session import LiveSession

    settings = load_settings(
        {
            "sound.device": mic.device,  # type: ignore[attr-defined]
            "window.size": options.window,
            "record.folder": str(folder),
            "osc.port": 9555,
        }
    )
    with terminal_messages(), LiveSession(settings) as session:
        run_until_fastest_backend(session)
        watch = Watch(session)
        watch.run(5.0)
        usual = quiet(watch, options.quiet_seconds)
        sender = subprocess.Popen([sys.executable, "-c", STORM, "9555"], stdin=subprocess.PIPE, text=True)

        def storm(_i: int) -> None:
            assert sender.stdin is not None
            print(file=sender.stdin, flush=True)

        def device(i: int) -> None:
            mic.suspend() if i % 2 == 0 else mic.resume()  # type: ignore[attr-defined]

        kinds: dict[str, Callable[[int], object]] = {
            "prompt": lambda i: session.store.set("prompt", WORDS[i % len(WORDS)] + f" {i}"),
            "osc_storm": storm,
            "recording": lambda i: session.store.set("out.record", i % 2 == 0),
            "device_loss": device,
        }
        for kind, happen in kinds.items():
            repeat(watch, kind, happen, options.events, usual)
        sender.kill()
        sender.wait()
        print(json.dumps({"kind": "machine", **machine()}), flush=True)


def quiet(watch: Watch, seconds: float) -> dict[str, float]:
    """Measure without events, and print the figures; returns the median intervals in seconds."""
    watch.clear()
    watch.run(seconds)
    shown, engine = watch.steps()
    usual = {"shown": float(np.median(shown)), "engine": float(np.median(engine))}
    row = {
        "kind": "quiet",
        **{f"{name}_ms": round(1000 * value, 1) for name, value in usual.items()},
        "worst_shown_p95_ms": round(1000 * per_second(watch.shown, 95), 1),
        "worst_engine_p95_ms": round(1000 * per_second(watch.engine, 95), 1),
    }
    print(json.dumps(row), flush=True)
    return usual


def repeat(watch: Watch, kind: str, happen: Callable[[int], object], times: int, usual: dict[str, float]) -> None:
    """Let one kind of event happen so many times, and print the worst intervals around it. usual: from `quiet`."""
    worst_shown, worst_engine = [], []
    for i in range(times):
        watch.run(1.0)
        watch.clear()
        happen(i)
        watch.run(1.2)
        shown, engine = watch.steps()
        worst_shown.append(max(shown, default=1.2))
        worst_engine.append(max(engine, default=1.2))
    row = {
        "kind": kind,
        "events": times,
        "shown_p95_ms": round(1000 * float(np.percentile(worst_shown, 95)), 1),
        "engine_p95_ms": round(1000 * float(np.percentile(worst_engine, 95)), 1),
        "shown_ratio": round(float(np.percentile(worst_shown, 95)) / usual["shown"], 2),
        "engine_ratio": round(float(np.percentile(worst_engine, 95)) / usual["engine"], 2),
    }
    print(json.dumps(row), flush=True)


def per_second(times: list[float], percentile: float) -> float:
    """Percentile, over the seconds of a run, of the longest step in each second: the baseline without events."""
    steps = np.diff(times)
    seconds = np.asarray(times[1:]) // 1.0
    return float(np.percentile([steps[seconds == second].max() for second in np.unique(seconds)], percentile))


class Watch:
    """Records the times at which display frames are shown and engine frames were drawn."""

    def __init__(self, session: object) -> None:
        self._display = session.display  # type: ignore[attr-defined]
        self._index = -1
        self.clear()

    def clear(self) -> None:
        self.shown: list[float] = []
        self.engine: list[float] = []

    def run(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        self._display.run(lambda: self._measure() >= end)

    def _measure(self) -> float:
        now = time.perf_counter()
        self.shown.append(now)
        frame = self._display.interpolator.newest
        if frame is not None and frame.index != self._index:
            self._index = frame.index
            self.engine.append(frame.drawn_at)
        return now

    def steps(self) -> tuple[list[float], list[float]]:
        return np.diff(self.shown).tolist(), np.diff(self.engine).tolist()


if __name__ == "__main__":
    main()
