"""A show from a live input, with window and recorder on, watched for minutes.

    python benchmarks/soak.py --minutes 5 --device tpos_mic

Prints a JSON line a minute (rates, losses, memory) and one at the end: growth of memory from minute 1 on,
losses, and how far sound and picture of the recording lie apart. Needs a display and an input; with
`--fake` it starts Xvfb and a PulseAudio null sink of its own (the tests' fakes).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--device", default="mic")
    parser.add_argument("--size", default="256")
    parser.add_argument("--window", default="1280x720")
    parser.add_argument("--fake", action="store_true", help="start a display and a microphone from nothing")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.fake:
            sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
            from fakes.fake_mic import fake_microphone
            from fakes.xvfb import one_screen

            from tpos_live.audio.demo import DEMO
            from tpos_live.audio.files import read_audio

            os.environ["DISPLAY"] = stack.enter_context(one_screen())
            mic = stack.enter_context(fake_microphone())
            options.device = mic.device
            import numpy as np

            track = read_audio(DEMO)
            mic.play(np.tile(track, (int(options.minutes * 60 / (len(track) / 48_000)) + 3, 1)))
        soak(options, Path(stack.enter_context(tempfile.TemporaryDirectory())))


def soak(options: argparse.Namespace, folder: Path) -> None:
    import av

    from tpos_live.bench.session import machine
    from tpos_live.core.messages import terminal_messages
    from tpos_live.core.settings_loader import load_settings
    from tpos_live.runtime.live_session import LiveSession

    out = folder / "soak.mp4"
    settings = load_settings(
        {
            "sound.device": options.device,
            "engine.size": options.size,
            "window.size": options.window,
            "record.file": str(out),
            "osc.port": 0,
        }
    )
    process, minutes = psutil.Process(), []
    with terminal_messages(), LiveSession(settings) as session:
        session.run_until_fastest_backend()
        begin = time.perf_counter()
        for minute in range(1, round(options.minutes) + 1):
            drawn, shown, since = session.renderer.drawn, session.display.meter.count, time.perf_counter()
            end = begin + 60 * minute
            session.display.run(lambda end=end: time.perf_counter() >= end)
            took = time.perf_counter() - since
            status = session.status_registry.status()
            row = {
                "minute": minute,
                "accelerator": status.backend,
                "engine_fps": round((session.renderer.drawn - drawn) / took, 2),
                "shown_fps": round((session.display.meter.count - shown) / took, 2),
                "latency_ms": round(status.latency_ms, 1),
                "samples_lost": status.samples_lost,
                "record_dropped": status.record_dropped,
                "rss_mb": round(process.memory_info().rss / 2**20, 1),
            }
            minutes.append(row)
            print(json.dumps(row), flush=True)
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        frames = sum(1 for _ in container.decode(video)) / float(video.average_rate or 30)
        container.seek(0)
        sound = sum(frame.samples for frame in container.decode(audio)) / audio.rate
    result = {
        "kind": "soak",
        "minutes": options.minutes,
        "memory_growth_mb": round(minutes[-1]["rss_mb"] - minutes[0]["rss_mb"], 1),
        "samples_lost": minutes[-1]["samples_lost"],
        "picture_s": round(frames, 3),
        "sound_s": round(sound, 3),
        **machine(),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
