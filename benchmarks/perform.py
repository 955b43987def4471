"""How a show reacts to its controls: frame times while looks are recalled, latency of a fader, cost of open pages.

    python benchmarks/perform.py recalls [--times 50]
    python benchmarks/perform.py faders [--times 100]
    python benchmarks/perform.py browsers [--seconds 600] [--clients]
    each with [--size 640x360]

The show runs headless with the built-in track. Run it on a machine without other load. Each command prints a JSON line.

recalls: the show records while another process sends 500 OSC messages per second that move three faders. Every 2.5 s a
shipped look is recalled with a fade of 1 s. Reports the longest time between two engine frames in the next second,
divided by the median of all (target: at most 2), and the same for seconds without a recall.
faders: another process sets `out.level` by WebSocket, as the page does. Reports the time until the first display frame
with another level (target: 95th percentile at most 100 ms above the time of an engine frame).
browsers: engine frames per second with two open pages that show the preview, divided by those without a page; the
median of turns of 10 s, --seconds in all (target: at least 0.93). The pages run in a headless Chromium on the same
cores; with --clients they are WebSocket clients that receive the same data, as from browsers on other machines.

Only on Linux do all processes share the clock of `time.perf_counter`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.audio.demo import DEMO
from tpos_live.bench.results import processor
from tpos_live.bench.waiting import run_until_fastest_backend, run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.stop_signals import stop_signals

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


VIEWER = """
import json, sys, time
from websockets.sync.client import connect
with connect(f"ws://127.0.0.1:{sys.argv[1]}/socket", max_size=None, compression=None) as page:
    page.send(json.dumps({"preview": True}))
    while True:
        if isinstance(page.recv(), bytes):
            page.send(json.dumps({"shown": 1}))
"""
BROWSER = """
import sys, time
from playwright.sync_api import sync_playwright
with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=sys.argv[2], args=["--no-sandbox", "--disable-gpu"])
    tab = browser.new_page()
    tab.goto(f"http://127.0.0.1:{sys.argv[1]}/")
    tab.wait_for_selector("#tab-Map")
    while True:
        tab.wait_for_timeout(1000)
"""
TURN = 10.0
"""Seconds of a turn, with or without open pages."""
SETTLE = 4.0
"""Seconds after pages open or close that are not measured."""


def run(session: LiveSession, seconds: float, look: Callable[[], None] = lambda: None) -> None:
    """Run the display for `seconds`; `look` is called at each refresh."""
    end = time.perf_counter() + seconds

    def over() -> bool:
        look()
        return time.perf_counter() >= end

    session.run_until(over)


@contextmanager
def children(*commands: list[str]) -> Iterator[None]:
    """Python processes that run this code until the context ends."""
    running = [subprocess.Popen([sys.executable, "-c", *command]) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
            process.kill()


def times_of_frames(session: LiveSession) -> list[float]:
    """A list to which the time of each engine frame is appended from now on, at the source and not at the display."""
    times: list[float] = []
    put = session.frames.put

    def noted(frame: Any) -> Any:
        times.append(time.perf_counter())
        return put(frame)

    session.frames.put = noted  # type: ignore[method-assign]
    return times


def recalls(session: LiveSession, count: int) -> dict[str, float]:
    """Recall `count` looks; returns the frame time in milliseconds and ratios to its median."""
    names = [look.name for look in session.looks.show.looks]
    drawn = times_of_frames(session)
    with children([OSC, str(session.osc.port)]):
        run(session, 3.0)
        asked = []
        for n in range(count):
            asked.append(time.perf_counter())
            session.store.update({"look.fade": 1.0, "look.recall": names[n % len(names)]})
            run(session, 2.5)
    gaps = [(at, after - at) for at, after in pairwise(drawn)]
    median = statistics.median(gap for _, gap in gaps)

    def longest(begin: float) -> float:
        return max((gap for at, gap in gaps if begin - gap <= at <= begin + 1.0), default=0.0) / median

    worst, quiet = [longest(at) for at in asked], [longest(at + 1.5) for at in asked]
    return {
        "recalls": count,
        "frame_ms": 1000 * median,
        "worst_over_median": max(worst),
        "p90_over_median": float(np.percentile(worst, 90)),
        "median_over_median": statistics.median(worst),
        "quiet_worst_over_median": max(quiet),
        "quiet_median_over_median": statistics.median(quiet),
    }


def browsers(session: LiveSession, seconds: float, clients: bool) -> dict[str, float]:
    """Engine frames per second with two pages open, and without. Raises RuntimeError without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not clients and chromium is None:
        raise RuntimeError("there is no chromium here: use --clients")
    command = [VIEWER, str(session.page.port)] if clients else [BROWSER, str(session.page.port), str(chromium)]

    def turn() -> float:
        run(session, SETTLE)
        assert session.renderer is not None
        begin, before = time.perf_counter(), session.renderer.drawn
        run(session, TURN)
        return (session.renderer.drawn - before) / (time.perf_counter() - begin)

    alone, watched = [], []
    for _ in range(max(round(seconds / (2 * TURN)), 1)):
        alone.append(turn())
        with children(command, command):
            watched.append(turn())
    return {
        "turns": len(alone),
        "fps": statistics.median(alone),
        "fps_watched": statistics.median(watched),
        "ratio": statistics.median(b / a for a, b in zip(alone, watched, strict=True)),
    }


def faders(session: LiveSession, count: int) -> dict[str, float]:
    """Time from the page's message to the first display frame with the new level, in milliseconds."""
    seen: list[tuple[float, bool]] = []  # each change of the level: time, and whether it fell

    def shown() -> float:
        return session.display.shown.postfx.level if session.display.shown else 1.0

    level = shown()

    def note() -> None:
        nonlocal level
        before, level = level, shown()
        if level != before:
            seen.append((time.perf_counter(), level < before))

    drawn = times_of_frames(session)
    words = [sys.executable, "-c", PAGE, str(session.page.port), str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as page:
        run(session, 0.45 * count + 3.0, note)
        sent = [float(line) for line in (page.stdout or ())]
    # The moves alternate between down and up, so a fade that still runs is not taken for the next move.
    took = [
        1000 * (next((t for t, down in seen if t > at and down == (n % 2 == 0)), np.inf) - at)
        for n, at in enumerate(sent)
    ]
    return {
        "faders": count,
        "frame_ms": 1000 * statistics.median(b - a for a, b in pairwise(drawn)),
        "fader_p50_ms": float(np.percentile(took, 50)),
        "fader_p95_ms": float(np.percentile(took, 95)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("recalls", "faders", "browsers"))
    parser.add_argument("--times", type=int, default=0, help="recalls (50), or moves of the fader (100)")
    parser.add_argument("--seconds", type=float, default=600.0, help="of browsers")
    parser.add_argument("--clients", action="store_true", help="WebSocket clients in place of Chromium")
    parser.add_argument("--size", default="640x360", help="of the output")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, stop_signals() as stop:
        values: dict[str, Any] = {
            "window.headless": True, "record.resolution": given.size, "osc.port": 9777, "web.port": 9778,
            "sound.mute": True, "sound.audio": str(DEMO), "sound.loop": True,
        }  # fmt: skip
        if given.what == "recalls":
            values["record.file"] = str(Path(folder) / "show.mp4")
        with LiveSession(load_settings(values, here=Path("/nowhere")), stop=stop, page=True) as session:
            run_until_first_frame(session)
            run_until_fastest_backend(session)
            if given.what == "recalls":
                figures = recalls(session, given.times or 50)
            elif given.what == "faders":
                figures = faders(session, given.times or 100)
            else:
                figures = browsers(session, given.seconds, given.clients)
    shown = {name: round(value, 3) for name, value in figures.items()}
    print(json.dumps({"what": given.what, "cpu": processor(), "size": given.size, **shown}))


if __name__ == "__main__":
    main()
