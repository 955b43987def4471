"""Files and folders that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary name to write a file to, in the same folder and with the same suffix; it becomes `path` at the end.

    The folder is made. After an error the temporary file is removed, and `path` stays as it was. Two processes may
    write the same path at the same time: the last one wins. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str, private: bool = False) -> None:
    """Write a file of text, in UTF-8, by `atomic_write`. private: no other user may read it."""
    with atomic_write(path) as part:
        if private:
            part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new, empty folder to write to, beside `path`; it takes the place of `path` at the end.

    After an error it is removed, and `path` stays as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as work:
        made = Path(work) / "new"
        made.mkdir()
        yield made
        if path.exists():
            path.rename(Path(work) / "old")
        made.rename(path)
