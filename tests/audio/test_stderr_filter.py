"""The filter of messages of sound libraries. test_real_microphone.py tests it with a real device."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from tpos_live.audio import stderr_filter


@pytest.mark.parametrize(
    "line",
    [
        b"Expression 'alsa_snd_pcm_poll_descriptors_revents( self->pcm, pfds, self->nfds, &revents )' failed in 'x.c'",
        b"ALSA lib pcm_pulse.c:758:(pulse_prepare) PulseAudio: Unable to create stream: No such entity",
        b"Cannot connect to server socket err = No such file or directory",
        b"jack server is not running or cannot be started",
        b"Note: Illegal Audio-MPEG-Header 0xb1428c33 at offset 91680.",
        b"",
    ],
)
def test_what_the_sound_libraries_print_is_dropped(line: bytes) -> None:
    assert not stderr_filter.passes(line)


def test_other_lines_pass() -> None:
    for line in (b"tpos-live: microphone is gone", b"Traceback", b"MESA: error: no such driver", b"  Expression"):
        assert stderr_filter.passes(line)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the filter")
def test_a_writer_that_is_not_read_in_time_waits_for_nothing() -> None:
    """More bytes than a pipe holds, while the filter's thread cannot run because this thread holds the GIL."""
    code = """
import ctypes
from tpos_live.audio.stderr_filter import install_stderr_filter
install_stderr_filter()
libc = ctypes.PyDLL(None)  # calls keep the lock
stderr = ctypes.c_void_p.in_dll(libc, "stderr")
for _ in range(3000):
    libc.fprintf(stderr, b"ALSA lib " + b"x" * 100 + b"\\n")
print("done")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (result.returncode, result.stdout) == (0, "done\n")


def test_without_the_filter_two_threads_do_not_lose_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A former fault: each restored the other's redirection, and stderr stayed on the null device."""
    monkeypatch.setattr(stderr_filter, "_installed", False)
    before = os.fstat(2)
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with stderr_filter.quiet_stderr():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(5)
    with stderr_filter.quiet_stderr():
        leave.set()
        thread.join(5)
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
