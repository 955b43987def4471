"""Memory freed by one thread is used by later threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tpos_live.core.heap import give_back_later

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's arenas")

_SHOW = """
import sys, threading
from pathlib import Path
from tpos_live.core.heap import keep_pages, share_arenas
if sys.argv[1] == "shared":
    share_arenas()
keep_pages()
import random
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
def record(seed, barrier):
    chance = random.Random(seed)
    barrier.wait()  # all of them at once, as encoders, decoders and the engine's threads are
    for _ in range(3):
        [bytes(chance.randrange(200_000, 2_000_000)) for _ in range(6)]
before = resident()
for repetition in range(8):
    barrier = threading.Barrier(12)
    threads = [threading.Thread(target=record, args=(12 * repetition + n, barrier)) for n in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print(resident() - before)
"""


def grown(how: str) -> float:
    done = subprocess.run([sys.executable, "-c", _SHOW, how], capture_output=True, text=True, timeout=120, check=True)
    return float(done.stdout)


def test_threads_that_come_and_go_do_not_each_keep_memory() -> None:
    alone, shared = grown("alone"), grown("shared")
    assert alone > 60, "the control: each arena keeps what its threads needed"
    assert shared < 0.5 * alone, (alone, shared)


_ENDED = """
import random, sys, time
from pathlib import Path
from tpos_live.core.heap import give_back_later, keep_pages, share_arenas
share_arenas()
keep_pages()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
chance = random.Random(1)
blocks = [b"x" * chance.randrange(20_000, 200_000) for _ in range(1000)]
blocks = blocks[::4]
full = resident()
if sys.argv[1] == "ended":
    give_back_later(0.0)
end = time.monotonic() + 5
while resident() > full - 40 and time.monotonic() < end and sys.argv[1] == "ended":
    time.sleep(0.01)
print(full - resident())
"""


def test_memory_between_what_is_used_is_given_back() -> None:
    def given_back(how: str) -> float:
        done = subprocess.run([sys.executable, "-c", _ENDED, how], capture_output=True, text=True, timeout=60)
        return float(done.stdout)

    assert given_back("ended") > 40
    assert given_back("goes on") < 5, "the control"


_ENDS = """
import ctypes, sys, threading, time
from pathlib import Path
from tpos_live.core import heap
heap.share_arenas()
heap.keep_pages()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
library = ctypes.CDLL(None)  # its functions run at once in all threads
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
def work():
    blocks = [library.malloc(2**20) for _ in range(45)]
    [ctypes.memset(block, 1, 2**20) for block in blocks]
    [library.free(block) for block in blocks]
before = resident()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if sys.argv[1] == "trimmed":
    library.malloc_trim(0)
else:
    heap.give_back_later(0.0)
end = time.monotonic() + 5
while resident() > before + 8 and time.monotonic() < end and sys.argv[1] != "trimmed":
    time.sleep(0.01)
print(resident() - before)
"""


def test_memory_at_the_end_of_an_arena_is_given_back() -> None:
    def left(how: str) -> float:
        return float(subprocess.check_output([sys.executable, "-c", _ENDS, how], timeout=60))

    assert left("trimmed") > 20, "the control: malloc_trim leaves the end of all arenas but the first"
    assert left("given back") < 8


_HUGE = """
import sys
from pathlib import Path
import numpy as np
from tpos_live.core.heap import keep_pages, small_pages
if sys.argv[1] == "small":
    small_pages()
keep_pages()
blocks = [np.ones(mebibytes << 20, np.uint8) for mebibytes in range(4, 24)]
rows = dict(line.split()[:2] for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
print(rows["AnonHugePages:"])
"""


def gives_huge_pages_to_those_who_ask() -> bool:
    mode = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return mode.exists() and "[madvise]" in mode.read_text()


@pytest.mark.skipif(not gives_huge_pages_to_those_who_ask(), reason="a kernel that gives them to all, or to none")
def test_a_large_array_has_no_huge_pages() -> None:
    def huge(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", _HUGE, how], capture_output=True, text=True, timeout=60, check=True
        )
        return int(done.stdout)

    assert huge("as it is") > 0, "the control"
    assert huge("small") == 0


def test_a_system_that_gives_no_thread_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called at the end of a recording or a source, whose own error must not be replaced."""

    def fail(_timer: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    give_back_later()
