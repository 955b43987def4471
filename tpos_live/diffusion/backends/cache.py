"""The cache of compiled engines: where one lies, how it is made, and what is removed.

An engine that was trained or fetched anew, another size, another version of a library: each leaves a folder of tens
of megabytes behind that nothing will ever ask for again. So does a process that is killed while it makes one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tpos_live.core.atomic import folder_to_disk, write_text
from tpos_live.core.child_process import ChildError, run_module
from tpos_live.core.errors import NotReady
from tpos_live.core.paths import cache_dir

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from tpos_live.diffusion.model.engine import Engine

KEEP = 4
"""Folders that stay whatever they are: those that were used last."""
RECENT = 7 * 86_400.0
"""Seconds since its last use in which a folder stays: a show may be running on it."""

STALE = 86_400.0
"""Seconds after which what is half made is removed: until then the next start goes on with it."""
_MAKING, _GONE = ".making-", ".gone-"


@dataclass(frozen=True)
class CompileCache:
    """What one backend has compiled: a folder for each key of all that it depends on."""

    name: str
    """Of its folder in the user's cache."""
    sidecar: str
    """The JSON file that makes a folder whole, written last."""
    builder: str
    """The module whose `main(arguments)` compiles, in a child process: a crash there must not end a show."""
    limit: float
    """Seconds after which compiling is given up."""
    prune: bool = True
    """Whether folders that nothing will ask for again are removed; their sidecars then say "engine" and "weights" (see
    `prune_cache`)."""

    def folder(self, parts: Sequence[object]) -> Path:
        """Where what depends on `parts` (JSON values) lies, or will lie."""
        return cache_dir() / self.name / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    def is_whole(self, folder: Path) -> bool:
        """Whether a folder is there and complete; False where the cache cannot be read."""
        try:
            return (folder / self.sidecar).exists()
        except OSError:
            return False

    def build(
        self,
        folder: Path,
        engine: Engine,
        arguments: Sequence[object],
        failed: str,
        needed: int | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Run the builder, which makes `folder`, in a child process; minutes.

        failed: what to say where it fails, with {} for the reason. needed: bytes on the disk, those of the engine's
        weights by default. on_line: gets the child's lines. Raises NotReady.
        """
        weights = sum(path.stat().st_size for path in engine.weight_files)
        check_writable(folder.parent, weights if needed is None else needed)
        try:
            run_module(self.builder, [str(argument) for argument in arguments], self.limit, on_line)
        except ChildError as error:
            raise NotReady(failed.format(error)) from error
        if self.prune:
            prune_cache(folder.parent, self.sidecar, {str(engine.folder.resolve()): engine.weights_hash})

    @contextmanager
    def making(self, folder: Path) -> Iterator[Path]:
        """The folder in which `folder` is made; renamed to it at the end, at once: nobody ever sees half of it."""
        with work_folder(folder) as work:
            yield work
            if not self.is_whole(folder):  # what could not be removed when it was found damaged
                remove(folder)
            try:
                work.rename(folder)
            except OSError:
                if not self.is_whole(folder):  # else another process was faster, with the same content
                    raise

    def discard(self, folder: Path) -> None:
        """Remove a damaged folder. Its sidecar goes first: a folder that cannot be removed (on Windows while a file in
        it is open) is not whole any more, so it is made again."""
        with suppress(OSError):
            (folder / self.sidecar).unlink()
        remove(folder)

    def write(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the sidecar, whole or not at all, once what it makes whole is on the disk."""
        folder_to_disk(folder)
        write_text(folder / self.sidecar, json.dumps(facts, indent=1))

    def read(self, folder: Path) -> dict[str, Any]:
        """The sidecar, marked as used now. Raises OSError or ValueError."""
        facts = json.loads((folder / self.sidecar).read_text(encoding="utf-8"))
        mark_used(folder / self.sidecar)
        return dict(facts)


def sources(engine: Engine) -> dict[str, str]:
    """What a sidecar says of its engine, for `prune_cache`."""
    return {"engine": str(engine.folder.resolve()), "weights": engine.weights_hash}


def sums(folder: Path, sidecar: str) -> dict[str, str]:
    """SHA-256 of what lies in a folder of the cache, by path in it, for a sidecar that is not written yet. Files of
    locks, which come and go, do not count. Raises OSError."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".lock" and path != folder / sidecar:
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def damaged_file(folder: Path, sidecar: str, expected: Mapping[str, str]) -> str:
    """The first file that is missing or is not what `sums` has seen; "" for none. Others may have come since. Raises
    OSError."""
    found = sums(folder, sidecar)
    return next((name for name, sum_of in expected.items() if found.get(name) != sum_of), "")


def remove(folder: Path) -> bool:
    """Remove a folder of the cache. It is renamed first, at once: nobody ever sees half an engine. False where it
    stays, as one does on Windows that is open."""
    away = folder.with_name(f"{_GONE}{folder.name}-{os.getpid()}")
    try:
        folder.rename(away)
    except OSError:
        return False
    shutil.rmtree(away, ignore_errors=True)
    return True


def check_writable(folder: Path, needed: int) -> None:
    """Make a folder of the cache, for `needed` bytes. Raises NotReady with the remedy where that is impossible."""
    remedy = "no faster backend can be made; set TPOS_LIVE_CACHE to another folder"
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


def remove_partial(cache: Path, now: float | None = None) -> None:
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


def prune_cache(cache: Path, sidecar: str, weights: dict[str, str], now: float | None = None) -> list[Path]:
    """Remove the folders of `cache` that are of no use; which ones.

    sidecar: the file that makes a folder whole; its "engine" is the engine's folder, its "weights" their hash.
    weights: by engine folder, the hash of those engines that are known to be right. now: seconds since 1970.

    Removed is what was not used for RECENT, is not among the KEEP used last, and belongs to an engine that is gone or
    has other weights now, or says of nothing what it belongs to. A folder that is open on Windows cannot be renamed
    and stays.
    """
    now = time.time() if now is None else now
    remove_partial(cache, now)
    found = [path for path in cache.glob("[!.]*") if path.is_dir()]
    used = {path: _last_use(path, sidecar) for path in found}
    whole = [path for path in found if (path / sidecar).exists()]
    newest = sorted(whole, key=lambda path: used[path], reverse=True)[:KEEP]
    removed = []
    for path in found:
        if path in newest or now - used[path] < RECENT or _wanted(path / sidecar, weights):
            continue
        if remove(path):
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
