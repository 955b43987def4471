"""Time from the start to the window, to the first text in it, and to the first engine frame.

    python benchmarks/start.py --runs 5

Each run is a new process that does what `tpos-live demo` does, under Xvfb, and reads the content of its window. The
seconds include the start of Python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

START = """
import json, os, sys, time
begin = float(sys.argv[1])
from tpos_live.runtime.live_session import LiveSession
from tpos_live.core.messages import terminal_messages
from tpos_live.core.settings_loader import load_settings
row = {}
def mark(name):
    row.setdefault(name, round(time.time() - begin, 2))
def seen():
    if "status_s" not in row and session.display.read_window().max() > 150:
        mark("status_s")
    return "status_s" in row
def drawn():
    if session.display.interpolator.newest is not None:
        mark("picture_s")
    return "picture_s" in row
settings = load_settings({"sound.mute": True, "osc.port": 9577})
with terminal_messages(), LiveSession(settings, demo=True) as session:
    mark("window_s")
    session.display.run(seen)
    session.display.run(drawn)
print(json.dumps(row), flush=True)
os._exit(0)  # as the program ends: a faster engine may still be loading on a thread
"""
"""The program of a run: `tpos-live demo` that also reads its window."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from fakes.xvfb import one_screen

    rows = []
    with one_screen() as display:
        for _ in range(options.runs):
            command = [sys.executable, "-c", START, str(time.time())]
            out = subprocess.run(
                command, env=os.environ | {"DISPLAY": display}, stdout=subprocess.PIPE, timeout=120, check=True
            )
            rows.append(json.loads(out.stdout))
            print(json.dumps(rows[-1]), flush=True)
    medians = {key: sorted(row[key] for row in rows)[len(rows) // 2] for key in rows[0]}
    print(json.dumps({"kind": "median", **medians}))


if __name__ == "__main__":
    main()
