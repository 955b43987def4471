"""kill -9 while recording, at 20 random moments: the file that is left plays, up to its last second.

The clock is the sound's, and the show waits for the recorder's thread: what a busy machine delays does not count."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.waiting import wait_until

from tpos_live.display.encoded_output import DELAY
from tpos_live.display.recorder import Recorder

SIZE = (160, 90)
KILLS = 20
AT_ONCE = 5


def record(path: Path, given: Synchronized[float]) -> None:
    """Record until this process is killed. given: seconds of sound given to the recorder so far."""
    recorder = Recorder(path, clock=lambda: given.value)
    recorder.open(SIZE)
    shown = 0
    for block in range(1, 1000):
        now = block * 0.01
        recorder.sound(np.full((480, 2), 0.1, np.float32), now)
        while shown / 30 <= now:
            recorder.send(np.full((SIZE[1], SIZE[0], 3), shown % 200, np.uint8), shown / 30)
            shown += 1
        given.value = now
        if not wait_until(lambda now=now: recorder.error or recorder.seconds >= now - DELAY - 2 / 30):  # type: ignore[misc]
            break


def seconds_that_play(part: Path, kind: str) -> float:
    """The end of the last picture or sound that decodes, as in a player: the kill may cut the last packet off."""
    end = 0.0
    with av.open(str(part)) as file:
        for packet in file.demux(**{kind: 0}):
            try:
                decoded = packet.decode()
            except av.InvalidDataError:
                break
            end = max([end, *(float(frame.time or 0) for frame in decoded)])
    return end


@pytest.mark.slow
@pytest.mark.timeout(600)
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
            given = context.Value("d", 0.0)
            child = context.Process(target=record, args=(path, given), daemon=True)
            child.start()
            running.append((moment, path, child, given))
        for moment, path, child, given in running:
            while given.value < moment and child.is_alive():
                time.sleep(0.002)
            assert given.value >= moment, "the recorder has stopped"
            child.kill()
            child.join(10)
            part = path.with_suffix(".part.mp4")
            if given.value < 1.0 and not part.exists():
                continue  # no second has passed
            for kind in ("video", "audio"):
                plays = seconds_that_play(part, kind)
                assert plays >= given.value - 1.0, (moment, kind, plays, given.value)
