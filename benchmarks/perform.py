"""What a performer's hands cost a show: looks recalled under load, and a fader of the control page until it is seen.

    python benchmarks/perform.py [RECALLS] [FADERS]

The show runs headless with the built-in track, records, and gets 500 OSC messages a second from another process, which
move three faders. Every 2.5 s a shipped look is recalled with a fade of 1 s; reported is the longest time between two
engine frames in the next second over the median of all (wanted: at most 2). Then a WebSocket client, another process
too, sets `out.level` as the page does, and the time is taken until the first display frame that has another level
(wanted: p95 at most 100 ms beyond an engine frame). `time.perf_counter` is one clock for all processes on Linux only.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.stop_signals import stop_signals
from tpos_live.runtime.waiting import run_until_fastest_backend, run_until_first_frame

OSC = """
import sys, time
from pythonosc.udp_client import SimpleUDPClient
client, n = SimpleUDPClient("127.0.0.1", int(sys.argv[1])), 0
while True:
    for name in ("motion/zoom", "finish/bloom", "finish/saturation"):
        client.send_message("/tpos/" + name, 0.3 + 0.2 * (n % 50) / 50)
    n += 1
    time.sleep(3 / 500)
"""
PAGE = """
import json, sys, time
from websockets.sync.client import connect
with connect(f"ws://127.0.0.1:{sys.argv[1]}/socket", max_size=None) as page:
    for n in range(int(sys.argv[2])):
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            try:
                page.recv(timeout=max(end - time.monotonic(), 0.001))
            except TimeoutError:
                break
        print(time.perf_counter(), flush=True)
        page.send(json.dumps({"set": {"out.level": 0.5 if n % 2 == 0 else 1.0}}))
"""


def run(session: LiveSession, seconds: float, look: Callable[[], None] = lambda: None) -> None:
    """Run the display for a time; `look` is called at each refresh."""
    end = time.perf_counter() + seconds

    def over() -> bool:
        look()
        return time.perf_counter() >= end

    session.display.run(over)


def recalls(session: LiveSession, count: int) -> dict[str, float]:
    """Recall `count` looks; figures in milliseconds, and ratios over the median frame."""
    names = [look.name for look in session.looks.show.looks]
    drawn: list[float] = []

    def note() -> None:
        newest = session.display.interpolator.newest
        if newest is not None and (not drawn or newest.drawn_at > drawn[-1]):
            drawn.append(newest.drawn_at)

    run(session, 3.0, note)
    asked = []
    for n in range(count):
        asked.append(time.perf_counter())
        session.store.update({"look.fade": 1.0, "look.recall": names[n % len(names)]})
        run(session, 2.5, note)
    gaps = [(a, b - a) for a, b in pairwise(drawn)]
    median = statistics.median(gap for _, gap in gaps)
    worst = sorted(max(gap for at, gap in gaps if t - gap <= at <= t + 1.0) for t in asked)
    return {
        "recalls": count,
        "frame_ms": 1000 * median,
        "worst_over_median": worst[-1] / median,
        "p90_over_median": float(np.percentile(worst, 90)) / median,
        "median_over_median": statistics.median(worst) / median,
        "quiet_p99_over_median": float(np.percentile([gap for _, gap in gaps], 99)) / median,
    }


def faders(session: LiveSession, count: int) -> dict[str, float]:
    """Time from the page's message to the display frame that shows it, in milliseconds."""
    seen: list[float] = []

    def shown() -> float:
        return session.display.shown.postfx.level if session.display.shown else 1.0

    level = shown()

    def note() -> None:
        nonlocal level
        before, level = level, shown()
        if level != before and (not seen or time.perf_counter() - seen[-1] > 0.25):
            seen.append(time.perf_counter())

    words = [sys.executable, "-c", PAGE, str(session.page.port), str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as page:
        run(session, 0.45 * count + 3.0, note)
        sent = [float(line) for line in (page.stdout or ())]
    took = [1000 * (next((t for t in seen if t > at), np.inf) - at) for at in sent]
    return {
        "faders": count,
        "fader_p50_ms": float(np.percentile(took, 50)),
        "fader_p95_ms": float(np.percentile(took, 95)),
    }


def main(count: int, moves: int) -> None:
    with tempfile.TemporaryDirectory() as folder, stop_signals() as stop:
        file = str(Path(folder) / "show.mp4")
        values = {"window.headless": True, "record.file": file, "osc.port": 9777, "web.port": 9778, "sound.mute": True}
        with LiveSession(load_settings(values), demo=True, stop=stop, page=True) as session:
            run_until_first_frame(session)
            run_until_fastest_backend(session)
            with subprocess.Popen([sys.executable, "-c", OSC, str(session.osc.port)]) as load:
                try:
                    figures = recalls(session, count)
                finally:
                    load.terminate()
            figures |= faders(session, moves)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["50", "100"][len(sys.argv) - 1 :])))
