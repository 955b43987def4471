"""`tpos-live doctor --show`: tries tonight's settings for a minute and says what would go wrong.

`observe` runs the show as `tpos-live` does, and keeps a Moment twice a second; `check_moments` reads the moments alone.
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
from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.messages import LineHandler, handling
from tpos_live.core.paths import cache_dir
from tpos_live.core.settings import Settings
from tpos_live.core.status import Status
from tpos_live.display.screens import has_display
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.named_files import check_show
from tpos_live.runtime.stop_signals import stop_signals
from tpos_live.runtime.waiting import run_until_fastest_backend, run_until_first_frame

EVERY = 0.5
"""Seconds between two moments."""
SETTLING = 5.0
"""Seconds after the engine's last change of backend that do not count."""
SLOW_FPS, LATE_MS, KEPT_RATE = 12.0, 150.0, 0.97
"""Engine frames per second below which motion is not smooth; latency above which a kick is seen late; the encoder's
least seconds of sound per second."""
BLACK, STILL = 2.0, 0.02
"""Mean level (of 255) below which an image is black, and mean change in EVERY seconds below which it stands still."""
GROWTH_MB_H = 100.0
_MOST_LINES = 5


@dataclass(frozen=True)
class Moment:
    """time: seconds of the clock. encoded: seconds of sound that the encoder has taken. image: float [18, 32], mean
    light of the newest frame, 0 to 255; None before the first."""

    time: float
    status: Status
    encoded: float
    image: np.ndarray | None


@dataclass(frozen=True)
class Rehearsal:
    """moments: after SETTLING. first_frame: seconds from the start. warnings: lines that the performer was shown.
    osc_port, web_port: in use, 0 for none. screens: names of those connected, () without a display."""

    moments: Sequence[Moment]
    first_frame: float
    warnings: Sequence[str] = ()
    osc_port: int = 0
    web_port: int = 0
    screens: Sequence[str] = ()


def rehearse(settings: Settings, seconds: float, hours: float) -> int:
    """Try the settings for `seconds` of a show, and print a line each; 0 if a show of `hours` would work, else 1."""
    findings = [_cache(cache_dir())]
    try:
        check_show(settings, demo=False)
        with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=_folder(settings)) as folder:
            findings += check_moments(observe(_on_trial(settings, Path(folder)), seconds), settings, hours)
    except click.exceptions.Abort:
        raise
    except Exception as error:  # what prevents a show is the finding
        findings.append(Finding("show", False, first_line(error, 300)))
    return 0 if print_findings(findings) else 1


def _folder(settings: Settings) -> Path:
    """Where tonight's recording will be written."""
    return Path(settings.record.file).parent if settings.record.file else Path(settings.record.folder or ".")


def _on_trial(settings: Settings, folder: Path) -> Settings:
    """The same settings, but that the recording goes to a folder of its own, and the show has no end."""
    record = settings.record
    if record.file:
        record = record.model_copy(update={"file": str(folder / "rehearsal.mp4")})
    headless = settings.window.headless or not has_display()
    window = settings.window.model_copy(update={"headless": headless})
    return settings.model_copy(update={"record": record, "window": window, "seconds": 0.0})


def observe(settings: Settings, seconds: float) -> Rehearsal:
    """Run a show until `seconds` after its fastest backend is active and has settled. Raises what prevents it."""
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


def check_moments(seen: Rehearsal, settings: Settings, hours: float) -> list[Finding]:
    """What the moments say of a show of `hours` with these settings."""
    if len(seen.moments) < 2:
        return [Finding("show", False, "nothing was seen: the show ended at once")]
    checks = (_engine, _image, _sound, _encoder, _memory)
    findings = [finding for check in checks for finding in check(seen)]
    findings += [*_recording(seen, settings, hours), *_ports(seen, settings), *_screen(seen, settings)]
    findings += [Finding("message", None, line) for line in seen.warnings[:_MOST_LINES]]
    return findings


def _median(seen: Rehearsal, field: str) -> float:
    return float(np.median([getattr(moment.status, field) for moment in seen.moments]))


def _engine(seen: Rehearsal) -> Iterator[Finding]:
    last = seen.moments[-1].status
    fps, late = _median(seen, "engine_fps"), _median(seen, "latency_ms")
    what = f"{last.engine} on {last.backend}, {last.size[0]}x{last.size[1]}: {fps:.0f} frames per second"
    why = f" ({last.fallback_reason})" if last.fallback_reason else ""
    if fps < SLOW_FPS:
        yield Finding("engine", None, f"{what}; motion is smooth from {SLOW_FPS:g}: take a smaller --size{why}")
    else:
        yield Finding("engine", True, f"{what}, the first after {seen.first_frame:.0f} s{why}")
    advice = "" if late <= LATE_MS else f"; kicks are seen late above {LATE_MS:g}: take a smaller --size"
    yield Finding("latency", True if late <= LATE_MS else None, f"{late:.0f} ms from sound to image{advice}")


def _image(seen: Rehearsal) -> Iterator[Finding]:
    images = [moment.image for moment in seen.moments if moment.image is not None]
    if not images:
        yield Finding("image", False, "the engine made no frame")
    elif max(image.mean() for image in images) < BLACK:
        yield Finding("image", False, "black: the prompt, the engine or out.level is the cause; try `tpos-live still`")
    elif max(np.abs(b - a).mean() for a, b in pairwise(images)) < STILL:
        yield Finding("image", False, "it does not move: is pause or out.freeze on, or seed.walk 0?")
    else:
        yield Finding("image", True, f"moves, mean level {np.mean([image.mean() for image in images]):.0f} of 255")


def _sound(seen: Rehearsal) -> Iterator[Finding]:
    last = seen.moments[-1].status
    broken = sum(moment.status.sound_state not in ("running", "ended") for moment in seen.moments)
    lost = last.samples_lost - seen.moments[0].status.samples_lost
    if last.sound_state not in ("running", "ended"):
        yield Finding("sound", False, f"{last.sound_name}: {last.sound_state}; connect it, or choose with --device")
    elif broken or lost:
        share = broken / len(seen.moments)
        text = f"{last.sound_name}: away {share:.0%} of the time, {lost} samples lost; check the cable and its driver"
        yield Finding("sound", None, text)
    elif not any(moment.status.gate for moment in seen.moments):
        yield Finding("sound", None, f"{last.sound_name}: silence; play something, or choose another with --device")
    else:
        level = max(moment.status.level for moment in seen.moments)
        yield Finding("sound", True, f"{last.sound_name}: heard, level up to {level:.2f} of 1")


def _encoder(seen: Rehearsal) -> Iterator[Finding]:
    first, last = seen.moments[0], seen.moments[-1]
    rate = (last.encoded - first.encoded) / max(last.time - first.time, 1e-6)
    text = f"{first.status.encoder} takes {rate:.2f} seconds of sound per second"
    kept = rate >= KEPT_RATE or last.status.sound_state == "ended"
    yield Finding(
        "encoder",
        kept,
        text + ("" if kept else ": too slow beside the engine; close other programs, or take a smaller --size"),
    )


def _memory(seen: Rehearsal) -> Iterator[Finding]:
    half = seen.moments[len(seen.moments) // 2 :]
    took = max(half[-1].time - half[0].time, 1e-6)
    growth = (half[-1].status.memory_mb - half[0].status.memory_mb) / took * 3600
    text = f"{half[-1].status.memory_mb:.0f} MB"
    if took >= 20 and growth > GROWTH_MB_H:
        yield Finding("memory", None, f"{text}, growing by {growth:.0f} MB an hour; try again for longer (--try 600)")
    else:
        yield Finding("memory", True, text)


def _recording(seen: Rehearsal, settings: Settings, hours: float) -> Iterator[Finding]:
    last = seen.moments[-1].status
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
        dropped = last.record_dropped - seen.moments[0].status.record_dropped
        yield Finding("recording", None if dropped else True, text + (f", {dropped} frames lost" if dropped else ""))


def _ports(seen: Rehearsal, settings: Settings) -> Iterator[Finding]:
    doors = (
        ("osc", settings.osc.port, seen.osc_port, "--osc-port"),
        ("page", 0 if settings.web.off else settings.web.port, seen.web_port, "--web-port"),
    )
    for topic, wanted, port, option in doors:
        if wanted and not port:
            yield Finding(
                topic, None, f"port {wanted} cannot be used; close the other program, or choose with {option}"
            )
        elif wanted:
            yield Finding(topic, True, f"port {port}")


def _screen(seen: Rehearsal, settings: Settings) -> Iterator[Finding]:
    wanted = str(settings.window.screen)
    if settings.window.headless or not seen.screens:
        return
    text = ", ".join(seen.screens)
    known = not wanted or any(wanted in name.split() for name in seen.screens)
    if known:
        yield Finding("screens", True, text)
    else:
        yield Finding("screens", None, f"{text}; {wanted} is not connected, so another one is filled until it is")


def _cache(folder: Path) -> Finding:
    """Converted engines are kept in the cache; without it every start takes as long as the first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        remedy = "set TPOS_LIVE_CACHE to another folder, or every start takes minutes"
        return Finding("cache", None, f"{folder} cannot be written ({error.strerror}); {remedy}")
    return Finding("cache", True, str(folder))
