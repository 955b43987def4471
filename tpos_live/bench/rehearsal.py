"""`tpos-live doctor --show`: runs a show with tonight's settings for a minute, and reports problems.

`observe` runs the show as `tpos-live` does, and records a Moment twice per second; `check_moments` is a pure function
of the moments.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from tpos_live.bench.findings import Finding, print_findings
from tpos_live.bench.waiting import run_until_fastest_backend, run_until_first_frame
from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.messages import LineHandler, handling
from tpos_live.core.paths import cache_dir
from tpos_live.core.settings import Settings
from tpos_live.core.status import Status
from tpos_live.display.screens import has_display
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.named_files import check_show
from tpos_live.runtime.stop_signals import stop_signals

EVERY = 0.5
"""Seconds between two recorded moments."""
SETTLING = 5.0
"""Seconds after the last change of backend before the first moment."""
SLOW_FPS, LATE_MS, KEPT_RATE = 12.0, 150.0, 0.97
"""Limits: engine frames per second for smooth motion; latency above which kicks look late; seconds of sound per second
that the audio encoder must process."""
BLACK, STILL = 2.0, 0.02
"""Mean level (of 255) below which an image is black, and mean change between two moments below which it is static."""
GROWTH_MB_H = 100.0
_MOST_LINES = 5


@dataclass(frozen=True)
class Moment:
    """State of the show at one time. time: perf_counter. encoded: seconds of sound that the audio encoder has
    processed. image: float32 [18, 32], mean of the channels of the newest frame, 0 to 255; None before the first
    frame."""

    time: float
    status: Status
    encoded: float
    image: np.ndarray | None


@dataclass(frozen=True)
class Rehearsal:
    """Record of a trial. moments: after SETTLING. first_frame: seconds from the start. warnings: lines that the
    performer saw. osc_port, web_port: ports in use, 0 for none. screens: connected ones, () without a display."""

    moments: Sequence[Moment]
    first_frame: float
    warnings: Sequence[str] = ()
    osc_port: int = 0
    web_port: int = 0
    screens: Sequence[str] = ()


def rehearse(settings: Settings, seconds: float, hours: float) -> int:
    """Run a show for `seconds`, and print one line per check. Returns 0 if a show of `hours` would work, else 1."""
    findings = [_cache(cache_dir())]
    try:
        check_show(settings, demo=False)
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=_folder(settings)) as folder:
            findings += check_moments(observe(_trial_settings(settings, Path(folder)), seconds), settings, hours)
    except click.exceptions.Abort:
        raise
    except Exception as error:  # an error that prevents the show is the finding
        findings.append(Finding("show", False, first_line(error, 300)))
    return 0 if print_findings(findings) else 1


def _folder(settings: Settings) -> Path:
    """The folder of tonight's recording."""
    return Path(settings.record.file).parent if settings.record.file else Path(settings.record.folder or ".")


def _trial_settings(settings: Settings, folder: Path) -> Settings:
    """The settings for the trial: the recording goes to `folder`, and the show has no time limit."""
    record = settings.record
    if record.file:
        record = record.model_copy(update={"file": str(folder / "rehearsal.mp4")})
    headless = settings.window.headless or not has_display()
    window = settings.window.model_copy(update={"headless": headless})
    return settings.model_copy(update={"record": record, "window": window, "seconds": 0.0})


def observe(settings: Settings, seconds: float) -> Rehearsal:
    """Run a show for `seconds` after its fastest backend has settled. Raises EngineError, and other errors that prevent
    it."""
    warnings: list[str] = []
    moments: list[Moment] = []
    keep = LineHandler(lambda line: warnings.append(line) if line not in warnings else None, logging.WARNING)
    with handling(keep), stop_signals() as stop, LiveSession(settings, stop=stop, page=True) as session:
        click.echo("loading the engine …", err=True)
        first_frame = run_until_first_frame(session)
        pipeline = session.engine_loader.pipeline
        if pipeline is not None and pipeline.refused:
            raise EngineError(pipeline.refused)
        run_until_fastest_backend(session)
        start = time.perf_counter() + SETTLING
        click.echo(f"trying the show for {seconds:g} s …", err=True)

        def done() -> bool:
            now = time.perf_counter()
            if now >= start + len(moments) * EVERY:
                moments.append(_moment(session, now))
            return now >= start + seconds or stop.is_set()

        session.display.run(done)
        if stop.is_set():
            raise click.exceptions.Abort
        return Rehearsal(moments, first_frame, warnings, session.osc.port, session.page.port, _screens())


def _moment(session: LiveSession, now: float) -> Moment:
    embedding, frame = session.audio_processor.embedding.latest(), session.display.interpolator.newest
    image = None
    if frame is not None:
        height, width, _ = frame.pixels.shape
        rows, columns = (np.linspace(0, size - 1, count).astype(int) for size, count in ((height, 18), (width, 32)))
        image = frame.pixels[rows][:, columns].astype(np.float32).mean(axis=2)
    return Moment(now, session.status_registry.status(), embedding.time if embedding else 0.0, image)


def _screens() -> tuple[str, ...]:
    if not has_display():
        return ()
    from pyglet.display import get_display

    from tpos_live.display.screens import Screens

    return tuple(str(screen) for screen in Screens(get_display()).all)


def check_moments(trial: Rehearsal, settings: Settings, hours: float) -> list[Finding]:
    """Check the recorded moments for a show of `hours` with these settings."""
    if len(trial.moments) < 2:
        return [Finding("show", False, "nothing was recorded: the show ended at once")]
    checks = (_engine, _image, _sound, _encoder, _memory)
    findings = [finding for check in checks for finding in check(trial)]
    findings += [*_recording(trial, settings, hours), *_ports(trial, settings), *_screen(trial, settings)]
    findings += [Finding("message", None, line) for line in trial.warnings[:_MOST_LINES]]
    return findings


def _median(trial: Rehearsal, field: str) -> float:
    return float(np.median([getattr(moment.status, field) for moment in trial.moments]))


def _engine(trial: Rehearsal) -> Iterator[Finding]:
    last = trial.moments[-1].status
    fps, late = _median(trial, "engine_fps"), _median(trial, "latency_ms")
    what = f"{last.engine} on {last.backend}, {last.size[0]}x{last.size[1]}: {fps:.0f} frames per second"
    why = f" ({last.fallback_reason})" if last.fallback_reason else ""
    if fps < SLOW_FPS:
        yield Finding("engine", None, f"{what}; motion is smooth from {SLOW_FPS:g}: take a smaller --size{why}")
    else:
        yield Finding("engine", True, f"{what}, the first after {trial.first_frame:.0f} s{why}")
    advice = "" if late <= LATE_MS else f"; kicks look late above {LATE_MS:g}: take a smaller --size"
    yield Finding("latency", True if late <= LATE_MS else None, f"{late:.0f} ms from sound to image{advice}")


def _image(trial: Rehearsal) -> Iterator[Finding]:
    images = [moment.image for moment in trial.moments if moment.image is not None]
    if not images:
        yield Finding("image", False, "the engine made no frame")
    elif max(image.mean() for image in images) < BLACK:
        yield Finding("image", False, "black: the prompt, the engine or out.level is the cause; try `tpos-live still`")
    elif max(np.abs(b - a).mean() for a, b in pairwise(images)) < STILL:
        yield Finding("image", False, "it does not move: is pause or out.freeze on, or seed.walk 0?")
    else:
        yield Finding("image", True, f"moves, mean level {np.mean([image.mean() for image in images]):.0f} of 255")


def _sound(trial: Rehearsal) -> Iterator[Finding]:
    last = trial.moments[-1].status
    broken = sum(moment.status.sound_state not in ("running", "ended") for moment in trial.moments)
    lost = last.samples_lost - trial.moments[0].status.samples_lost
    if last.sound_state not in ("running", "ended"):
        yield Finding("sound", False, f"{last.sound_name}: {last.sound_state}; connect it, or choose with --device")
    elif broken or lost:
        share = broken / len(trial.moments)
        text = f"{last.sound_name}: away {share:.0%} of the time, {lost} samples lost; check the cable and its driver"
        yield Finding("sound", None, text)
    elif not any(moment.status.gate for moment in trial.moments):
        yield Finding("sound", None, f"{last.sound_name}: silence; play something, or choose another with --device")
    else:
        level = max(moment.status.level for moment in trial.moments)
        yield Finding("sound", True, f"{last.sound_name}: heard, level up to {level:.2f} of 1")


def _encoder(trial: Rehearsal) -> Iterator[Finding]:
    first, last = trial.moments[0], trial.moments[-1]
    rate = (last.encoded - first.encoded) / max(last.time - first.time, 1e-6)
    text = f"{first.status.encoder} takes {rate:.2f} seconds of sound per second"
    kept = rate >= KEPT_RATE or last.status.sound_state == "ended"
    yield Finding(
        "encoder",
        kept,
        text + ("" if kept else ": too slow beside the engine; close other programs, or take a smaller --size"),
    )


def _memory(trial: Rehearsal) -> Iterator[Finding]:
    half = trial.moments[len(trial.moments) // 2 :]
    took = max(half[-1].time - half[0].time, 1e-6)
    growth = (half[-1].status.memory_mb - half[0].status.memory_mb) / took * 3600
    text = f"{half[-1].status.memory_mb:.0f} MB"
    if took >= 20 and growth > GROWTH_MB_H:
        yield Finding("memory", None, f"{text}, growing by {growth:.0f} MB an hour; try again for longer (--try 600)")
    else:
        yield Finding("memory", True, text)


def _recording(trial: Rehearsal, settings: Settings, hours: float) -> Iterator[Finding]:
    last = trial.moments[-1].status
    if not settings.record.file:
        return
    if last.record_error or not last.recording:
        yield Finding("recording", False, last.record_error or "it did not start")
        return
    left = last.record_minutes_left / 60
    text = f"space for {left:.1f} hours, {last.record_fps:.0f} frames per second"
    if last.record_minutes_left and left < hours:
        yield Finding("recording", False, f"{text}: {hours:g} are wanted; free some, or record elsewhere")
    else:
        dropped = last.record_dropped - trial.moments[0].status.record_dropped
        yield Finding("recording", None if dropped else True, text + (f", {dropped} frames lost" if dropped else ""))


def _ports(trial: Rehearsal, settings: Settings) -> Iterator[Finding]:
    doors = (
        ("osc", settings.osc.port, trial.osc_port, "--osc-port"),
        ("page", 0 if settings.web.off else settings.web.port, trial.web_port, "--web-port"),
    )
    for topic, wanted, port, option in doors:
        if wanted and not port:
            yield Finding(
                topic, None, f"port {wanted} cannot be used; close the other program, or choose with {option}"
            )
        elif wanted:
            yield Finding(topic, True, f"port {port}")


def _screen(trial: Rehearsal, settings: Settings) -> Iterator[Finding]:
    wanted = str(settings.window.screen)
    if settings.window.headless or not trial.screens:
        return
    text = ", ".join(trial.screens)
    known = not wanted or any(wanted in name.split() for name in trial.screens)
    if known:
        yield Finding("screens", True, text)
    else:
        yield Finding("screens", None, f"{text}; {wanted} is not connected, so another one is filled until it is")


def _cache(folder: Path) -> Finding:
    """Check that the cache folder, which keeps converted engines, can be written: else every start is as slow as the
    first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        remedy = "set TPOS_LIVE_CACHE to another folder, or every start takes minutes"
        return Finding("cache", None, f"{folder} cannot be written ({error.strerror}); {remedy}")
    return Finding("cache", True, str(folder))
