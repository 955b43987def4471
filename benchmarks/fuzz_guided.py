"""Coverage-guided fuzzing of one interface ("door") with libFuzzer, by atheris (`pip install atheris`).

    python benchmarks/fuzz_guided.py osc --inputs 1000000 --corpus FOLDER [--found FOLDER]
    python benchmarks/fuzz_guided.py osc --corpus FOLDER --keep 20

The first command adds each input that reaches new code to the corpus. The corpus starts with the door's valid inputs
and `tests/fuzz_corpus`; a second run continues with it. It prints a JSON line each minute and at the end. Inputs that
cause a fault, or take 2 s, go to `--found`. The second command copies the files with the largest coverage to
`tests/fuzz_corpus`: at most `--keep` files of up to 2 kB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
READERS = ("tpos_live", "pythonosc", "websockets", "mido", "safetensors")
"""Packages whose coverage guides the search. Codecs in C (images, sound, video) are not instrumented; use `fuzz.py` for
those doors."""
with atheris.instrument_imports(include=list(READERS)):
    from fakes.fuzz_doors import CORPUS, damaged, kept_inputs, open_doors
    from fakes.fuzz_network import Door
    from fuzz import Tally

Step = tuple[str, int, int]
LARGEST = 2048
"""Largest file for the repository, in bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("door")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--found", type=Path, help="folder for faults")
    parser.add_argument("--keep", type=int, default=0, help="do not fuzz: copy at most so many files to the repository")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    options.corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        doors = {door.name.replace(" ", "-"): door for door in open_doors(Path(folder))}
        (choose if options.keep else run)(doors[options.door], options)


def run(door: Door, options: argparse.Namespace) -> None:
    """Fuzz the door. Does not return: libFuzzer ends the process."""
    for data in [*door.corpus, *kept_inputs(door)]:
        (options.corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
    tally = Tally(door, options.found)

    def enter(data: bytes) -> None:
        tally.enter(data)
        if tally.inputs >= options.inputs:
            files = sum(1 for _ in options.corpus.iterdir())
            print(json.dumps({**tally.result(), "guided": True, "corpus": files}), flush=True)
            os._exit(bool(tally.faults))  # libFuzzer would not run what ends this process

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        """Mutate by libFuzzer (70 %) or by the mutations of the test suite."""
        chance = random.Random(seed)
        if chance.random() < 0.7:
            return bytes(atheris.Mutate(data, longest))
        return next(damaged([data], chance, 1))[:longest]

    hangs = ["-timeout=60", "-rss_limit_mb=0", "-verbosity=0", f"-artifact_prefix={options.found or options.corpus}/"]
    atheris.Setup([sys.argv[0], f"-seed={options.seed}", *hangs, str(options.corpus)], enter, custom_mutator=mutate)
    atheris.Fuzz()


def choose(door: Door, options: argparse.Namespace) -> None:
    """Copy to the repository the files that, one after another, add the most steps (greedy set cover)."""
    files = [path for path in sorted(options.corpus.iterdir()) if 0 < path.stat().st_size <= LARGEST]
    steps = {path: steps_of(door, path.read_bytes()) for path in files}
    reached: set[Step] = set()
    for data in [*door.corpus, *kept_inputs(door)]:
        reached |= steps_of(door, data)
    for _ in range(options.keep):
        best = max(files, key=lambda path: (len(steps[path] - reached), -path.stat().st_size), default=None)
        if best is None or not steps[best] - reached:
            return
        reached |= steps[best]
        data = best.read_bytes()
        (CORPUS / f"{options.door}--{hashlib.sha1(data).hexdigest()[:8]}").write_bytes(data)


def steps_of(door: Door, data: bytes) -> set[Step]:
    """All steps (file, line, next line) in functions of READERS that an input reaches."""
    steps: set[Step] = set()

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., object] | None:
        name = frame.f_code.co_filename
        if not any(part in name for part in READERS):
            return None
        last = frame.f_lineno

        def step(frame: FrameType, event: str, _argument: object) -> Callable[..., object]:
            nonlocal last
            steps.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return step

        return step

    sys.settrace(trace)
    try:
        door.enter(data)
    except Exception:
        pass  # faults are written to --found
    finally:
        sys.settrace(None)
    return steps


if __name__ == "__main__":
    main()
