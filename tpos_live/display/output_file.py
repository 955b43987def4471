"""Names of output files: an existing file is never overwritten.

A file is written as `NAME.part.SUFFIX` and renamed when it is complete. Where NAME.SUFFIX or its part exists, the file
is numbered: NAME-2.SUFFIX, NAME-3.SUFFIX … An empty part that nobody writes is used again.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tpos_live.core.errors import reason
from tpos_live.display.errors import DisplayError

IMAGE = (".png", ".jpg", ".jpeg", ".webp")
MOST = 10_000
"""Largest number."""


def check_output(path: Path, suffixes: Sequence[str], sources: Sequence[Path] = (), *, try_folder: bool = True) -> Path:
    """Return `path`, with the first of `suffixes` where it has none.

    Raises DisplayError at once, not after minutes of work, if the file cannot be written, is of another kind, or is one
    of `sources`. try_folder: also write a temporary file there; this takes as long as the disk does.
    """
    path = Path(path)
    if is_folder(path):
        raise DisplayError(f"{path} is a folder; name a file")
    if is_there(path) and not path.is_file():
        raise DisplayError(f"{path} is a device or a pipe; name a file")
    if path.name.lower() in suffixes:
        raise DisplayError(f"{path} has no name before {path.name}; name it NAME{path.name}")
    if not path.suffix:
        path = path.with_name(path.name + suffixes[0])
    if path.suffix.lower() not in suffixes:
        raise DisplayError(f"{path}: {path.suffix} is not written; name it {', '.join(suffixes)}")
    if any(is_same(path, source) for source in sources):
        raise DisplayError(f"{path} is the file that is read; name another one to write")
    if try_folder:
        check_folder(path.parent)
        _check_name(path)
    elif not is_folder(path.parent):
        raise DisplayError(f"{path.parent} does not exist; make it first, or name another folder")
    return path


def check_folder(folder: Path) -> None:
    """Raise DisplayError if no file can be written into `folder`."""
    if not is_folder(folder):
        raise DisplayError(f"{folder} does not exist; make it first, or name another folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DisplayError(f"cannot write into {folder}: {reason(error)}; choose another folder") from error


def _check_name(path: Path) -> None:
    """Raise DisplayError for a name that no file in this folder can have."""
    try:
        part_of(path).lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DisplayError(f"no file can be called {path.name[:60]}… ({reason(error)}); choose another name") from error


def is_there(path: Path) -> bool:
    """Whether a path exists. False where the system answers with an error, as it does for a disk that is gone."""
    try:
        return path.exists()
    except OSError:
        return False


def gone(path: Path) -> DisplayError:
    """The error of a file that was removed while it is written."""
    return DisplayError(f"{path} is gone: its folder or its disk was removed")


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; as `is_there`."""
    try:
        return path.is_dir()
    except OSError:
        return False


def part_of(path: Path) -> Path:
    """The name of `path` while it is written."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def numbered(path: Path, number: int) -> Path:
    """`path` itself for 1, else with the number after its name."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


class OutputFile:
    """A file that no other process writes. `open`, then `finish` or `discard`; without either the part remains.

    Two of them, also in two processes, never share a name: the part is created exclusively, and so is the final name.
    """

    def __init__(self, wanted: Path) -> None:
        self.wanted = wanted
        self.path = wanted
        """The final name, once `open` was called."""
        self.found: list[Path] = []
        """Parts of other runs that `open` found under this name, and kept."""

    @property
    def part(self) -> Path:
        """The name while the file is written."""
        return part_of(self.path)

    def open(self) -> BinaryIO:
        """Choose the name and create the part: unbuffered, for writing and reading. Raises OSError."""
        for number in range(1, MOST):
            self.path = numbered(self.wanted, number)
            if os.path.lexists(self.path):
                if os.path.lexists(self.part):
                    self.found.append(self.part)
                continue
            if (file := _claimed(self.part)) is not None:
                return file
            if os.path.lexists(self.part):
                self.found.append(self.part)
        raise OSError(errno.EEXIST, f"{MOST} files of this name are there")

    def finish(self) -> Path:
        """Rename the part to its name, or to the next free one. Raises OSError."""
        part, number = self.part, 1
        path = self.path
        while True:
            try:
                path.open("xb").close()  # Reserve the name: a rename alone would replace a file created meanwhile.
            except FileExistsError:
                number += 1
                path = numbered(self.wanted, number)
                if number > MOST:
                    raise
                continue
            try:
                part.replace(path)
            except OSError:
                path.unlink()
                raise
            self.path = path
            return path

    def discard(self) -> None:
        """Remove the empty part."""
        self.part.unlink(missing_ok=True)

    def about_found(self) -> str:
        """A line about the parts that were found, "" without any."""
        if not self.found:
            return ""
        sizes = ", ".join(f"{path} ({_megabytes(path)} MB)" for path in self.found[:3])
        return f"found {sizes}, left by a run that was cut off or still writes; kept, this one is {self.path.name}"


def remove_empty_parts(folder: Path, pattern: str) -> None:
    """Remove the empty parts in `folder` that no process writes. pattern: of names that only this program gives."""
    with suppress(OSError):
        for part in folder.glob(pattern):
            if (file := _claimed(part)) is not None:
                file.close()
                part.unlink()


def _claimed(part: Path) -> BinaryIO | None:
    """A new part, or the empty one of a run that was killed before its first picture; None for a part that holds
    something, or that another process writes. Locked until it is closed. Raises OSError."""
    try:
        file, new = part.open("x+b", buffering=0), True
    except FileExistsError:
        try:
            found = part.lstat()
            if sys.platform == "win32" or not stat.S_ISREG(found.st_mode) or found.st_size:
                return None
            file, new = part.open("r+b", buffering=0), False
        except FileNotFoundError:  # another process has just given it its final name
            return None
    if sys.platform == "win32":
        return file
    import fcntl

    ours = new
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = os.fstat(file.fileno())
        ours = facts.st_size == 0 and os.path.samestat(facts, part.stat())
    except (BlockingIOError, FileNotFoundError):  # another process has it, or has just removed it
        ours = False
    except OSError:  # a file system without locks
        pass
    if ours:
        return file
    file.close()
    return None


def _megabytes(path: Path) -> str:
    try:
        return f"{path.stat().st_size / 1e6:.1f}"
    except OSError:
        return "0.0"


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths are one file or folder; by their names where one does not exist."""
    with suppress(OSError):
        return path.samefile(other)
    with suppress(OSError):  # the current folder was removed
        return path.absolute() == other.absolute()
    return path == other


def check_image(path: Path, sources: Sequence[Path] = ()) -> Path:
    """As `check_output`, for `save_image`."""
    from PIL import features

    suffixes = [suffix for suffix in IMAGE if suffix != ".webp" or features.check("webp")]
    return check_output(path, suffixes, sources)


def save_image(path: Path, pixels: np.ndarray) -> Path:
    """Save an image, uint8 [height, width, 3], in the format of its suffix (IMAGE), atomically.

    Returns the path, numbered where such a file exists. Raises DisplayError with the reason.
    """
    from PIL import Image

    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    options: dict[str, Any] = {"compress_level": 3} if kind == "PNG" else {"quality": 95}
    output = OutputFile(Path(path))
    try:
        with output.open() as file:
            try:
                Image.fromarray(pixels).save(file, kind, **options)
            except BaseException:
                output.discard()
                raise
        return output.finish()
    except OSError as error:
        raise DisplayError(f"cannot save {path}: {reason(error)}; choose another folder or make room") from error
