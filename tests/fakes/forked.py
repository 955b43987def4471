"""Runs commands of tpos-live in processes that have its libraries already.

Each process is forked from one that has imported them and done nothing else (multiprocessing's fork server), with
streams, folder and environment of its own: for five to six seconds less of a processor than a new Python takes.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext

LIBRARIES = [
    "tpos_live.runtime.offline",
    "tpos_live.runtime.pipeline",
    "tpos_live.runtime.run_session",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_tiny",
]


def run(*arguments: str, cwd: Path, timeout: float = 170.0) -> subprocess.CompletedProcess[str]:
    """`python -m tpos_live` with these arguments, until it ends. Raises subprocess.TimeoutExpired."""
    if not can_fork():
        command = [sys.executable, "-m", "tpos_live", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)
    with tempfile.TemporaryDirectory(prefix="tpos-live-run-") as folder:
        out = Path(folder) / "out"
        process = Forked(arguments, cwd, os.environ, out=out)
        try:
            _, errors = process.communicate(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.wait(), out.read_text(), errors)


def start(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, code: str = "", fork: bool = True
) -> subprocess.Popen[str]:
    """Start `python -m tpos_live` with these arguments in a process group of its own, which Ctrl-C can end.

    env: instead of this process's. code: run first. fork: False for a new Python. Standard output is lost; `stderr` is
    a pipe.
    """
    given = os.environ if env is None else env
    if fork and can_fork():
        return cast("subprocess.Popen[str]", Forked(arguments, cwd, given, code))  # as far as tests of shows use one
    words = f"{code}\nimport runpy\nrunpy.run_module('tpos_live', run_name='__main__', alter_sys=True)"
    return subprocess.Popen(
        [sys.executable, "-c", words, *arguments], cwd=cwd, env=dict(given), start_new_session=True, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


class Forked:
    """A process with the methods of subprocess.Popen that tests use."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        cwd: Path,
        environment: Mapping[str, str],
        code: str = "",
        out: Path = Path(os.devnull),
    ) -> None:
        self.args = arguments
        forking = context()
        reader, writer = forking.Pipe(duplex=False)
        self._process = forking.Process(target=_main, args=(arguments, cwd, dict(environment), code, out, writer))
        self._process.start()
        writer.close()
        self.stderr: TextIO = os.fdopen(os.dup(reader.fileno()), encoding="utf-8", errors="replace")
        reader.close()
        self.pid = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """("", what came on `stderr` and was not read yet), when it has ended."""
        found: list[str] = []
        reading = threading.Thread(target=lambda: found.append(self.stderr.read()), daemon=True)
        reading.start()
        self.wait(timeout)
        reading.join(timeout)
        return "", "".join(found)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def can_fork() -> bool:
    """Whether this system has a fork server."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def context() -> ForkServerContext:
    """Makes processes that are forked from one with LIBRARIES."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(LIBRARIES)
    return made


def reopen_streams() -> None:
    """Make stdout and stderr anew after `os.dup2`: the old objects would seek in a pipe as in the file of before."""
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115


def _main(
    arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], code: str, out: Path, errors: Connection
) -> None:
    os.setsid()  # as a terminal gives a command a process group
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(errors.fileno(), 2)
    errors.close()
    reopen_streams()
    sys.argv = ["tpos-live", *arguments]
    if code:
        exec(compile(code, "code", "exec"), {})
    runpy.run_module("tpos_live", run_name="__main__", alter_sys=True)
