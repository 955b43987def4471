"""Kills a show that has a watchdog at random times, and measures how long the screen is black.

    python benchmarks/kill_show.py --times 50

Starts its own display (Xvfb) with a black desktop. Prints a JSON line for each kill: the times at which the screen was
black, and the seconds until the next show's engine was loaded (null: not before the next kill). The last line is the
summary, with the processor time of the watchdog.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.screen_reader import watch_screen
from fakes.xvfb import is_mapped, one_screen, wait_until

from tpos_live.audio.demo import DEMO
from tpos_live.runtime.watchdog import MOST, WITHIN

REFRESH = 1 / 60
PAUSE = WITHIN / (MOST - 1)
"""Seconds between two kills: the shortest pause with which the watchdog restarts at once, without waiting REST."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds after each kill, %(default).0f")
    parser.add_argument("--window", default="1280x720", help="of the display, and of the show")
    parser.add_argument("--size", default="256", help="of the engine's frames")
    options = parser.parse_args()
    width, height = (int(side) for side in options.window.split("x"))
    with tempfile.TemporaryDirectory() as folder, one_screen((width, height)) as display:
        kill_shows(options, display, (width, height), Path(folder))


class Show:
    """The process of a show with --watchdog, and its log lines."""

    def __init__(self, display: str, size: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tpos_live", "--watchdog", "--fullscreen", "--audio", str(DEMO), "--mute"]
        command += ["--loop", "--size", size, "--osc-port", "0", "--no-web", "--seed", "7"]
        environment = {**os.environ, "DISPLAY": display, "TPOS_LIVE_STATE": str(folder / "state")}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        self.lines: list[tuple[float, str]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append((time.perf_counter(), line.strip()))

    def pid(self) -> int:
        """Process ID of the running show: the oldest child besides the still window; the spare is younger."""
        children = psutil.Process(self.process.pid).children()
        shows = [child for child in children if "still_window" not in str(child.cmdline())]
        return min(shows, key=lambda child: (child.create_time(), child.pid)).pid

    def count_of(self, pattern: str, since: float) -> list[float]:
        """Times of the lines after `since` that match `pattern`."""
        return [at for at, line in list(self.lines) if at > since and re.search(pattern, line)]


def kill_shows(options: argparse.Namespace, display: str, size: tuple[int, int], folder: Path) -> None:
    chance, rows = random.Random(25), []
    show = Show(display, options.size, folder)
    watchdog = psutil.Process(show.process.pid)
    try:
        with watch_screen(display, 0, size[1] // 2, size[0], 4) as watched:
            if not wait_until(lambda: is_mapped(display, "tpos-live still"), 60.0):
                raise SystemExit("the still has no window")
            time.sleep(1.0)
            for time_ in range(options.times):
                time.sleep(chance.uniform(0.5, 2.0))
                killed = time.perf_counter()
                os.kill(show.pid(), signal.SIGKILL)
                time.sleep(options.pause)
                loaded = show.count_of("engine: ", killed)
                black = watched.black(killed)
                row = {
                    "kill": time_,
                    "black_ms": [(round(1000 * (at - killed)), round(1000 * seconds)) for at, seconds in black],
                    "engine_s": round(loaded[0] - killed, 2) if loaded else None,
                }
                rows.append(row)
                print(json.dumps(row), flush=True)
    finally:
        used = watchdog.cpu_times()
        show.process.send_signal(signal.SIGTERM)
        show.process.wait(20)
        for _, line in show.lines[-40:]:
            print(line, file=sys.stderr)
    longest = [max((ms for _, ms in row["black_ms"]), default=0) for row in rows]
    result = {
        "kind": "kill_show",
        "times": options.times,
        "longest_black_ms": max(longest),
        "black_over_a_refresh": sum(ms > 1000 * REFRESH for ms in longest),
        "not_back": sum(row["engine_s"] is None for row in rows),
        "engine_p95_s": p95([row["engine_s"] for row in rows]),
        "watchdog_cpu_s": used.user + used.system,
    }
    print(json.dumps(result, allow_nan=False), flush=True)


def p95(seconds: Sequence[float | None]) -> float | None:
    """The smallest value that 95 % of the restarts do not exceed. None stands for a show that was not back before the
    next kill, and is the result where more than 5 % were not. No interpolation, because "never" is not a number."""
    waited = sorted(math.inf if each is None else each for each in seconds)
    found = waited[math.ceil(0.95 * len(waited)) - 1]
    return found if math.isfinite(found) else None


if __name__ == "__main__":
    main()
