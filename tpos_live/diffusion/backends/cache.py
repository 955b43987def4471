"""The cache of converted engines: where one is made, and what is removed.

An engine that was trained or fetched anew, another size, another version of a library: each leaves a folder of tens
of megabytes behind that nothing will ever ask for again. So does a process that is killed while it makes one.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tpos_live.core.errors import NotReady

KEEP = 4
"""Folders that stay whatever they are: those that were used last."""
RECENT = 7 * 86_400.0
"""Seconds since its last use in which a folder stays: a show may be running on it."""

STALE = 86_400.0
"""Seconds after which what is half made is removed: until then the next start goes on with it."""
_MAKING, _GONE = ".making-", ".gone-"


def check_writable(folder: Path, needed: int) -> None:
    """Make a folder of the cache, for `needed` bytes. Raises NotReady with the remedy where that is impossible."""
    remedy = "no faster accelerator can be made; set TPOS_LIVE_CACHE to another folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise NotReady(f"{folder} cannot be written ({error.strerror}): {remedy}") from error
    if free < needed:
        raise NotReady(f"{folder}: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free: {remedy}")


@contextmanager
def work_folder(target: Path) -> Iterator[Path]:
    """The folder in which `target` is made, to be renamed to it: what a process that was killed has left, or a new one.

    Where this process is killed, it stays for the next one; where the work fails, it is removed.
    """
    work = target.with_name(f"{_MAKING}{target.name}-{os.getpid()}")
    for left in target.parent.glob(f"{_MAKING}{target.name}-*"):
        if psutil.pid_exists(int(left.name.rpartition("-")[2])):
            continue
        with suppress(OSError):  # taken by another process meanwhile
            shutil.rmtree(left) if work.exists() else left.rename(work)
    work.mkdir(exist_ok=True)
    os.utime(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sweep(cache: Path, now: float | None = None) -> None:
    """Remove what is half made or half removed in `cache`, and STALE; never fails. now: seconds since 1970."""
    now = time.time() if now is None else now
    with suppress(OSError):
        for path in [*cache.glob(f"{_MAKING}*"), *cache.glob(f"{_GONE}*")]:
            if now - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True)


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
    sweep(cache, now)
    found = [path for path in cache.glob("[!.]*") if path.is_dir()]
    used = {path: _last_use(path, sidecar) for path in found}
    whole = [path for path in found if (path / sidecar).exists()]
    newest = sorted(whole, key=lambda path: used[path], reverse=True)[:KEEP]
    removed = []
    for path in found:
        if path in newest or now - used[path] < RECENT or _wanted(path / sidecar, weights):
            continue
        # Renamed first, at once: nobody ever sees half an engine.
        away = path.with_name(f"{_GONE}{path.name}")
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
