"""Damaged input for every door that reads bytes; `benchmarks/fuzz.py` does the same millions of times."""

from __future__ import annotations

import random
import time
from pathlib import Path

from fakes.fuzz_doors import damaged, open_doors

LIMIT = 2.0
"""Seconds for one input."""


CORPUS = Path(__file__).parent.parent / "fuzz_corpus"
"""Inputs that were faults once: DOOR--WHAT, spaces of the door's name as dashes."""


def test_what_was_a_fault_once_is_none(tmp_path: Path) -> None:
    doors = {door.name.replace(" ", "-"): door for door in open_doors(tmp_path)}
    kept = [path for path in sorted(CORPUS.iterdir()) if path.name.partition("--")[0] in doors]
    assert kept
    for path in kept:
        doors[path.name.partition("--")[0]].enter(path.read_bytes())


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
