"""Soak test: a show with a live input for hours, with random actions, checked against fixed limits.

    python benchmarks/soak.py --fake --hours 6 --csv soak.csv

Every few seconds there is a random action: look, prompt, source, flood of OSC, lost input, recording or window size.
The same `--seed` gives the same order. `--quiet` has no actions and one recording; `--only fullscreen --every 1`
repeats one kind, so that a leak shows within minutes. Every ten seconds a line of CSV has memory (`soak_memory.py`),
frame rates, latency, losses and statistics of the image. Every four minutes the actions pause for a sample `at_rest`,
always in the same state; only these samples decide whether memory grows. At the end every recording is read, and a JSON
line says for each promise whether it was kept; the exit status is 1 if one was not. Needs a display and an input;
`--fake` starts Xvfb and a PulseAudio null sink (the tests' fakes).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from soak_actions import KINDS, Actions, kinds
from soak_memory import memory

from tpos_live.bench.waiting import run_until_fastest_backend
from tpos_live.core.settings import Settings
from tpos_live.runtime.live_session import LiveSession

SAMPLE = 10.0
"""Seconds between two samples."""
ACTION = 4.0
"""Seconds between two actions."""
WARM = 600.0
"""Seconds after which memory must not grow."""
REST, SETTLE = 240.0, 20.0
"""Seconds between two samples at rest (no source, no recording, the same small window), and between the begin of the
rest and its sample. The window's size is part of the state: 720p alone takes 20 MB more than a small window."""
APART = 0.04
"""Largest allowed difference between the lengths of sound and video of a recording, in seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="added to the hours; 5 without either")
    parser.add_argument("--device", default="mic")
    parser.add_argument("--size", default="256")
    parser.add_argument("--window", default="1280x720")
    parser.add_argument("--fake", action="store_true", help="start a display and a microphone from nothing")
    parser.add_argument("--only", type=kinds, default=KINDS, help=f"kinds of actions, by commas: {', '.join(KINDS)}")
    parser.add_argument("--every", type=float, default=ACTION, help="seconds between two actions")
    parser.add_argument("--quiet", action="store_true", help="no actions: one recording from start to end")
    parser.add_argument("--seed", type=int, default=25)
    parser.add_argument("--csv", type=Path, help="file for the samples")
    options = parser.parse_args()
    if set(options.only) == {"input"} and not options.fake:
        parser.error("argument --only: input needs --fake")
    with ExitStack() as stack:
        mic = start_fakes(options, stack) if options.fake else None
        kept = soak(options, Path(stack.enter_context(tempfile.TemporaryDirectory())), mic)
    sys.exit(0 if kept else 1)


def seconds_of(options: argparse.Namespace) -> float:
    return float(3600 * options.hours + 60 * options.minutes) or 300.0


def start_fakes(options: argparse.Namespace, stack: ExitStack) -> Any:
    """Start a display and a microphone that plays the demo track for the whole time."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from fakes.fake_mic import fake_microphone
    from fakes.xvfb import one_screen

    from tpos_live.audio.demo import DEMO
    from tpos_live.audio.files import read_audio
    from tpos_live.core.heap import small_pages

    small_pages()  # so that the track's memory is not counted as the show's
    os.environ["DISPLAY"] = stack.enter_context(one_screen())
    mic = stack.enter_context(fake_microphone())
    options.device = mic.device
    track = read_audio(DEMO)
    mic.play(np.tile(track, (int(min(seconds_of(options), 3600) / (len(track) / 48_000)) + 3, 1)))
    return mic


def settings_of(options: argparse.Namespace, folder: Path) -> Settings:
    from tpos_live.core.settings_loader import load_settings

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return load_settings(
        {
            "sound.device": options.device,
            "engine.size": options.size,
            "window.size": options.window,
            "record.file": str(folder / "first.mp4"),
            "record.folder": str(folder),
            "osc.port": port,
        }
    )


class Sampler:
    """Takes samples of memory, frame rates, losses and image statistics."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        self._begin = self._since = time.perf_counter()
        self._drawn = self._shown = 0
        self._before: np.ndarray | None = None
        self.rows: list[dict[str, float]] = []

    def sample(self, at_rest: bool = False) -> dict[str, float]:
        session, now = self._session, time.perf_counter()
        drawn, shown = session.renderer.drawn if session.renderer else 0, session.display.meter.count
        took, status = now - self._since, session.status_registry.status()
        newest = session.display.interpolator.newest
        pixels = newest.pixels.astype(np.float32) if newest is not None else np.zeros((1, 1, 3), np.float32)
        before = self._before if self._before is not None and self._before.shape == pixels.shape else pixels + 255
        row = {
            "seconds": now - self._begin,
            "at_rest": float(at_rest),
            **memory(),
            "engine_fps": (drawn - self._drawn) / took,
            "shown_fps": (shown - self._shown) / took,
            "latency_ms": status.latency_ms,
            "samples_lost": status.samples_lost,
            "record_dropped": status.record_dropped,
            "mean": float(pixels.mean()),
            "deviation": float(pixels.std()),
            "change": float(np.abs(pixels - before).mean()),
        }
        self._since, self._drawn, self._shown, self._before = now, drawn, shown, pixels
        self.rows.append(row)
        return row


def soak(options: argparse.Namespace, folder: Path, mic: Any) -> bool:
    """Run the show and print the result; returns whether every promise was kept."""
    from tpos_live.bench.session import machine
    from tpos_live.core.messages import terminal_messages

    out = (options.csv or folder / "soak.csv").open("w", newline="")
    with out, terminal_messages(), LiveSession(settings_of(options, folder)) as session:
        run_until_fastest_backend(session)
        sampler, actions = Sampler(session), Actions(session, mic, options.seed, options.only)
        writer: csv.DictWriter[str] | None = None
        now = time.perf_counter()
        end, sample_at, act_at, rest_at = now + seconds_of(options), now + SAMPLE, now + options.every, now + REST
        rested = False
        while now < end:
            until = min(end, sample_at, act_at if not options.quiet else end)
            session.display.run(lambda until=until: time.perf_counter() >= until)  # type: ignore[misc]
            now = time.perf_counter()
            if now >= rest_at and not options.quiet:
                actions.rest()
                rested, rest_at, sample_at, act_at = True, now + REST, now + SETTLE, now + SETTLE
            elif now >= act_at and not options.quiet and not rested:
                actions.act()
                act_at += options.every
            if now >= sample_at:
                row, rested = sampler.sample(at_rest=rested or options.quiet), False
                writer = writer or csv.DictWriter(out, list(row))
                if len(sampler.rows) == 1:
                    writer.writeheader()
                writer.writerow({name: round(value, 3) for name, value in row.items()})
                out.flush()
                sample_at += SAMPLE
        failures = list(session.controls.recordings.failures)
    promises = check_promises(sampler.rows, [apart(path) for path in sorted(folder.glob("*.mp4"))], failures)
    if "input" in actions.counts:
        del promises["no_samples_lost"]  # the input was taken away
    result = {
        "kind": "soak",
        "minutes": round(seconds_of(options) / 60, 1),
        "kept": {name: kept for name, (kept, _) in promises.items()},
        "figures": {name: figure for name, (_, figure) in promises.items()},
        "actions": actions.counts,
        **machine(),
    }
    print(json.dumps(result), flush=True)
    return all(kept for kept, _ in promises.values())


def check_promises(
    rows: list[dict[str, float]], lengths_apart: list[float], failures: list[str]
) -> dict[str, tuple[bool, float]]:
    """For each promise whether it was kept, and the measured figure."""

    def each(test: Callable[[dict[str, float]], bool]) -> tuple[bool, float]:
        count = sum(map(test, rows))
        return count == 0, float(count)

    late = [row for row in rows if row["seconds"] > WARM]
    growth = 0.0
    if len(rest := [row for row in late if row["at_rest"]]) > 2:
        growth = float(3600 * np.polyfit([row["seconds"] for row in rest], [row["rss_mb"] for row in rest], 1)[0])
    more = dict.fromkeys(("threads", "handles"), 0.0)
    if len(late) > 30:
        for name in more:
            values = [row[name] for row in late]
            more[name] = float(np.median(values[len(values) // 2 :]) - np.median(values[: len(values) // 2]))
    lost = float(rows[-1]["samples_lost"])
    worst = max(lengths_apart, default=0.0)
    return {
        "memory_mb_per_hour_at_most_1": (growth <= 1.0, round(growth, 2)),
        "no_more_threads": (more["threads"] < 3, more["threads"]),
        "no_more_handles": (more["handles"] < 5, more["handles"]),
        "no_samples_lost": (lost == 0, lost),
        "samples_black": each(lambda row: row["mean"] < 2),
        "samples_blown_out": each(lambda row: row["mean"] > 250),
        "samples_without_detail": each(lambda row: row["deviation"] < 2),
        "samples_frozen": each(lambda row: row["change"] < 0.05),
        "no_recording_lost": (not failures, float(len(failures))),
        "sound_and_picture_40_ms": (worst <= APART, round(worst, 3)),
    }


def apart(path: Path) -> float:
    """Seconds between the ends of sound and video in a recording."""
    import av

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        ends = [float((stream.duration or 0) * (stream.time_base or 0)) for stream in (video, audio)]
    return abs(ends[0] - ends[1])


if __name__ == "__main__":
    main()
