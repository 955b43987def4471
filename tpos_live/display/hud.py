"""The HUD: the status on the window, never in a recording."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyglet

from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.status import Status
from tpos_live.core.timing import hms
from tpos_live.display.label_text import FONTS, place, text_scale, wrapped

TEXT_RATE = 6
"""Text layouts per second at most, because layout is expensive."""
INK = (236, 238, 244, 255)
DIM = (150, 156, 170, 255)
WARN = (255, 186, 92, 255)
BAD = (255, 110, 96, 255)
BAND_COLOURS = ((255, 122, 89), (255, 196, 92), (104, 214, 164), (112, 176, 255))
BAND_NAMES = ("bass", "mid", "m-high", "high")
_WIDTH, _MARGIN, _PAD, _LINE, _METERS, _NAMES = 400, 20, 18, 23, 74, 76
"""In pixels where `text_scale` is 1, as all sizes here."""
_MOST = 36
"""Most letters of average width in a value: 288 pixels."""
_LONG = ("prompt", "look", "seen as", "instead", "unknown", "source", "sound", "midi", "record")
"""Rows whose values are continued in a second row where the window has room for it. Others would move the rows below
them while the music plays."""
HELD = {
    "out.blackout": "blackout",
    "out.freeze": "frozen",
    "pause": "paused",
    "audio.mute": "sound ignored",
}
"""Switches that a performer may have forgotten, with their names on the HUD."""
_MOST_OUTPUTS = 4
"""Rows for outputs."""
_INSTEAD = "drawn instead: "
_NEWS = 20.0
"""Seconds for which a loss of sound is shown in colour; its count is always shown."""


@dataclass(frozen=True)
class Line:
    """One row of the HUD: name, value, and the value's colour."""

    name: str
    value: str
    colour: tuple[int, int, int, int] = INK


def lines(
    status: Status, shown_fps: float, first: Sequence[Line] = (), autopilot: bool = False, losing: bool = False
) -> list[Line]:
    """The rows of the HUD. Rows that appear and disappear by themselves are last, so that the others keep their places.

    first: rows of `forgotten`. losing: sound was lost a moment ago."""
    sound = status.sound_state + (f" · {status.sound_name}" if status.sound_name else "")
    well = status.sound_state in ("", "running")
    source = f" · {status.tempo_source}" if status.tempo_source not in ("", "audio") else ""
    tempo = f"{status.tempo:.1f} BPM{source} · {status.confidence:.0%} sure" if status.tempo > 0 else "listening"
    lost = status.samples_lost
    drawn = (f"{status.size[0]}x{status.size[1]}", status.backend) if status.backend else ()  # not while it is loaded
    heard = f"{status.heard} · {status.density:.0%}" if status.heard else "-"
    rows = [
        *first,
        Line("fps", f"{status.engine_fps:.1f} engine · {shown_fps:.1f} shown"),
        Line(
            "latency",
            f"{status.latency_ms:.0f} ms · engine busy {status.engine_busy:.0%}",
            WARN if status.latency_ms > 250 else INK,
        ),
        *([Line("keyframes", status.keyframes)] if status.keyframes else []),
        Line("tempo", tempo, INK if status.tempo > 0 else DIM),
        Line("heard", heard, INK if status.heard else DIM),
        *_directed(status),
        Line("prompt", status.prompt or "none", INK if status.prompt else DIM),
        *_look(status, autopilot),
        *([Line("from", status.showing)] if status.showing != "prompt" else []),
        *_understood(status.understood),
        *([Line("source", status.source)] if status.source else []),
        Line("engine", " · ".join((status.engine or "-", *drawn))),
        Line("sound", sound or "-", INK if well else WARN),
        *_outputs(status.outputs),
        *([Line("midi", status.midi)] if status.midi else []),
        Line("lost", f"{lost} samples · {status.frames_replaced} frames", BAD if losing else DIM),
        *([Line("waits", status.waiting)] if status.waiting else []),
    ]
    return rows + _recording(status)


def _look(status: Status, autopilot: bool) -> list[Line]:
    """The look, the number of its cue, that of the next one, and whether the autopilot goes to it."""
    cues = [f"cue {status.cue}"] * bool(status.cue) + [f"next {status.next_cue}"] * bool(status.next_cue)
    text = " · ".join(filter(None, (status.look, *cues, "autopilot" if autopilot else "")))
    return [Line("look", text)] if text else []


def forgotten(snapshot: Snapshot) -> list[Line]:
    """What a performer may have forgotten: parameters that make the image dark or still, or cut it off from the sound;
    the corner that Ctrl and the arrow keys move; MIDI learn, in which controls move nothing."""
    dimmed = f"level {snapshot['out.level']:.0%}" if snapshot["out.level"] < 0.995 else ""
    words = [dimmed, *(word for name, word in HELD.items() if snapshot[name])]
    learn = snapshot["midi.learn"].strip()
    wanted = f"move a control for {learn}" if learn not in ("", "+") else "change a parameter, move a control"
    rows = (" · ".join(filter(None, words)), _corner(snapshot), wanted if learn else "")
    return [Line(name, text, WARN) for name, text in zip(("output", "corner", "learn"), rows, strict=True) if text]


def _corner(snapshot: Snapshot) -> str:
    """The chosen corner, and how far it was moved; "" if none is chosen."""
    corner, wall = snapshot["out.window.pin"], snapshot["out.wall.pin"]
    if corner == "off":
        return ""
    name = f"out.wall.{wall}" if wall else "out.window"
    x, y = (100 * snapshot[f"{name}.corner.{corner}.{axis}"] for axis in "xy")
    whose = f"wall {wall}" if wall else "window"
    return f"{corner.replace('_', ' ')} of {whose} · {x:+.1f} %, {y:+.1f} %"


def fitting(rows: list[Line], room: int) -> list[Line]:
    """The rows that a window has room for, at least one, in their order. Rows in colour (a recording, a fault) have
    priority, then the first of the others. room: number of rows."""
    by_need = sorted(range(len(rows)), key=lambda at: (rows[at].colour not in (WARN, BAD), at))
    return [rows[at] for at in sorted(by_need[: max(room, 1)])]


def continued(rows: list[Line], room: int) -> list[Line]:
    """The rows with long values in two rows where there is room, else cut off. room: number of rows, as of
    `fitting`."""
    shown, spare = list[Line](), max(room - len(rows), 0)
    for row in rows:
        parts = wrapped(row.value, _MOST, 2 if spare and row.name in _LONG else 1).split("\n")
        spare -= len(parts) - 1
        shown += [Line(row.name if at == 0 else "", part, row.colour) for at, part in enumerate(parts)]
    return shown


def _outputs(outputs: str) -> list[Line]:
    """A row for each output, failed ones first, _MOST_OUTPUTS at most; the last row counts the others. Of a long text
    the end is shown, because it holds the state."""
    if not outputs:
        return []
    found = sorted(outputs.split(" · "), key=lambda one: not one.endswith(" failed"))
    shown = found if len(found) <= _MOST_OUTPUTS else found[: _MOST_OUTPUTS - 1]
    rows = [
        Line("outputs" if at == 0 else "", one if len(one) <= _MOST else "…" + one[1 - _MOST :], _colour_of(one))
        for at, one in enumerate(shown)
    ]
    left = len(found) - len(shown)
    return rows + ([Line("", f"and {left} more")] if left else [])


def _colour_of(output: str) -> tuple[int, int, int, int]:
    return BAD if output.endswith(" failed") else INK


def _recording(status: Status) -> list[Line]:
    """The file, the encoder's lag and the disk; or why the recording failed."""
    if not status.recording:
        return [Line("record", status.record_error, BAD)] if status.record_error else []
    lost = f" · {status.record_dropped} lost" if status.record_dropped else ""
    minutes = status.record_minutes_left
    left = f"{minutes / 60:.0f} h left" if minutes >= 600 else f"{minutes:.0f} min left"
    return [
        Line("record", f"{hms(status.record_seconds)} · {Path(status.recording).name}", BAD),
        Line(
            "encoder",
            f"{status.record_fps:.1f} fps · {status.record_lag_ms / 1000:.1f} s late{lost}",
            WARN if status.record_lag_ms > 500 else INK,
        ),
        *([Line("disk", left, WARN if minutes < 10 else INK)] if minutes else []),
    ]


def _directed(status: Status) -> list[Line]:
    """The section of the music, and the director's newest decision beyond it; nothing while it is off."""
    if not status.section:
        return []
    decided = status.decision if status.decision not in ("", status.section) else ""
    section = Line("section", f"{status.section} · energy {status.energy:.0%}")
    return [section, Line("decided", decided or "-", INK if decided else DIM)]


def _understood(line: str) -> list[Line]:
    """What the engine draws of the prompt, and in a second row the words that it does not know."""
    seen, _, missed = line.rpartition("not understood: ") if "not understood: " in line else (line, "", "")
    seen = seen.rstrip("; ")
    name, seen = ("instead", seen.removeprefix(_INSTEAD)) if seen.startswith(_INSTEAD) else ("seen as", seen)
    return [Line(name, seen)] * bool(seen) + [Line("unknown", missed, WARN)] * bool(missed)


class Hud:
    """Panel, meters and texts in one batch, in the size that `text_scale` says. Needs the window's context; the
    window's thread only."""

    def __init__(self) -> None:
        self._scale = 0.0
        self._written = -1.0
        self._lost, self._lost_at = 0, -math.inf

    def draw(
        self, status: Status, snapshot: Snapshot, shown_fps: float, size: tuple[int, int], now: float, below: int = 0
    ) -> None:
        """Draw on the window of (width, height) pixels. now: seconds. below: pixels at the bottom that stay free."""
        if text_scale(size) != self._scale:
            self._build(text_scale(size))
        if now - self._written >= 1 / TEXT_RATE or now < self._written:
            self._written = now
            if status.samples_lost > self._lost:
                self._lost, self._lost_at = status.samples_lost, now
            losing = now - self._lost_at < _NEWS
            rows = lines(status, shown_fps, forgotten(snapshot), bool(snapshot["autopilot"]), losing)
            self._write(status, rows, size[1], below)
        top = size[1] - self._px(_MARGIN)
        meters = top - self._px(58)
        for i, (bar, level) in enumerate(zip(self._bars, status.bands, strict=True)):
            left, width = self._meter(i)
            bar.x, bar.y, bar.width = left, meters, max(1.0, width * min(max(level, 0.0), 1.0))
        self._beat.position = (self._px(_MARGIN + _WIDTH - _PAD - 7), top - self._px(24))
        pulse = (0.5 + 0.5 * math.cos(2 * math.pi * status.beat_phase)) ** 4 if status.tempo > 0 else 0.0
        self._beat.color = (255, 255, 255, int(38 + 217 * pulse))
        self._batch.draw()

    def _build(self, scale: float) -> None:
        """Make all shapes and labels in a size."""
        self._scale, self._written = scale, -1.0
        self._batch = pyglet.graphics.Batch()
        back, front = pyglet.graphics.Group(0), pyglet.graphics.Group(1)
        self._texts = pyglet.graphics.Group(2)
        shapes, px = pyglet.shapes, self._px
        self._panel = shapes.RoundedRectangle(
            0, 0, px(_WIDTH), 10, px(10), color=(8, 9, 13, 222), batch=self._batch, group=back
        )
        self._beat = shapes.Circle(0, 0, px(7), color=(255, 255, 255, 255), batch=self._batch, group=front)
        self._tracks = [
            shapes.Rectangle(0, 0, 10, px(5), color=(255, 255, 255, 26), batch=self._batch, group=front)
            for _ in BAND_NAMES
        ]
        self._bars = [
            shapes.Rectangle(0, 0, 10, px(5), color=(*colour, 255), batch=self._batch, group=self._texts)
            for colour in BAND_COLOURS
        ]
        self._title = self._label(12, INK, weight="bold")
        self._names = [self._label(9, DIM, anchor="center") for _ in BAND_NAMES]
        self._rows: list[tuple[pyglet.text.Label, pyglet.text.Label]] = []

    def _px(self, size: float) -> int:
        """A size in pixels of the window."""
        return round(size * self._scale)

    def _label(
        self, size: int, colour: tuple[int, int, int, int], anchor: str = "left", weight: str = "normal"
    ) -> pyglet.text.Label:
        return pyglet.text.Label(
            "",
            font_name=FONTS,
            font_size=size * self._scale,
            color=colour,
            anchor_x=anchor,
            anchor_y="baseline",
            weight=weight,
            batch=self._batch,
            group=self._texts,
        )

    def _meter(self, band: int) -> tuple[int, int]:
        """Left edge and width of a meter."""
        width = (_WIDTH - 2 * _PAD - 3 * 10) / 4
        return self._px(_MARGIN + _PAD + band * (width + 10)), self._px(width)

    def _write(self, status: Status, rows: list[Line], height: int, below: int) -> None:
        px = self._px
        head = px(_METERS + 30)
        free = height - px(2 * _MARGIN + _PAD) - head - max(below - px(_MARGIN), 0)
        room = free // px(_LINE) + 1
        rows = continued(fitting(rows, room), room)
        while len(self._rows) < len(rows):
            self._rows.append((self._label(10, DIM), self._label(10, INK)))
        top, left = height - px(_MARGIN), px(_MARGIN + _PAD)
        minutes, seconds = divmod(int(status.uptime), 60)
        hours, minutes = divmod(minutes, 60)
        place(self._title, f"tpos-live · {status.state} · {hours}:{minutes:02}:{seconds:02}", left, top - px(29))
        for i, (track, label) in enumerate(zip(self._tracks, self._names, strict=True)):
            at, width = self._meter(i)
            track.x, track.y, track.width = at, top - px(58), width
            place(label, BAND_NAMES[i], at + width // 2, top - px(73))
        y = top - head
        for i, (name, value) in enumerate(self._rows):
            row = rows[i] if i < len(rows) else Line("", "")
            place(name, row.name, left, y)
            place(value, row.value, left + px(_NAMES), y)
            value.color = row.colour
            y -= px(_LINE)
        used = head + px(_LINE) * (len(rows) - 1) + px(_PAD)
        self._panel.position = (px(_MARGIN), top - used)
        self._panel.height = used
