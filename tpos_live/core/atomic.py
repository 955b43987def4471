"""Atomic writes of files and folders: they are whole or absent, even after a crash or a power failure."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""Errors of fsync on file systems that do not support it."""


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path in the same folder and with the same suffix; on exit it is renamed to `path`.

    The folder is created. After an error the temporary file is removed, and `path` stays as it was. Two processes may
    write the same path at the same time: the last one wins. Raises OSError, also for a write-protected file, which a
    rename alone would replace. A symbolic link stays and its target is written; access rights stay, too.

    durable: the file survives a power failure right after the call. The calling thread waits for the disk (7 ms for 20
    kB on a busy virtual disk, 0.2 ms with False); no other thread does. False is for files that can be made again.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    rights = _rights(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        if durable:
            to_disk(part)
        if rights is not None:
            part.chmod(rights)
        part.replace(path)
        if durable:
            names_to_disk(path.parent)
    finally:
        part.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Raise OSError before minutes of work, if nothing can be written into a folder, which need not exist yet."""
    there = next(at for at in (folder, *folder.parents) if at.exists())
    with tempfile.TemporaryFile(dir=there):
        pass


def _rights(path: Path) -> int | None:
    """Access rights of a file; None if it does not exist. Raises PermissionError for a write-protected one, also for
    root."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
    if not mode & 0o222 or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is write-protected", str(path))
    return mode


def to_disk(path: Path) -> None:
    """Wait until the content of a file is on the disk (fsync). Otherwise a renamed file can be empty after a power
    failure, because a disk may write the name first. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    finally:
        os.close(descriptor)


def names_to_disk(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; before that, a power failure brings the old file back. Does
    nothing on Windows, which cannot do this: the old file is whole, too."""
    if os.name != "nt":
        with suppress(OSError):
            to_disk(folder)


def folder_to_disk(folder: Path) -> None:
    """`to_disk` for every file in a folder, before the folder is renamed. Raises OSError."""
    for at, _folders, files in os.walk(folder):
        for name in files:
            to_disk(Path(at, name))
        names_to_disk(Path(at))


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Write a text file in UTF-8 by `atomic_write`. private: no other user may read it."""
    with atomic_write(path) as part:
        if private:
            part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a new, empty folder beside `path`; on exit it replaces `path`.

    After an error the new folder is removed, and `path` stays as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as work:
        made = Path(work) / "new"
        made.mkdir()
        yield made
        folder_to_disk(made)
        if path.exists():
            path.rename(Path(work) / "old")
        made.rename(path)
        names_to_disk(path.parent)
