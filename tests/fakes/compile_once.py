"""A C++ compiler that compiles each file once a test run, and after that copies what came of it.

PyTorch's compiler makes the same kernels for the same small networks in several tests, each with an empty cache folder
of its own, and a C++ compiler takes a second and more for every one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

FOLDER = "TPOS_TEST_COMPILED"


def compiler(factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables that make PyTorch use this compiler: CXX and FOLDER.

    The compiler's path is the same in every test run: it is in the names of the headers that PyTorch compiles ahead,
    150 MB each time, and keeps for ever in a folder of its own.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = base / "compiled"
    kept.mkdir(exist_ok=True)
    words = f'#!/bin/sh\nexec "{sys.executable}" -IS "{Path(__file__)}" "$@"\n'
    name = f"tpos-live-g++-{os.getuid()}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"
    script = Path(tempfile.gettempdir()) / name
    if not script.exists():
        part = script.with_suffix(f".{os.getpid()}")
        part.write_text(words)
        part.chmod(0o755)
        part.rename(script)
    return {"CXX": str(script), FOLDER: str(kept)}


def main(arguments: list[str]) -> None:
    """Stand in for g++, which gets what cannot be kept as it is."""
    import fcntl  # Windows has none, and no test there comes here

    out = Path(arguments[arguments.index("-o") + 1]) if "-o" in arguments else None
    sources = [Path(word) for word in arguments if word.endswith(".cpp")]
    if out is None or len(sources) != 1 or "-c" in arguments:
        os.execvp("g++", ["g++", *arguments])
    own = {str(out), str(sources[0])}
    words = "\0".join(word for word in arguments if word not in own).encode()
    kept = Path(os.environ[FOLDER]) / hashlib.sha256(words + sources[0].read_bytes()).hexdigest()
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who comes while another test compiles the same file waits for it
        if kept.exists():
            shutil.copy(kept, out)
            return
        status = os.spawnvp(os.P_WAIT, "g++", ["g++", *arguments])
        if status or not out.exists():
            raise SystemExit(status)
        part = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(out, part)
        part.rename(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
