"""Writes the tables and the plot of engine results in docs/performance.md from benchmarks/results.jsonl.

    python benchmarks/plot.py [RESULTS.jsonl] [PAGE.md]

Replaces the text between the page's two markers and writes the plot beside the page, as NAME.svg. For each engine,
size, number of steps, loop, accelerator and machine it takes the newest result.
"""

from __future__ import annotations

import argparse
import json
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
LOOPS = ("tpos-live", "stream batch", "apart, recorded", "apart", "stock")
"""Loops in the order of the tables: ours first."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "benchmarks" / "results.jsonl")
    parser.add_argument("page", type=Path, nargs="?", default=ROOT / "docs" / "performance.md")
    options = parser.parse_args()
    rows = read(options.results)
    loops = newest([row for row in rows if row["kind"] == "loop"])
    wholes = newest([row for row in rows if row["kind"] == "whole"])
    shows = newest([row for row in rows if row["kind"] == "show" and "bare_fps" in row])
    text = options.page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{options.page}: needs one line {BEGIN} and one line {END}")
    before, rest = text.split(BEGIN)
    made = "No results yet.\n"
    if loops:
        image = options.page.with_suffix(".svg")
        image.write_text(plot(loops), encoding="utf-8")
        parts = [
            table(loops),
            f"![Frames per second and their times]({image.name})\n",
            steady(loops),
            whole(shows),
            alone(wholes),
        ]
        made = "\n".join(filter(None, parts))
    options.page.write_text(f"{before}{BEGIN}\n{made}{END}{rest.split(END)[1]}", encoding="utf-8")


def read(path: Path) -> list[Row]:
    """All rows of a file of JSON lines. Ends the program with the line number of a damaged line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise SystemExit(f"{path}, line {number}: {error}") from None
    return rows


def hardware(row: Row) -> str:
    """Name of the GPU, or of the processor where there is no GPU."""
    machine = row["machine"]
    return str(machine.get("gpu") or f"{machine.get('processor', 'CPU')}, {machine.get('cores', '?')} cores")


def subject(row: Row) -> str:
    """Engine, size and steps of a row."""
    return f"{row['engine']}, {row['size'][0]}x{row['size'][1]}, {row['steps']} step" + (
        "s" if row["steps"] > 1 else ""
    )


def seen(row: Row) -> str:
    """The renderer of a show's window; "" for a show without a window and for other rows."""
    stage = str(row.get("stage", "CPU"))
    return "" if stage == "CPU" else stage.split("/")[0]


def newest(rows: list[Row]) -> list[Row]:
    """The newest row of each measurement, by machine, engine, loop, cap and window."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row["date"]):
        loop = LOOPS.index(row.get("loop", LOOPS[0]))
        what = (row["engine"], tuple(row["size"]), row["steps"], loop, row["accelerator"], row.get("fps_cap", 0.0))
        key = (hardware(row), *what, seen(row))
        found[key] = row
    return [found[key] for key in sorted(found)]


def table(rows: list[Row]) -> str:
    """Frame rate and frame times of each loop, as a Markdown table."""
    lines = [
        "| engine | machine | loop | accelerator | frames per second | p50, p95, p99 ms | of matrix peak "
        "| ours is times faster | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        times = f"{row['ours_is_times_faster']:.2f}" if "ours_is_times_faster" in row else ""
        lines.append(
            f"| {subject(row)} | {hardware(row)} | {row['loop']} | {row['accelerator']} | {row['fps']:.1f} "
            f"| {row['p50_ms']:.2f}, {row['p95_ms']:.2f}, {row['p99_ms']:.2f} | {row['share_of_peak']:.2f} "
            f"| {times} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n"


def steady(rows: list[Row]) -> str:
    """Host time and memory of our loop for a frame, as a Markdown table; "" without such results."""
    lines = [
        "| our loop on | accelerator | host, ms a frame (p99) | device busy | memory on the card, GB "
        "| a frame's allocations, of the driver, hidden waits | slowest of changing frames over their median |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "host_ms" not in row:
            continue
        counts = "no card"
        if "allocations" in row:
            counts = f"{row['allocations']:.1f}, {row['driver_allocations']:.2f}, {row['syncs']:.2f}"
        changing = f"{row['changes_slowest']:.2f}" if "changes_slowest" in row else ""
        memory = f"{row['memory_gb']:.2f}" if row["memory_gb"] else "no card"
        host = f"{row['host_ms']:.2f} ({row['host_p99_ms']:.2f})"
        ours = f"| {subject(row)}, {hardware(row)} | {row['accelerator']} "
        lines.append(f"{ours}| {host} | {row['busy']:.0%} | {memory} | {counts} | {changing} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else ""


def whole(rows: list[Row]) -> str:
    """Shows compared with the engine alone, as a Markdown table; "" without such results."""
    lines = [
        "| whole show with | accelerator | window drawn by | engine frames per second | of the bare engine "
        "| engine busy | commit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        rates = f"{row['engine_fps']:.1f} for {row['bare_fps']:.1f}"
        lines.append(
            f"| {subject(row)}, {hardware(row)} | {row['accelerator']} | {seen(row) or 'no window'} | {rates} "
            f"| {row['over_bare_engine']:.2f} | {row['engine_busy']:.0%} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n" if rows else ""


def alone(rows: list[Row]) -> str:
    """Shows on their own, with and without a limit of the frame rate, as a Markdown table; "" without such results."""
    lines = [
        "| whole show with | accelerator | window drawn by | `--fps-cap` | engine, shown frames per second "
        "| engine busy | first frame, s | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {subject(row)}, {hardware(row)} | {row['accelerator']} | {seen(row) or 'no window'} "
            f"| {row['fps_cap'] or 'none'} | {row['engine_fps']:.1f}, {row['shown_fps']:.1f} "
            f"| {row['engine_busy']:.0%} | {row['first_picture_s']:.1f} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n" if rows else ""


LEFT, WIDE, GAP, LINE = 200, 290, 60, 24
"""Layout of the plot in pixels: width of the names, width of a panel, gap after it, height of a row."""


def plot(rows: list[Row]) -> str:
    """An SVG with two panels: bars of frames per second, and the range of frame times from p50 to p99.

    The loops are grouped by engine and machine; ours are blue.
    """
    second = LEFT + WIDE + GAP
    fastest = max(row["fps"] for row in rows)
    slowest = max(row["p99_ms"] for row in rows)
    parts = [text(LEFT, 18, "frames per second"), text(second, 18, "ms a frame: p50, p95, p99")]
    y, heading = LINE, ""
    for row in rows:
        if (found := f"{subject(row)} · {hardware(row)}") != heading:
            heading = found
            parts.append(text(10, y + 20, heading, weight="bold"))
            y += LINE + 6
        colour = "#4455cc" if row["loop"] in LOOPS[:2] else "#9a9a9a"
        length = WIDE * row["fps"] / fastest
        marks = [second + WIDE * row[name] / slowest for name in ("p50_ms", "p95_ms", "p99_ms")]
        parts += [
            text(LEFT - 10, y + 16, f"{row['loop']} · {row['accelerator']}", "end"),
            f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{LINE - 8}" fill="{colour}"/>',
            text(LEFT + length + 5, y + 16, f"{row['fps']:.1f}"),
            f'<path d="M{marks[0]:.1f} {y + 12}H{marks[2]:.1f}" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x:.1f}" cy="{y + 12}" r="3.5" fill="{colour}"/>' for x in marks),
            text(marks[2] + 8, y + 16, f"{row['p99_ms']:.1f}"),
        ]
        y += LINE
    width, height = second + WIDE + GAP, y + 10
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="12"',
        ' font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    """An SVG text element; x, y: position of its baseline."""
    return (
        f'<text x="{x:.1f}" y="{y}" fill="#222222" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    main()
