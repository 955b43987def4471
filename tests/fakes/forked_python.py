"""A Python for scripts under test, whose processes have tpos-live's libraries already (see `forked`).

A script calls the program as it calls any Python. The program passes arguments, folder, environment and streams on to
the test's process, which has a process forked for them, and ends with its exit status.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    Request = tuple[list[str], str, dict[str, str]]
    """Arguments, folder and environment."""


@contextmanager
def forked_python() -> Iterator[str]:
    """The path of a program that takes `-m MODULE`, `-c CODE` or a file, and arguments."""
    from fakes.forked import can_fork

    if not can_fork():
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(prefix="tpos-live-python-") as folder, socket.socket(socket.AF_UNIX) as server:
        program, address = Path(folder) / "python", Path(folder) / "socket"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{__file__}" "{address}" "$@"\n')
        program.chmod(0o755)
        server.bind(str(address))
        server.listen()
        serving = threading.Thread(target=_serve, args=(server,), name="forked-python", daemon=True)
        serving.start()
        try:
            yield str(program)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join(10.0)


def _serve(server: socket.socket) -> None:
    """One after another, as a script calls them."""
    while True:
        try:
            caller, _ = server.accept()
        except OSError:  # shut down
            return
        with caller, suppress(ConnectionError):
            caller.sendall(str(_run(caller)).encode())


def _run(caller: socket.socket) -> int:
    """The exit status of the process that a caller asks for; it is killed if the caller ends before it."""
    from multiprocessing.connection import Connection, wait

    from fakes.forked import context

    words, found, _, _ = socket.recv_fds(caller, 1 << 16, 3)
    while not words.endswith(b"\n"):
        words += caller.recv(1 << 16)
    streams = [Connection(each) for each in found]
    process = context().Process(target=_main, args=(json.loads(words), streams))
    process.start()
    for stream in streams:
        stream.close()
    if process.sentinel not in wait([process.sentinel, caller]):
        process.kill()
    process.join()
    status = process.exitcode or 0
    return status if status >= 0 else 128 - status


def _main(request: Request, streams: list[Connection]) -> None:
    from fakes.forked import reopen_streams

    arguments, folder, environment = request
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    reopen_streams()
    if threads := environment.get("OMP_NUM_THREADS"):  # is read when PyTorch is imported
        import torch

        torch.set_num_threads(int(threads))
    first, *rest = arguments
    sys.argv = {"-m": rest, "-c": [first, *rest[1:]]}.get(first, arguments)
    sys.path.insert(0, str(Path(first).parent.resolve()) if not first.startswith("-") else folder)
    if first == "-m":
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(first, run_name="__main__")


def main(address: str, arguments: list[str]) -> int:
    """The program."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        words = json.dumps([arguments, str(Path.cwd()), dict(os.environ)]).encode() + b"\n"
        sent = socket.send_fds(server, [words], [0, 1, 2])
        server.sendall(words[sent:])
        return int(server.recv(16) or 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
