"""The display's meters, read by other threads than the display's."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

from tpos_live.core.frame import Frame
from tpos_live.display.pacing import Meter, ShownMeter


def test_a_meter_is_read_while_another_thread_adds() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns after every microsecond
    meter, ended = Meter(0.01), threading.Event()

    def show() -> None:
        while not ended.is_set():
            meter.add(time.perf_counter(), 1.0)

    thread = threading.Thread(target=show)
    thread.start()
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert meter.rate(time.perf_counter()) >= 0.0 and meter.median() in (0.0, 1.0)
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(before)


def test_the_frame_of_a_show_that_died_has_no_latency() -> None:
    """It is shown until the engine is loaded again; its sound was that of another process."""
    meter, pixels = ShownMeter(lambda: 500.0), np.zeros((8, 8, 3), np.uint8)
    meter.note(500.0, Frame(pixels, -1, 0.0, 0.0, 0.0))
    assert meter.latency_ms == 0.0
    meter.note(500.1, Frame(pixels, 0, 1.0, 500.05, 500.1))
    assert round(meter.latency_ms) == 50
