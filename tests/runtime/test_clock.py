"""Setting the computer's clock during a show changes nothing: every interval is of a monotonic clock.

`tests/test_style.py` names the modules that may ask what time it is.
"""

from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime.live_session import LiveSession

HOUR = 3600.0
PART = 1.5
"""Seconds between two changes of the clock."""


@pytest.mark.slow
def test_a_show_goes_on_when_the_clock_is_set_back_and_forward(
    turbo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    soundfile.write(tmp_path / "noise.wav", 0.2 * np.random.default_rng(0).standard_normal((48_000 * 60, 2)), 48_000)
    chosen = {
        "engine.name": str(turbo_folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1,
        "sound.audio": str(tmp_path / "noise.wav"), "sound.mute": True, "window.headless": True, "osc.port": 0,
        "record.resolution": "160x96", "record.folder": str(tmp_path), "record.file": str(tmp_path / "show.mp4"),
    }  # fmt: skip
    clock, clock_ns, offset = time.time, time.time_ns, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + offset[0])
    monkeypatch.setattr(time, "time_ns", lambda: clock_ns() + int(1e9 * offset[0]))
    moments: list[tuple[float, float, float]] = []
    with LiveSession(load_settings(chosen)) as session:
        run_until_first_frame(session)
        begin = time.perf_counter()
        for part, to in enumerate((0.0, -HOUR, HOUR), 1):
            offset[0] = to
            drawn, shown = session.renderer.drawn if session.renderer else 0, session.display.meter.count

            def over(until: float = begin + part * PART) -> bool:
                params = session.audio_processor.params
                moments.append((time.perf_counter(), params.time, params.noise_position))
                return time.perf_counter() > until

            session.run_until(over)
            assert session.renderer is not None and session.renderer.drawn > drawn, "the engine stalls"
            assert session.display.meter.count > shown + 5 * PART, "the display stalls"
        uptime = session.status_registry.status().uptime
    at, heard, moved = np.diff(np.array(moments), axis=0).T
    assert np.abs(np.array(moments)[:, 1] - np.array(moments)[:, 0] - (moments[0][1] - moments[0][0])).max() < 1.0
    assert heard.min() >= 0 and moved.min() >= 0 and moved.max() < 1.0 + 10 * at.max(), "no jump"
    assert 3 * PART < uptime < 120
    with av.open(str(tmp_path / "show.mp4")) as file:
        stream = file.streams.video[0]
        assert 3 * PART - 0.7 < float((stream.duration or 0) * stream.time_base) < 60
    assert not [line for line in messages if "lost" in line], messages
