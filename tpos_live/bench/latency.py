"""`tpos-live bench latency`: measures the latency from a click in the sound to the first changed pixel.

The click enters where a sound device delivers its blocks, and the frame is read back after it was rendered. The scene
is static, so only the click changes pixels. The buffering of a real device adds to this latency; here it is one block
of 10 ms, which is measured separately.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Self

import click
import numpy as np

from tpos_live.audio.source import RATE, Chunk, SourceState, SourceStatus
from tpos_live.bench.session import machine, print_rows, shown_on, without_sound_and_osc
from tpos_live.bench.waiting import run_until_first_frame
from tpos_live.core.parameters import TARGETS
from tpos_live.core.settings import Settings
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.stop_signals import stop_signals

BLOCK = 480
CLICK_SECONDS = 0.012
GAP = (0.7, 1.2)
"""Range of the random seconds between two clicks, so that no beat tracker can lock to them."""
CHANGED = 4
"""A pixel has changed if it differs by more than this (of 255), which is more than dither."""
GIVE_UP = 0.6
"""Seconds after which a click counts as missed."""
STILL = {
    "seed.walk": 0.0,
    "motion.pan_y": 0.0,
    "finish.grain": 0.0,
    "audio.weight": 0.0,
    "audio.agc": False,
    "tempo.source": "off",
    **{f"map.{feature}.{target}": 0.0 for feature in ("loudness", "beat", "buildup", "drop") for target in TARGETS},
    **{f"map.silence.{target}": 0.0 for target in TARGETS},
}
"""Parameters that keep the scene static except for hits."""


@dataclass
class ClickSound:
    """An AudioSource that gives blocks of 10 ms in real time: quiet noise, and clicks at random times.

    Thread contract: `pull` on one thread; `happened` may be read from anywhere. A block is delivered at the end of its
    10 ms, as by a sound device.
    """

    seed: int = 0
    happened: list[tuple[float, float]] = field(default_factory=list)
    """(time of the click's first sample, time its block was delivered), perf_counter."""
    clicking: bool = False

    def __enter__(self) -> Self:
        self._rng = np.random.default_rng(self.seed)
        self._start = time.perf_counter()
        self._blocks = 0
        self._next = self._start + 2.0
        t = np.arange(round(CLICK_SECONDS * RATE)) / RATE
        self._click = (0.8 * np.exp(-t / 0.003) * np.sign(np.sin(2 * np.pi * 90 * t + 0.1))).astype(np.float32)
        self._tail = np.zeros(0, np.float32)
        return self

    def __exit__(self, *_exc: object) -> None:
        """There is nothing to close."""

    def pull(self, now: float) -> Chunk | None:
        due = int((now - self._start) * RATE / BLOCK) - self._blocks
        if due <= 0:
            return None
        mono = np.concatenate([self._block(now) for _ in range(due)])
        return Chunk(mono, np.repeat(mono[:, None], 2, axis=1), captured_at=self._start + self._blocks * BLOCK / RATE)

    def _block(self, now: float) -> np.ndarray:
        begin = self._start + self._blocks * BLOCK / RATE
        self._blocks += 1
        block = self._rng.normal(0, 1e-3, BLOCK).astype(np.float32)
        took = min(len(self._tail), BLOCK)
        block[:took] += self._tail[:took]
        self._tail = self._tail[took:]
        offset = round((self._next - begin) * RATE)
        if self.clicking and offset < BLOCK:
            offset = max(offset, 0)
            n = min(BLOCK - offset, len(self._click))
            block[offset : offset + n] += self._click[:n]
            self._tail = self._click[n:]
            self.happened.append((begin + offset / RATE, now))
            self._next = begin + self._rng.uniform(*GAP)
        elif offset < 0:
            self._next = begin + self._rng.uniform(*GAP)
        return block

    def status(self, now: float) -> SourceStatus:
        return SourceStatus(SourceState.RUNNING, "clicks")

    @property
    def passed(self) -> float:
        return 0.0

    def reopen(self, device: str | int) -> None:
        """There is no other input."""


def bench_latency(settings: Settings, clicks: int, as_json: bool, offscreen: bool = False) -> int:
    """Measure `clicks` clicks, and print p50, p95 and p99 of each part in milliseconds.

    offscreen: render with OpenGL as in a window, but without one. Returns 1 if half of the clicks or more were missed.
    """
    where, headless = shown_on(offscreen)
    settings = without_sound_and_osc(settings, headless)
    settings = settings.model_copy(update={"parameters": {**settings.parameters, **STILL}})
    sound = ClickSound()
    click.echo(f"measuring {clicks} clicks with {where} …", err=True)
    with (
        stop_signals() as stop,
        LiveSession(settings, stop=stop, sound=sound, headless_gl=offscreen) as session,
    ):
        run_until_first_frame(session)
        settle = time.perf_counter() + 3.0
        session.display.run(lambda: time.perf_counter() > settle or stop.is_set())
        watcher = ClickWatcher(session, sound, clicks)
        sound.clicking = True
        session.display.run(lambda: watcher.check() or stop.is_set())
        backend = session.status_registry.status().backend
    rows = watcher.rows()
    summary = {
        "kind": "summary",
        "clicks": clicks,
        "seen": len(watcher.pixel),
        "missed": watcher.missed,
        "input": "blocks of 10 ms handed over in this process; a device's own buffering comes on top",
        "stage": session.display.renderer,
        "accelerator": backend,
        **machine(),
    }
    print_rows(rows, summary, as_json)
    return 0 if len(watcher.pixel) > clicks // 2 else 1


class ClickWatcher:
    """Reads back every shown frame, and records when a click first changes it."""

    def __init__(self, session: LiveSession, sound: ClickSound, clicks: int) -> None:
        self._session, self._sound, self._clicks = session, sound, clicks
        self._before = downsampled(session.display.read_back())
        self._seen = 0
        self._engine_seen = 0
        self._shown = session.display.meter.count
        self.buffering: list[float] = []
        self.pixel: list[float] = []
        self.engine: list[float] = []
        self.missed = 0

    def check(self) -> bool:
        """Call it before each frame; returns True when all clicks were seen or missed."""
        if self._session.display.meter.count == self._shown:
            return False
        self._shown = self._session.display.meter.count
        image = downsampled(self._session.display.read_back())
        now = time.perf_counter()
        changed = bool((np.abs(image - self._before) > CHANGED).any())
        self._before = image
        happened = self._sound.happened
        frame = self._session.display.interpolator.newest
        while frame is not None and self._engine_seen < len(happened):
            if frame.heard_at < happened[self._engine_seen][0] + BLOCK / RATE:
                break
            self.engine.append(now - happened[self._engine_seen][1])
            self._engine_seen += 1
        if self._seen < len(happened):
            at, handed = happened[self._seen]
            if changed and now > handed:
                self.buffering.append(handed - at)
                self.pixel.append(now - handed)
                self._seen += 1
            elif now - handed > GIVE_UP:
                self.missed += 1
                self._seen += 1
        return self._seen >= self._clicks

    def rows(self) -> list[dict[str, Any]]:
        """Percentiles: input buffering, click to first changed pixel, click to the first engine frame that contains
        it."""
        named = {"input_block": self.buffering, "first_pixel": self.pixel, "engine_picture": self.engine}
        rows = []
        for name, values in named.items():
            p50, p95, p99 = (round(1000 * float(v), 2) for v in np.percentile(values or [0.0], (50, 95, 99)))
            rows.append({"kind": "stage", "stage": name, "n": len(values), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99})
        return rows


def downsampled(image: np.ndarray) -> np.ndarray:
    """Every fourth pixel in both directions, as int16, for differences."""
    return image[::4, ::4].astype(np.int16)
