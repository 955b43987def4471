"""Errors as one line of text."""

from __future__ import annotations

from tpos_live.core.errors import exit_status, first_line, one_line, reason


def test_an_error_is_told_in_one_short_line() -> None:
    assert first_line(ValueError("\n  bad header\nand a page of reasons")) == "bad header"
    assert first_line(ValueError("x" * 500), 80) == "x" * 80
    assert first_line(ValueError("  \n")) == "ValueError"
    full = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
    assert first_line(RuntimeError(full)) == "DefaultCPUAllocator: can't allocate memory: you tried to"


def test_an_error_of_the_system_is_told_in_its_own_words() -> None:
    assert reason(FileNotFoundError(2, "No such file or directory", "/here")) == "No such file or directory"
    assert reason(ValueError("bad header\nand more")) == "bad header"


def test_a_child_process_ends_with_one_line(capsys) -> None:
    def fail() -> None:
        raise ValueError("no memory\nand a page of reasons")

    assert exit_status(lambda: None) == 0
    assert exit_status(fail) == 1
    assert capsys.readouterr().err == "no memory\n"


def test_no_name_breaks_a_line_or_is_obeyed_by_a_terminal() -> None:
    assert one_line("no x\n\x1b[31m\r.wav …") == "no x ?[31m .wav …"
