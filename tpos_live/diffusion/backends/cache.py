"""The cache of compiled engines: the path of each entry, how it is built, and when it is removed.

A new version of an engine, another size, another version of a library: each makes an older folder of tens of megabytes
useless. A process that is killed while it builds one leaves a useless folder too.
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
"""Number of most recently used folders that are never removed."""
RECENT = 7 * 86_400.0
"""Seconds after its last use in which a folder is not removed: a show may be using it."""

STALE = 86_400.0
"""Seconds after which a partial folder is removed; until then the next start continues it."""
_MAKING, _GONE = ".making-", ".gone-"


@dataclass(frozen=True)
class CompileCache:
    """The cache of one backend: a folder for each key, which is a hash of everything that the content depends on."""

    name: str
    """Name of its folder in the user's cache."""
    sidecar: str
    """The JSON file that marks a folder as complete; written last."""
    builder: str
    """The module whose `main(arguments)` compiles, in a child process, because a crash there must not end a show."""
    limit: float
    """Timeout for compiling in seconds."""
    prune: bool = True
    """Whether useless folders are removed; their sidecars then have "engine" and "weights" (see `prune_cache`)."""

    def folder(self, parts: Sequence[object]) -> Path:
        """The folder for a key made of `parts` (JSON values); it may not exist."""
        return cache_dir() / self.name / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    def is_whole(self, folder: Path) -> bool:
        """Whether a folder exists and is complete; False where the cache cannot be read."""
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
        """Run the builder, which makes `folder`, in a child process; takes minutes.

        failed: the message for a failure, with {} for the reason. needed: bytes on the disk, None = the size of the
        engine's weights. on_line: called with each line of the child's output. Raises NotReady.
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
        """A temporary folder, renamed to `folder` at the end, so that no process ever sees a partial one."""
        with work_folder(folder) as work:
            yield work
            if not self.is_whole(folder):  # a damaged one, which could not be removed before
                remove(folder)
            try:
                work.rename(folder)
            except OSError:
                if not self.is_whole(folder):  # else another process was faster, with the same content
                    raise

    def discard(self, folder: Path) -> None:
        """Remove a damaged folder, its sidecar first. If the rest cannot be removed (on Windows while a file in it is
        open), the folder no longer counts as complete and is built again."""
        with suppress(OSError):
            (folder / self.sidecar).unlink()
        remove(folder)

    def write(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write the sidecar atomically, after the folder's content is on the disk."""
        folder_to_disk(folder)
        write_text(folder / self.sidecar, json.dumps(facts, indent=1))

    def read(self, folder: Path) -> dict[str, Any]:
        """The content of the sidecar, which is marked as used now. Raises OSError or ValueError."""
        facts = json.loads((folder / self.sidecar).read_text(encoding="utf-8"))
        mark_used(folder / self.sidecar)
        return dict(facts)


def sources(engine: Engine) -> dict[str, str]:
    """The entries "engine" and "weights" of a sidecar, for `prune_cache`."""
    return {"engine": str(engine.folder.resolve()), "weights": engine.weights_hash}


def sums(folder: Path, sidecar: str) -> dict[str, str]:
    """SHA-256 of all files in a folder of the cache by relative path, without the sidecar and without lock files.
    Raises OSError."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".lock" and path != folder / sidecar:
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def damaged_file(folder: Path, sidecar: str, expected: Mapping[str, str]) -> str:
    """The first file of `expected` (from `sums`) that is missing or has changed; "" if there is none. Raises
    OSError."""
    found = sums(folder, sidecar)
    return next((name for name, sum_of in expected.items() if found.get(name) != sum_of), "")


def remove(folder: Path) -> bool:
    """Remove a folder of the cache; False where that is impossible, on Windows while a file in it is open. The folder
    is renamed first, so that no process sees a partial one."""
    away = folder.with_name(f"{_GONE}{folder.name}-{os.getpid()}")
    try:
        folder.rename(away)
    except OSError:
        return False
    shutil.rmtree(away, ignore_errors=True)
    return True


def check_writable(folder: Path, needed: int) -> None:
    """Create a folder of the cache and check for `needed` free bytes. Raises NotReady with the remedy if that fails."""
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
    """A temporary folder for building `target`: the one that a killed process has left, or a new one.

    It is removed if the work fails. It stays for the next process if this process is killed.
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
    """Remove partial folders older than STALE from `cache`; never fails. now: seconds since 1970."""
    now = time.time() if now is None else now
    with suppress(OSError):
        for path in [*cache.glob(f"{_MAKING}*"), *cache.glob(f"{_GONE}*")]:
            if now - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True)


def mark_used(sidecar: Path) -> None:
    """Mark the folder of `sidecar` as used now. A cache that cannot be written is ignored."""
    try:
        os.utime(sidecar)
    except OSError:
        return


def prune_cache(cache: Path, sidecar: str, weights: dict[str, str], now: float | None = None) -> list[Path]:
    """Remove useless folders of `cache`; the removed ones.

    sidecar: the file that marks a folder as complete; its "engine" is the engine's folder, its "weights" their hash.
    weights: by engine folder, the current hash where it is known. now: seconds since 1970.

    A folder is removed if it was not used for RECENT seconds, is not among the KEEP most recently used, and its engine
    does not exist any more, has other weights now, or is not named. Folders that are open on Windows stay.
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
    """Whether an engine still uses the folder of `sidecar`."""
    try:
        facts = json.loads(sidecar.read_text(encoding="utf-8"))
        engine, made_of = str(facts["engine"]), str(facts["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return Path(engine).is_dir() and weights.get(engine, made_of) == made_of
