"""The command line in a shell: exit codes, one line for an error, quick help."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile

from tpos_live.audio.source import AudioError
from tpos_live.cli import main as cli
from tpos_live.cli.options import settings_from


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tpos_live", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--audio", "a.wav", "--device", "mic"], "--audio and --device"),
        (["--size", "big"], "512x288"),
        (["--channels", "0"], "count from 1"),
        (["--osc-reply", "somewhere"], "HOST:PORT"),
        (["--prompt", "x", "demo"], "after its name"),
        (["--config", "none.toml"], "none.toml"),
        (["play"], "play"),
        (["render", "x.wav"], "--output"),
        (["--fps-cap", "-1"], "fps-cap"),
        (["--seed", "blue"], "'blue' is not a whole number."),
        (["--source-amount", "much"], "'much' is not a number."),
        (["--record", ""], "--record is empty"),
        (["--output", ""], "--output is empty"),
        (["--osc-host", ""], "osc.host"),
        (["demo", "--engine", ""], "--engine is empty"),
        (["demo", "--watchdog"], "the demo always begins anew"),
        (["demo", "--resume"], "the demo always begins anew"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], word: str, tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert word in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["--seconds", "no"], "(see tpos-live --help)"),
        (["still"], "(see tpos-live still --help)"),
        (["doctor", "--hours", "3"], "(see tpos-live doctor --help)"),
        (["engines", "fetch"], "(see tpos-live engines fetch --help)"),
        (["--mute", "demo"], "(see tpos-live --help)"),
        (["still", "-o", "a.png", "--config", "wrong.toml"], "not 'x'"),
    ],
)
def test_a_mistake_names_the_help_that_has_the_option(
    arguments: list[str], end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.toml").write_text("[osc]\nport = 'x'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "leave", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2 and capsys.readouterr().err.rstrip().endswith(end)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--sekunden", "3"], "No such option '--sekunden'. (see"),
        (["--seconda", "3"], "No such option '--seconda'. Did you mean --seconds? (see"),
        (["stil"], "Did you mean still? (see"),
        (["still", "-o", "a.png", "--accelerator", "opnvino"], 'there is no accelerator "opnvino"; choose auto, eager'),
    ],
)
def test_only_a_name_that_is_near_is_offered(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "leave", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2 and line in capsys.readouterr().err


def test_an_empty_value_may_take_away_what_a_settings_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('[record]\nfile = "tonight.mp4"\n[output]\nto = ["udp://127.0.0.1:1234"]\n')
    monkeypatch.chdir(tmp_path)
    settings = settings_from({"record_file": "", "output_to": [], "parameters_prompt": ""})
    assert settings.record.file == "" and not settings.output.to
    with pytest.raises(click.UsageError, match="show_file is empty"):
        settings_from({"show_file": ""})


def test_ctrl_c_during_the_imports_is_no_traceback() -> None:
    code = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "tpos_live.cli.options":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from tpos_live.__main__ import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (130, "")


def test_a_group_without_a_command_shows_its_help() -> None:
    result = run("engines")
    assert result.returncode == 2 and result.stderr.startswith("Usage: ") and "fetch" in result.stderr
    assert "tpos-live: " not in result.stderr and "(see" not in result.stderr


def test_a_bad_config_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[osc]\nprot = 1\n")
    result = run(cwd=tmp_path)
    assert result.returncode == 2
    assert "config.toml, line 2, osc.prot" in result.stderr


def test_help_and_version() -> None:
    assert "--device" in run("-h").stdout
    assert run("--version").stdout.startswith("tpos-live")
    for command in ("demo", "render", "still", "devices", "doctor", "bench", "train"):
        result = run(command, "--help")
        assert result.returncode == 0 and "Usage" in result.stdout


@pytest.mark.parametrize("group", [(), ("bench",), ("engines",), ("evaluate",), ("train",)], ids=" ".join)
def test_help_fits_a_terminal_and_cuts_no_sentence_off(group: tuple[str, ...]) -> None:
    _, *lines = run(*group, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "Commands:" in lines
    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.skipif(sys.platform != "linux", reason="a shell, and names that are no text")
def test_streams_that_are_closed_full_or_without_a_letter_are_no_traceback(tmp_path: Path) -> None:
    def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = f"{sys.executable} -m tpos_live"
        return subprocess.run(
            ["sh", "-c", line.replace("tpos-live", program)], cwd=tmp_path, env={**os.environ, **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert shell("tpos-live --version >&- 2>&- <&-").returncode == 0
    assert shell("tpos-live --list-osc | head -1").stdout.startswith("ADDRESS")
    full = shell("tpos-live engines list >/dev/full")
    assert full.returncode == 1
    assert full.stderr == "tpos-live: cannot write: No space left on device; make room, or write elsewhere\n"
    assert shell("tpos-live evaluate gate --help", PYTHONIOENCODING="latin-1").returncode == 0
    odd = shell(r'''tpos-live render x -o "$(printf 'a\033[31m\n\377.gif')"''')
    assert odd.returncode == 1 and "\033" not in odd.stderr and odd.stderr.startswith("tpos-live: ")
    gone = shell("mkdir gone && cd gone && rmdir ../gone && tpos-live render a.ogg -o b.mp4")
    assert gone.returncode == 1 and gone.stderr.count("\n") == 1 and "folder" in gone.stderr


def test_closed_streams_leave_no_number_to_a_file() -> None:
    code = (
        "import os, sys; from tpos_live.cli.exit import complete_streams; complete_streams(); "
        "print('nobody hears it'); sys.exit(os.open(os.devnull, os.O_RDONLY))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(["sh", "-c", '"$0" "$@" <&- >&- 2>&-', *command], timeout=60, check=False)
    assert result.returncode == 3


def printed(code: str) -> str:
    """The output of a new Python process, which has imported nothing yet."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys, tpos_live.cli.main; "
        "print([m for m in ('torch', 'diffusers', 'pyglet', 'numpy') if m in sys.modules])"
    )
    assert printed(code) == "[]"


def test_what_a_window_shows_needs_no_torch() -> None:
    """The window opens before the engine loads, also that with the last frame of a crashed show."""
    code = (
        "import sys, tpos_live.display.interpolator, tpos_live.display.hud, tpos_live.runtime.last_frame; "
        "print('torch' in sys.modules)"
    )
    assert printed(code) == "False"


def test_commands_of_training_and_measuring_are_imported_when_they_run() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from tpos_live.cli.main import cli; "
        "CliRunner().invoke(cli, ['still', '--help']); "
        "print([m for m in sys.modules if m.startswith('tpos_live.')"
        " and m.split('.')[1] in ('training', 'evaluation', 'bench') or m in ('tpos_live.cli.train',)])"
    )
    assert printed(code) == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--channels", "1,1"], "channel 1 is named twice"),
        (["--loop"], "--audio"),
        (["--fallback", "a.wav", "--audio", "b.wav"], "--fallback is for an input"),
        (["--headless", "--osc-port=0", "--no-web", "--audio=ok.wav", "--channels=1,99"], "channels 1 to 2, not 99"),
    ],
)
def test_sound_that_makes_no_sense_is_refused_with_the_reason(arguments: list[str], words: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "ok.wav", np.zeros((4800, 2)), 48_000)
    result = run(*arguments, cwd=tmp_path)
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith("tpos-live: seed")]
    assert result.returncode in (1, 2) and len(lines) == 1 and words in lines[0], result.stderr


def test_ending_while_a_thread_is_inside_a_library_is_no_crash() -> None:
    """C++ that calls Python, as PyTorch does during its import: Python's finalization aborts it, status 134."""
    code = """
import sys, threading, time, torch
from tpos_live.cli.main import leave
def called_back(future):
    time.sleep(0.002)
def work():
    while True:
        future = torch.futures.Future()
        future.then(called_back)
        future.set_result(1)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
print("said")
leave(1)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "said\n", "")


def test_a_start_that_fails_ends_the_normal_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """After any error `main` prints the line and calls `leave` with the status."""
    ends: list[int] = []
    monkeypatch.setattr(cli, "leave", ends.append)
    for error, status in ((AudioError("no"), 1), (ZeroDivisionError("bug"), 1), (KeyboardInterrupt(), 130)):

        def fail(error: BaseException = error, **_options: object) -> None:
            raise error

        monkeypatch.setattr(cli.cli, "main", fail)
        cli.main()
        assert ends.pop() == status


def _parameters(command: click.Command, name: str = "tpos-live") -> Iterator[tuple[str, click.Parameter]]:
    """Each option and argument of a command and of the commands below it, with the command's name."""
    for parameter in command.params:
        yield f"{name} {parameter.name}", parameter
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _parameters(found, f"{name} {below}")


def test_no_number_is_nan_and_no_path_is_empty() -> None:
    tried = 0
    for name, parameter in _parameters(cli.cli):
        kind = parameter.type
        if isinstance(kind, (click.Path, click.FloatRange)) or kind is click.FLOAT:
            with pytest.raises(click.BadParameter):
                kind.convert("" if isinstance(kind, click.Path) else "nan", parameter, None)
                pytest.fail(f"{name} takes it")
            tried += 1
    assert tried > 30


def test_every_option_says_what_it_is() -> None:
    silent, groups = [], [("tpos-live", cli.cli)]
    for name, command in groups:
        silent += [
            f"{name} {part.opts[0]}" for part in command.params if isinstance(part, click.Option) and not part.help
        ]
        if isinstance(command, click.Group):
            context = click.Context(command)
            found = [(f"{name} {sub}", command.get_command(context, sub)) for sub in command.list_commands(context)]
            groups += [(sub, child) for sub, child in found if child]
    assert silent == []
