"""Tidies the cache: converted engines that no engine uses any more, after a new one was made.

An engine that was trained or fetched anew, another size, another version of a library: each leaves a folder of tens
of megabytes behind that nothing will ever ask for again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

KEEP = 4
"""Folders that stay whatever they are: those that were used last."""
RECENT = 7 * 86_400.0
"""Seconds since its last use in which a folder stays: a show may be running on it."""


def mark_used(sidecar: Path) -> None:
    """Note that what lies beside `sidecar` is used now. A cache that cannot be written is not worth a word."""
    try:
        os.utime(sidecar)
    except OSError:
        return


def tidy(cache: Path, sidecar: str, weights: dict[str, str], now: float | None = None) -> list[Path]:
    """Remove the folders of `cache` that are of no use; which ones.

    sidecar: the file that makes a folder whole; its "engine" is the engine's folder, its "weights" their hash.
    weights: by engine folder, the hash of those engines that are known to be right. now: seconds since 1970.

    Removed is what was not used for RECENT, is not among the KEEP used last, and belongs to an engine that is gone or
    has other weights now, or says of nothing what it belongs to. A folder that is open on Windows cannot be renamed
    and stays.
    """
    now = time.time() if now is None else now
    found = [path for path in cache.iterdir() if path.is_dir()] if cache.is_dir() else []
    used = {path: _last_use(path, sidecar) for path in found}
    newest = sorted(found, key=lambda path: used[path], reverse=True)[:KEEP]
    removed = []
    for path in found:
        if path in newest or now - used[path] < RECENT or _wanted(path / sidecar, weights):
            continue
        # Renamed first, at once: nobody ever sees half an engine.
        away = path if path.name.startswith(".") else path.with_name(f".gone-{path.name}")
        try:
            path.rename(away)
        except OSError:
            continue
        shutil.rmtree(away, ignore_errors=True)
        removed.append(path)
    return removed


def _last_use(path: Path, sidecar: str) -> float:
    for each in (path / sidecar, path):
        try:
            return each.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _wanted(sidecar: Path, weights: dict[str, str]) -> bool:
    """Whether an engine still uses what lies beside `sidecar`."""
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
        engine, made_of = str(facts["engine"]), str(facts["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return Path(engine).is_dir() and weights.get(engine, made_of) == made_of
