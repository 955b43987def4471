"""Makes the table of engine results in docs/performance.md from benchmarks/results.jsonl.

    python benchmarks/plot.py                     # the table
    python benchmarks/plot.py --svg docs/engines.svg   # and bars of pictures a second (needs matplotlib)

What stands between the page's two markers is replaced; of each engine, size, loop, accelerator and machine the
newest result counts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=ROOT / "benchmarks" / "results.jsonl")
    parser.add_argument("page", type=Path, nargs="?", default=ROOT / "docs" / "performance.md")
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    rows = newest(read(options.results))
    text = options.page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{options.page}: needs one line {BEGIN} and one line {END}")
    before, rest = text.split(BEGIN)
    options.page.write_text(f"{before}{BEGIN}\n{table(rows)}{END}{rest.split(END)[1]}", encoding="utf-8")
    if options.svg:
        plot(rows, options.svg)


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of kind "loop"; an error names the line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SystemExit(f"{path}, line {number}: {error}") from None
        if row.get("kind") == "loop":
            rows.append(row)
    return rows


def hardware(row: dict[str, Any]) -> str:
    """The card, or the processor where there is none."""
    machine = row["machine"]
    return str(machine.get("gpu") or f"{machine.get('processor', 'CPU')}, {machine.get('cores', '?')} cores")


def newest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of each measurement, by machine, engine and loop; ours before what it is compared with."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["date"]):
        found[(hardware(row), row["engine"], tuple(row["size"]), row["steps"], row["accelerator"], row["loop"])] = row
    order = ("tpos-live", "stream batch", "apart", "stock")
    return [found[key] for key in sorted(found, key=lambda key: (*key[:4], order.index(key[5]), key[4]))]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, a line a row."""
    lines = [
        "| engine | machine | loop | accelerator | pictures a second | p50, p95, p99 ms | of matrix peak "
        "| ours is times faster | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        size = f"{row['size'][0]}x{row['size'][1]}, {row['steps']} step" + ("s" if row["steps"] > 1 else "")
        times = f"{row['ours_is_times_faster']:.2f}" if "ours_is_times_faster" in row else ""
        lines.append(
            f"| {row['engine']}, {size} | {hardware(row)} | {row['loop']} | {row['accelerator']} | {row['fps']:.1f} "
            f"| {row['p50_ms']:.2f}, {row['p95_ms']:.2f}, {row['p99_ms']:.2f} | {row['share_of_peak']:.2f} "
            f"| {times} | {row['commit']} |"
        )
    return "\n".join(lines) + "\n" if rows else "No results yet.\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of pictures a second."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.5 + 0.4 * len(rows)), layout="constrained")
    names = [f"{row['engine']} · {row['loop']} · {row['accelerator']} · {hardware(row)}" for row in rows]
    axes.barh(names, [row["fps"] for row in rows], color="#5b6ee1")
    axes.invert_yaxis()
    axes.set_xlabel("pictures a second")
    figure.savefig(path)


if __name__ == "__main__":
    main()
