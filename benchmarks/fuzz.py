"""Fuzzes every interface that reads bytes ("door") with damaged input.

    python benchmarks/fuzz.py --packets 1000000 [--door osc] [--seed 1]

Prints a JSON line each minute and for each door: inputs, seconds, the slowest input, faults, and the growth of memory.
The first input of each kind of fault is written to the folder of `--keep`. The exit status is 1 if there was a fault,
an input took 2 s, or memory grew. The doors are in `tests/fakes/fuzz_doors.py`; the test suite tries each with 150
inputs. `fuzz_guided.py` is guided by coverage instead.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from soak_memory import memory

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fakes.fuzz_doors import Door, damaged, kept_inputs, open_doors

LIMIT = 2.0
"""Seconds for one input."""
AGAIN = 3
"""How often an input over LIMIT is repeated: with a system load of 15, an HTTP request of 8 ms waited 3.9 s for a core,
and so did its repetition."""
WARM = 0.2
"""Share of the inputs after which memory must not grow: by then bounded caches are full and libraries have allocated
what they need on first use."""
EVERY = 60.0
"""Seconds between two lines about a door."""
MOST_BLOCKS = 20_000
"""Allowed growth after that, in Python's memory blocks (up to 512 bytes each)."""
MOST_MB = 4.0
"""Allowed growth after that, in MB of the C heap, where the C library reports it (Linux)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packets", type=int, default=10_000, help="inputs for each door")
    parser.add_argument("--door", help="only the doors whose name contains this; =NAME: only the door of this name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for inputs that are faults")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        wanted = options.door or ""
        doors = [door for door in open_doors(Path(folder)) if wanted == f"={door.name}" or wanted in door.name]
        good = [fuzz(door, options) for door in doors]
    sys.exit(0 if all(good) else 1)


class Tally:
    """Passes inputs to a door and counts its faults."""

    def __init__(self, door: Door, keep: Path | None = None) -> None:
        """keep: folder for the first input of each fault, and for each that took LIMIT."""
        self._door, self._keep = door, keep
        self._begin = self._told = time.perf_counter()
        self.inputs = 0
        self.slowest = 0.0
        """Seconds; for an input over LIMIT the shortest of its repetitions."""
        self.faults: dict[str, int] = {}

    def enter(self, data: bytes) -> None:
        """Pass one input to the door."""
        self.inputs += 1
        took, fault = self._attempt(data)
        for _ in range(AGAIN if took >= LIMIT else 0):  # the computer may have been busy
            took = min(took, self._attempt(data)[0])
        self.slowest = max(self.slowest, took)
        if took >= LIMIT:
            fault = "too slow"
        if fault:
            self.faults[fault] = self.faults.get(fault, 0) + 1
            if self._keep and self.faults[fault] == 1:
                (self._keep / f"{self._door.name.replace(' ', '-')}--{self.inputs}").write_bytes(data)
        if time.perf_counter() > self._told + EVERY:
            self._told = time.perf_counter()
            print(json.dumps({**self.result(), "ended": False}), flush=True)

    def result(self) -> dict[str, object]:
        """The figures so far, as printed."""
        return {
            "kind": "fuzz",
            "door": self._door.name,
            "inputs": self.inputs,
            "seconds": round(time.perf_counter() - self._begin, 1),
            "slowest_ms": round(1000 * self.slowest, 1),
            "faults": self.faults,
        }

    def _attempt(self, data: bytes) -> tuple[float, str]:
        start, fault = time.perf_counter(), ""
        try:
            self._door.enter(data)
        except Exception as error:
            fault = f"{type(error).__name__}: {str(error)[:100]}"
        return time.perf_counter() - start, fault


def fuzz(door: Door, options: argparse.Namespace) -> bool:
    """Whether there was no fault."""
    tally = Tally(door, options.keep)
    before: dict[str, float] = {}
    corpus = [*door.corpus, *kept_inputs(door)]
    for data in damaged(corpus, random.Random(options.seed), options.packets):
        if tally.inputs == int(WARM * options.packets):
            before = kept()
        tally.enter(data)
    grown = {name: round(value - before[name], 2) for name, value in kept().items()}
    grows = grown["blocks"] > MOST_BLOCKS or grown["used_mb"] > MOST_MB
    print(json.dumps({**tally.result(), "kept": grown, "grows": grows}), flush=True)
    return not tally.faults and not grows


def kept() -> dict[str, float]:
    """Memory in use by this process: Python's blocks, and MB of the C heap (0 where the system does not report it)."""
    gc.collect()
    now = memory()
    return {"blocks": now["blocks"], "used_mb": now.get("used_mb", 0.0)}


if __name__ == "__main__":
    main()
