"""Damaged input for every function that parses bytes; `benchmarks/fuzz.py` does the same millions of times."""

from __future__ import annotations

import random
import time
from pathlib import Path

from fakes.fuzz_doors import CORPUS, damaged, kept_inputs, open_doors

LIMIT = 2.0
"""Seconds for one input."""


def test_inputs_of_the_corpus_cause_no_fault(tmp_path: Path) -> None:
    """The corpus: inputs of past faults, and inputs that reach the most lines."""
    entered = 0
    for door in open_doors(tmp_path):
        for data in kept_inputs(door):
            door.enter(data)
            entered += 1
    assert entered == len(list(CORPUS.iterdir())), "a door has another name now"


def test_any_bytes_give_a_result_or_one_line(tmp_path: Path) -> None:
    for door in open_doors(tmp_path):
        chance = random.Random(door.name)
        for good in door.corpus:
            door.enter(good)
        for data in damaged(door.corpus, chance, 150):
            begin = time.perf_counter()
            try:
                door.enter(data)
            except Exception as error:
                raise AssertionError(f"{door.name}: {data!r}") from error
            assert time.perf_counter() - begin < LIMIT, (door.name, data)
