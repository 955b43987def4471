"""kill -9 while recording, at 20 random moments: what is left can be played, all but the last second."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import pytest
from test_video import frames_of, sound_of

from tpos_live.display.recorder import Recorder

SIZE = (160, 90)
KILLS = 20
AT_ONCE = 5


def record(path: Path, given: Synchronized[float], lag: Synchronized[float]) -> None:
    """Record in real time until this process is killed. given: seconds of sound given to the recorder so far, lag:
    seconds that the recorder says it is late."""
    recorder = Recorder(path)
    recorder.open(SIZE)
    begin, block, shown = time.perf_counter(), 0, 0
    while not recorder.error:
        now = time.perf_counter() - begin
        while (block + 1) * 0.01 <= now:
            block += 1
            recorder.sound(np.full((480, 2), 0.1, np.float32), begin + block * 0.01)
        while shown / 30 <= now:
            recorder.send(np.full((SIZE[1], SIZE[0], 3), shown % 200, np.uint8), begin + shown / 30)
            shown += 1
        given.value, lag.value = block * 0.01, max(lag.value, recorder.lag)
        time.sleep(0.003)


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="no SIGKILL on this system")
def test_all_but_the_last_second_of_a_killed_recording_plays(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["av", "tpos_live.display.recorder"])
    chance = random.Random(25)
    moments = sorted(chance.uniform(0.8, 4.0) for _ in range(KILLS))
    for first in range(0, KILLS, AT_ONCE):
        running = []
        for moment in moments[first : first + AT_ONCE]:
            path = tmp_path / f"{moment:.3f}.mp4"
            given, lag = context.Value("d", 0.0), context.Value("d", 0.0)
            child = context.Process(target=record, args=(path, given, lag), daemon=True)
            child.start()
            running.append((moment, path, child, given, lag))
        for moment, path, child, given, lag in running:
            end = time.monotonic() + 60
            while given.value < moment and child.is_alive() and time.monotonic() < end:
                time.sleep(0.001)
            child.kill()
            child.join(10)
            part, late = path.with_suffix(".part.mp4"), max(lag.value - 0.1, 0.0)  # of a busy machine
            if given.value < 1.0 + late and not part.exists():
                continue  # no second has passed
            frames, sound = frames_of(part), sound_of(part)
            assert frames[-1][0] >= given.value - 1.0 - late, (moment, frames[-1][0], given.value)
            assert len(sound) / 48000 >= given.value - 1.0 - late, (moment, len(sound) / 48000, given.value)
