"""No existing file is ever changed, and two writers never share a name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tpos_live.core.output_names import VIDEO
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import OutputFile, check_output, remove_empty_parts


def write(path: Path, text: str = "new") -> OutputFile:
    output = OutputFile(path)
    with output.open() as file:
        file.write(text.encode())
    output.finish()
    return output


def test_a_file_that_is_there_is_kept_and_the_new_one_numbered(tmp_path: Path) -> None:
    path = tmp_path / "show.mp4"
    path.write_text("old")
    (tmp_path / "show-2.mp4").symlink_to("nowhere")  # a name that is taken, though nothing is behind it
    assert write(path).path.name == "show-3.mp4"
    assert write(path).path.name == "show-4.mp4"
    assert path.read_text() == "old" and (tmp_path / "show-3.mp4").read_text() == "new"
    assert not list(tmp_path.glob("*.part*"))


def test_a_part_that_was_found_is_kept_and_mentioned(tmp_path: Path) -> None:
    (tmp_path / "show.part.mp4").write_bytes(b"x" * 1_500_000)
    output = write(tmp_path / "show.mp4")
    assert output.path.name == "show-2.mp4"
    line = output.about_found()
    assert "show.part.mp4 (1.5 MB)" in line and "show-2.mp4" in line and "\n" not in line
    assert (tmp_path / "show.part.mp4").stat().st_size == 1_500_000
    assert write(tmp_path / "other.mp4").about_found() == ""


def test_two_that_write_at_once_have_names_of_their_own(tmp_path: Path) -> None:
    first, second = OutputFile(tmp_path / "a.mp4"), OutputFile(tmp_path / "a.mp4")
    with first.open() as one, second.open() as two:
        one.write(b"1")
        two.write(b"2")
    assert {second.finish().name, first.finish().name} == {"a.mp4", "a-2.mp4"}
    assert (tmp_path / "a.mp4").read_bytes() == b"1"


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_an_empty_part_is_used_again_once_its_writer_is_dead(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from typing import Any
from tpos_live.display.output_file import OutputFile
file = OutputFile(Path("a.mp4")).open()
print("open", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None and other.stdout.readline() == "open\n"
        assert write(tmp_path / "a.mp4").path.name == "a-2.mp4"
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.wait(60) == -9
    output = write(tmp_path / "a.mp4")
    assert output.path.name == "a.mp4" and output.about_found() == "" and output.path.read_text() == "new"
    for name, text in (("tpos-1-2", ""), ("tpos-1-3", "x"), ("mine", "")):
        (tmp_path / f"{name}.part.mp4").write_text(text)
    remove_empty_parts(tmp_path, "tpos-*-*.part.mp4")
    assert {path.name for path in tmp_path.glob("*.part.mp4")} == {"tpos-1-3.part.mp4", "mine.part.mp4"}
    (tmp_path / "b.part.mp4").symlink_to(tmp_path / "a.mp4")
    assert write(tmp_path / "b.mp4").path.name == "b-2.mp4"
    assert (tmp_path / "b.part.mp4").is_symlink() and (tmp_path / "a.mp4").read_text() == "new"


def test_a_file_that_comes_while_another_is_written_is_not_replaced(tmp_path: Path) -> None:
    output = OutputFile(tmp_path / "a.mp4")
    with output.open() as file:
        file.write(b"new")
        (tmp_path / "a.mp4").write_text("theirs")
    assert output.finish().name == "a-2.mp4"
    assert (tmp_path / "a.mp4").read_text() == "theirs"


_SEVERAL = """
import sys
from pathlib import Path
from typing import Any
from tpos_live.display.output_file import OutputFile
sys.stdin.readline()
for k in range(20):
    output = OutputFile(Path("a.mp4"))
    with output.open() as file:
        file.write(sys.argv[1].encode())
    output.finish()
"""


def test_processes_that_begin_in_one_second_lose_nothing(tmp_path: Path) -> None:
    crew = [
        subprocess.Popen([sys.executable, "-c", _SEVERAL, str(n)], cwd=tmp_path, stdin=subprocess.PIPE)
        for n in range(3)
    ]
    for process in crew:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in crew] == [0, 0, 0]
    for process in crew:
        assert process.stdin is not None
        process.stdin.close()
    written = [path.read_text() for path in tmp_path.iterdir()]
    assert len(written) == 60 and all(written.count(str(n)) == 20 for n in range(3))


@pytest.mark.parametrize("step", ["lstat", "open"])
def test_a_part_that_another_process_finishes_meanwhile_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a.part.mp4").touch()
    real = getattr(Path, step)

    def finished_before(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "a.part.mp4" and "x+b" not in arguments and path.exists():
            path.rename(tmp_path / "a.mp4")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, step, finished_before)
    output = OutputFile(tmp_path / "a.mp4")
    with output.open():
        assert output.path.name == "a-2.mp4" and output.found == []


def test_what_is_read_is_never_written(tmp_path: Path) -> None:
    source = tmp_path / "ok.mp4"
    source.write_text("sound")
    (tmp_path / "link.mp4").symlink_to(source)
    os.link(source, tmp_path / "hard.mp4")
    for name in ("ok.mp4", "link.mp4", "hard.mp4"):
        with pytest.raises(DisplayError, match="is the file that is read"):
            check_output(tmp_path / name, VIDEO, [source])
    assert check_output(tmp_path / "new.mp4", VIDEO, [source]) == tmp_path / "new.mp4"


def test_bad_outputs_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for name, word in (
        ("folder.mp4", "folder"),
        ("no/a.mp4", "does not exist"),
        ("a.wav", ".wav"),
        ("a.v2", ".v2"),
        (".mp4", "NAME.mp4"),
        ("x" * 300 + ".mp4", "choose another name"),
        ("/dev/null", "is a device or a pipe"),
    ):
        with pytest.raises(DisplayError) as caught:
            check_output(tmp_path / name, VIDEO)
        assert word in str(caught.value) and "\n" not in str(caught.value)
    assert check_output(tmp_path / "a", VIDEO).name == "a.mp4"
    assert check_output(tmp_path / "A.MP4", VIDEO).name == "A.MP4"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]
