"""Damaged input for every door that reads bytes, as often as wanted.

    python benchmarks/fuzz.py --packets 1000000 [--door osc] [--seed 1]

Prints a JSON line a door: inputs, seconds, the slowest one, faults, and how much memory grew. Each fault's input is
written to the folder of `--keep`. The exit status is 1 if there was a fault, or an input took 2 s. The doors are in
`tests/fakes/fuzz_doors.py`, and the suite enters each 150 times.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.fuzz_doors import Door, damaged, open_doors

LIMIT = 2.0
"""Seconds for one input."""
AGAIN = 3
"""How often one that took longer is tried again: on a computer with a load of 15 an HTTP request of 8 ms waited 3.9 s
for a core, and so did a repetition."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packets", type=int, default=10_000, help="inputs for each door")
    parser.add_argument("--door", help="only the doors whose name contains this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for inputs that are faults")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        doors = [door for door in open_doors(Path(folder)) if (options.door or "") in door.name]
        good = [fuzz(door, options) for door in doors]
    sys.exit(0 if all(good) else 1)


def fuzz(door: Door, options: argparse.Namespace) -> bool:
    """Whether there was no fault."""
    process = psutil.Process()
    for data in damaged(door.corpus, random.Random(0), 200):  # what libraries keep from their first use is no growth
        attempt(door, data)
    before, begin, slowest = process.memory_info().rss, time.perf_counter(), 0.0
    faults: dict[str, int] = {}
    for number, data in enumerate(damaged(door.corpus, random.Random(options.seed), options.packets)):
        start = time.perf_counter()
        fault = attempt(door, data)
        took = time.perf_counter() - start
        for _ in range(AGAIN if took >= LIMIT else 0):  # the computer may have been busy
            start = time.perf_counter()
            attempt(door, data)
            took = min(took, time.perf_counter() - start)
        slowest = max(slowest, took)
        if fault:
            faults[fault] = faults.get(fault, 0) + 1
            if options.keep and faults[fault] == 1:
                (options.keep / f"{door.name}-{options.seed}-{number}".replace(" ", "-")).write_bytes(data)
    result = {
        "kind": "fuzz",
        "door": door.name,
        "inputs": options.packets,
        "seconds": round(time.perf_counter() - begin, 1),
        "slowest_ms": round(1000 * slowest, 1),
        "memory_growth_mb": round((process.memory_info().rss - before) / 2**20, 1),
        "faults": faults,
    }
    print(json.dumps(result), flush=True)
    return not faults and slowest < LIMIT


def attempt(door: Door, data: bytes) -> str:
    """The fault that an input shows, "" for none."""
    try:
        door.enter(data)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:100]}"
    return ""


if __name__ == "__main__":
    main()
