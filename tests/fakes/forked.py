"""Runs commands of tpos-live in processes that have its libraries already.

Each process is forked from one that has imported them and done nothing else (multiprocessing's fork server), with
streams, folder and environment of its own: for two to three seconds less of a processor than a new Python takes.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

LIBRARIES = ["tpos_live.runtime.offline", "tpos_live.runtime.pipeline", "diffusers.models.unets.unet_2d_condition"]


def run(*arguments: str, cwd: Path, timeout: float = 170.0) -> subprocess.CompletedProcess[str]:
    """`python -m tpos_live` with these arguments, until it ends. Raises subprocess.TimeoutExpired."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        command = [sys.executable, "-m", "tpos_live", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with tempfile.TemporaryDirectory(prefix="tpos-live-run-") as folder:
        streams = Path(folder) / "out", Path(folder) / "err"
        process = context.Process(target=_main, args=(arguments, cwd, streams, dict(os.environ)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout, *(path.read_text() for path in streams))
        return subprocess.CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in streams))


def _main(arguments: tuple[str, ...], cwd: Path, streams: tuple[Path, Path], environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, path in enumerate(streams, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = ["tpos-live", *arguments]
    runpy.run_module("tpos_live", run_name="__main__", alter_sys=True)
