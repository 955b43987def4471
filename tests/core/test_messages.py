"""Messages by the standard logging module: their handlers, and that importing configures nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

import pytest
from fakes.messages import heard_messages

from tpos_live.core.messages import (
    NOTICE,
    REPEAT,
    LineHandler,
    TerminalHandler,
    background_writer,
    handling,
    terminal_messages,
)

root = logging.getLogger("tpos_live")
log = logging.getLogger("tpos_live.some.part")


def test_the_level_decides_who_gets_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_messages("tpos-live: "), heard_messages(NOTICE) as performer:
        log.debug("a rewritten prompt")
        log.info("OSC on port 9000")
        log.log(NOTICE, "saved a.png")
        log.warning("no sound from %r", "USB")
        log.error("recording lost: 100 % full")
    told = ["saved a.png", "no sound from 'USB'", "recording lost: 100 % full"]
    assert performer == told
    assert capsys.readouterr().err.splitlines() == [f"tpos-live: {line}" for line in ("OSC on port 9000", *told)]
    assert logging.getLevelName(NOTICE) == "NOTICE"


def test_a_fault_that_comes_back_is_printed_once_a_minute() -> None:
    now, printed = 0.0, list[str]()
    with handling(TerminalHandler(printed.append, clock=lambda: now)):
        for second in range(150):
            now = float(second)
            log.warning("the engine failed")
        assert printed == 3 * ["the engine failed"]
        printed.clear()
        log.info("recording lost")
        log.info("recording lost")
        assert len(printed) == 2, "INFO is printed each time: it repeats what must be seen"
        for k in range(1000):
            log.warning(f"fault {k}")
        log.warning("fault 0")
        assert len(printed) == 2 + 1000 + 1, "it does not remember lines without end"
        now += REPEAT
        log.warning("fault 999")
        assert printed[-1] == "fault 999"


def test_a_line_appears_once_with_two_terminals_and_the_newest_prints() -> None:
    first, second = list[str](), list[str]()
    outer, inner = terminal_messages(write=first.append), terminal_messages("> ", second.append)
    with outer:
        with inner:
            log.warning("one")
        log.warning("two")
    log.warning("three")
    assert (first, second) == (["two"], ["> one"])


def test_a_library_user_gets_plain_logging(caplog: pytest.LogCaptureFixture) -> None:
    assert root.level == logging.NOTSET and root.propagate
    log.info("quiet")
    log.warning("loud")
    assert caplog.messages == ["loud"], "the root logger's level holds"
    with heard_messages() as lines:
        log.info("news")
    assert lines == ["news"] and caplog.messages == ["loud", "news"]
    with terminal_messages(write=lines.append):
        log.warning("printed")
    assert lines[-1] == "printed" and caplog.messages == ["loud", "news"], "a root handler would print it again"
    with caplog.at_level(logging.DEBUG, "tpos_live"):
        with heard_messages():
            log.debug("asked for by the program")
        assert caplog.messages[-1] == "asked for by the program" and root.level == logging.DEBUG


def test_contexts_that_overlap_leave_the_logger_as_it_was() -> None:
    """Two shows: the first one ends first."""
    lines: list[list[str]] = [[], []]
    contexts = [handling(LineHandler(each.append, NOTICE)) for each in lines]
    contexts[0].__enter__()
    contexts[1].__enter__()
    contexts[0].__exit__(None, None, None)
    log.log(NOTICE, "still here")
    contexts[1].__exit__(None, None, None)
    assert lines == [[], ["still here"]]
    assert root.level == logging.NOTSET and root.propagate
    assert [type(handler) for handler in root.handlers] == [logging.NullHandler]


def test_a_handler_that_fails_stops_neither_the_part_nor_the_other_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    def closed(line: str) -> None:
        raise BrokenPipeError

    with terminal_messages(write=closed), heard_messages() as lines:
        log.warning("the terminal is gone")
    assert lines == ["the terminal is gone"]


def test_a_terminal_that_is_stopped_stops_nobody() -> None:
    """Ctrl-S blocks the terminal. Other handlers get every line, and so does the terminal when it continues."""
    stopped, printed = threading.Event(), list[str]()

    def write(line: str) -> None:
        stopped.wait(30)
        printed.append(line)

    begin = time.monotonic()
    with background_writer(write) as background, terminal_messages("> ", background), heard_messages() as lines:
        for k in range(5000):
            log.info(f"line {k}")
        assert len(lines) == 5000 and not printed
    assert 0.9 < time.monotonic() - begin < 25, "leaving waits for a second"
    stopped.set()
    deadline = time.monotonic() + 10
    while len(printed) < 1000 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert printed[:2] == ["> line 0", "> line 1"] and 1000 <= len(printed) <= 1001, "the rest is dropped"


def test_a_pipe_that_nobody_reads_stops_nobody() -> None:
    code = (
        "import logging, os\n"
        "from tpos_live.core.messages import background_writer, terminal_messages\n"
        "with background_writer() as write, terminal_messages(write=write):\n"
        "    for k in range(500):\n"
        "        logging.getLogger('tpos_live.part').info(1000 * 'x')\n"
        "print('done', flush=True)\n"
        "os._exit(0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.read() == "done\n" and process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_background_has_written_everything_when_it_is_left() -> None:
    printed: list[str] = []

    def write(line: str) -> None:
        if line == "bad":
            raise BrokenPipeError
        printed.append(line)

    with background_writer(write) as background:
        for line in ("one", "bad", "two"):
            background(line)
    assert printed == ["one", "two"]


def test_no_line_is_lost_while_a_library_has_taken_stderr_away() -> None:
    program = """
import logging, os
from tpos_live.core.messages import background_writer, terminal_messages
with background_writer() as write, terminal_messages("show: ", write):
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # as sounddevice does while PortAudio starts
    logging.getLogger("tpos_live.page").info("control page: http://127.0.0.1:9080/ \u2588")
os.dup2(kept, 2)
"""
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, timeout=60, check=True, env={**os.environ, "PYTHONUTF8": "1"})
    assert said.stderr.decode().splitlines() == ["show: control page: http://127.0.0.1:9080/ \u2588"]


def test_many_threads_log_while_contexts_come_and_go() -> None:
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            log.warning("fault")

    threads = [threading.Thread(target=talk) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        with heard_messages() as lines, terminal_messages(write=lambda line: None):
            log.warning("mine")
        assert "mine" in lines
    stop.set()
    for thread in threads:
        thread.join()
    assert root.level == logging.NOTSET


def test_importing_the_package_prints_nothing_and_sets_no_handler_of_the_root() -> None:
    code = (
        "import logging, tpos_live.runtime.live_session\n"
        "logging.getLogger('tpos_live.audio').warning('nobody listens')\n"
        "assert not logging.getLogger().handlers and logging.getLogger().level == logging.WARNING\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
