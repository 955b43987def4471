"""`tpos-live setup`: each line that it can print, for a table of machines; and the commands after each answer."""

from __future__ import annotations

import errno
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tpos_live.bench.findings import Finding
from tpos_live.cli import machine as probing
from tpos_live.cli.exit import text_of
from tpos_live.cli.machine import Machine, SdTurbo, Sound, Window, free_gb, install_command, probe_machine
from tpos_live.cli.machine_findings import machine_findings
from tpos_live.cli.main import cli
from tpos_live.cli.setup import run_command, run_setup
from tpos_live.cli.setup_steps import Step, setup_steps
from tpos_live.core.paths import engines_dir
from tpos_live.diffusion.cuda import diagnosis
from tpos_live.diffusion.cuda.diagnosis import Card, TorchBuild, nvidia_cards

RTX = Card("NVIDIA GeForce RTX 4090", "581.29", 24.0, 8.9)
CPU, CUDA = TorchBuild("2.12.0+cpu", threads=8), TorchBuild("2.12.0+cu130", "13.0", device=RTX.name, threads=8)
TURBO = SdTurbo(download_gb=2.6)
LAPTOP = Machine("linux", manager="apt", torch=CPU, sound=Sound(inputs=2), window=Window(True, "Mesa"), sd_turbo=TURBO)
"""No card; everything else works."""
BESIDE = replace(LAPTOP, cards=(RTX,))
"""A CPU build of torch beside a card."""
STUDIO = replace(BESIDE, torch=CUDA, sd_turbo=SdTurbo("fetched", True, download_gb=2.6))
"""A card, with everything."""
OLD = replace(RTX, driver="535.183.01")
PASCAL = Card("NVIDIA GeForce GTX 1080", "581.29", 8.0, 6.1)
MAC = replace(LAPTOP, system="darwin", manager="", processor="arm64")
WINDOWS = replace(BESIDE, system="win32", manager="")


def topics(machine: Machine) -> list[str]:
    return [step.topic for step in setup_steps(machine)]


def found(machine: Machine, topic: str) -> Finding:
    (finding,) = [finding for finding in machine_findings(machine) if finding.topic == topic]
    return finding


def step(machine: Machine, topic: str) -> Step:
    return next(step for step in setup_steps(machine) if step.topic == topic)


@pytest.mark.parametrize(
    ("machine", "steps"),
    [
        (LAPTOP, []),
        (MAC, []),
        (STUDIO, []),
        (BESIDE, ["torch", "sd-turbo", "compile"]),
        (WINDOWS, ["torch", "sd-turbo", "triton", "compile"]),
        (replace(BESIDE, torch=CUDA), ["sd-turbo", "compile"]),
        (replace(STUDIO, sd_turbo=SdTurbo("fetched")), ["compile"]),
        (replace(STUDIO, sd_turbo=SdTurbo("fetched", compiler="torch.compile needs Triton")), ["triton", "compile"]),
        (replace(STUDIO, sd_turbo=SdTurbo("fetched", compiler="there is no g++ here")), ["compiler"]),
        (replace(BESIDE, cards=(OLD,)), ["torch", "sd-turbo", "compile"]),
        (replace(BESIDE, cards=(replace(RTX, driver="470.82"),)), ["gpu"]),
        (replace(BESIDE, cards=(replace(OLD, capability=12.0),)), ["gpu"]),
        (replace(BESIDE, torch=replace(CUDA, device="")), ["gpu"]),
        (replace(BESIDE, cards=(replace(RTX, memory_gb=2.0),)), ["torch"]),
        (replace(BESIDE, cards=(replace(RTX, memory_gb=4.0),)), ["torch", "sd-turbo", "compile"]),
        (replace(BESIDE, environment_gb=3.0), ["torch"]),
        (replace(BESIDE, engines_gb=1.0), ["torch", "sd-turbo"]),
        (replace(LAPTOP, graphics=("Intel", "NVIDIA")), ["intel"]),
        (replace(LAPTOP, graphics=("Intel",)), ["intel"]),
        (replace(LAPTOP, graphics=("Intel",), openvino=("GPU (Iris)",)), []),
        (replace(STUDIO, graphics=("Intel", "NVIDIA")), []),
        (replace(LAPTOP, torch=TorchBuild("2.12.0+rocm7.2", rocm="7.2", device="Radeon")), ["sd-turbo", "compile"]),
        (replace(LAPTOP, sound=Sound("PortAudio is missing")), ["sound"]),
        (replace(MAC, sound=Sound("PortAudio is missing")), ["sound"]),
        (replace(LAPTOP, window=Window(True, error="no GL", missing=("GL", "EGL"))), ["window"]),
        (replace(LAPTOP, torch=TorchBuild(error="No module named torch")), []),
    ],
)  # fmt: skip
def test_what_a_machine_needs_in_order(machine: Machine, steps: list[str]) -> None:
    assert topics(machine) == steps
    for finding in machine_findings(machine):
        assert finding.text and "\n" not in finding.text
    for each in setup_steps(machine):
        assert "sudo" not in each.command and each.text and "\n" not in each.text


@pytest.mark.parametrize(
    ("machine", "topic", "ok", "words"),
    [
        (LAPTOP, "gpu", None, "no NVIDIA card: Ember runs on the CPU"),
        (LAPTOP, "engine", True, "Ember, which needs nothing more"),
        (MAC, "gpu", None, "Apple's graphics are not used"),
        (STUDIO, "torch", True, "2.12.0+cu130 on NVIDIA GeForce RTX 4090"),
        (STUDIO, "engine", True, "SD-Turbo, compiled"),
        (replace(STUDIO, sd_turbo=SdTurbo("fetched")), "engine", None, "not compiled for this card: it runs with cuda"),
        (replace(STUDIO, sd_turbo=SdTurbo("in part")), "engine", None, "only in part: `tpos-live engines fetch"),
        (replace(STUDIO, sd_turbo=SdTurbo("")), "engine", None, "was not fetched: `tpos-live engines fetch sd-turbo`"),
        (BESIDE, "gpu", None, "this torch is a CPU build. Fix: `tpos-live setup`, or pip install --force-reinst"),
        (BESIDE, "gpu", None, "whl/cu130"),
        (replace(BESIDE, cards=(OLD,)), "gpu", None, "whl/cu126"),
        (replace(BESIDE, cards=(OLD,), torch=replace(CUDA, device="")), "gpu", None, "a newer driver than 535.183.01"),
        (replace(BESIDE, cards=(OLD,), torch=replace(CUDA, device="")), "gpu", None, "Without a new driver: pip inst"),
        (replace(BESIDE, cards=(replace(RTX, driver="470.82"),)), "gpu", None, "470.82 is too old: install NVIDIA's"),
        (replace(BESIDE, torch=replace(CUDA, device="")), "gpu", None, "restart the computer; `nvidia-smi` must list"),
        (replace(BESIDE, cards=(PASCAL,), torch=replace(CUDA, device=PASCAL.name)), "gpu", None, "too old for this"),
        (replace(BESIDE, torch=TorchBuild("2.12+rocm7.2", rocm="7.2")), "gpu", None, "this torch is a ROCm build"),
        (replace(BESIDE, torch=TorchBuild(error="DLL load failed")), "gpu", None, "torch cannot be imported"),
        (replace(LAPTOP, torch=TorchBuild(error="DLL load failed")), "torch", False, "(DLL load failed): install tpos"),
        (replace(BESIDE, cards=(replace(RTX, memory_gb=2.0),)), "memory", None, "2 GB: too little for SD-Turbo"),
        (replace(BESIDE, cards=(replace(RTX, memory_gb=4.0),)), "memory", None, "4 GB: close other programs"),
        (replace(LAPTOP, graphics=("NVIDIA",)), "gpu", None, "without NVIDIA's driver: install driver 580 or newer"),
        (replace(LAPTOP, graphics=("AMD",)), "gpu", None, "whl/rocm7.2, which is not tested"),
        (replace(LAPTOP, graphics=("Intel",)), "gpu", None, "Intel graphics are not used: OpenVINO finds no driver"),
        (replace(LAPTOP, openvino=("GPU (Iris)",)), "gpu", None, "OpenVINO finds GPU (Iris): timed at the first start"),
        (replace(LAPTOP, torch=TorchBuild("2", rocm="7.2", device="Radeon")), "gpu", None, "Radeon by ROCm"),
        (replace(LAPTOP, sound=Sound("PortAudio is missing")), "sound", None, "PortAudio is missing"),
        (replace(LAPTOP, sound=Sound()), "sound", None, "no input: connect one, or use --audio FILE"),
        (LAPTOP, "sound", True, "2 inputs"),
        (LAPTOP, "window", True, "Mesa"),
        (replace(LAPTOP, window=Window()), "window", None, "no display: `render` and --headless work"),
        (replace(LAPTOP, window=Window(True, error="no window opens")), "window", False, "no window"),
    ],
)  # fmt: skip
def test_each_finding_has_its_state_and_words(machine: Machine, topic: str, ok: bool | None, words: str) -> None:
    finding = found(machine, topic)
    assert finding.ok is ok and words in finding.text


@pytest.mark.parametrize(
    ("machine", "topic", "text", "command"),
    [
        (BESIDE, "torch", "torch for CUDA 13.0 (NVIDIA GeForce RTX 4090)", "whl/cu130"),
        (WINDOWS, "torch", "torch for CUDA 13.0", "whl/cu130"),
        (replace(BESIDE, cards=(OLD,)), "torch", "torch for CUDA 12.6", "whl/cu126"),
        (replace(BESIDE, cards=(PASCAL,)), "torch", "torch for CUDA 12.6", "whl/cu126"),
        (replace(BESIDE, cards=(PASCAL,), torch=replace(CUDA, device="x")), "torch", "CUDA 12.6", "whl/cu126"),
        (BESIDE, "sd-turbo", "fetch SD-Turbo", "engines fetch sd-turbo"),
        (replace(BESIDE, sd_turbo=SdTurbo("in part")), "sd-turbo", "go on fetching SD-Turbo", "engines fetch sd-turbo"),
        (BESIDE, "compile", "compile SD-Turbo for this card", "--accelerator compile"),
        (WINDOWS, "triton", "Triton", "triton-windows"),
        (replace(MAC, sound=Sound("x")), "sound", "PortAudio, again", "--force-reinstall sounddevice"),
        (replace(BESIDE, environment_gb=3.0), "torch", "7 GB are needed where Python", ""),
        (replace(BESIDE, engines_gb=1.0, engines="/e"), "sd-turbo", "at /e (TPOS_LIVE_ENGINES can name another", ""),
        (replace(LAPTOP, sound=Sound("x")), "sound", "PortAudio: sudo apt install libportaudio2", ""),
        (replace(LAPTOP, sound=Sound("x"), manager="dnf"), "sound", "sudo dnf install portaudio", ""),
        (replace(LAPTOP, sound=Sound("x"), manager="pacman"), "sound", "sudo pacman -S portaudio", ""),
        (replace(LAPTOP, sound=Sound("x"), manager="zypper"), "sound", "sudo zypper install libportaudio2", ""),
        (replace(LAPTOP, sound=Sound("x"), manager=""), "sound", "portaudio with the system's package manager", ""),
        (replace(LAPTOP, graphics=("Intel",)), "intel", "sudo apt install intel-opencl-icd", ""),
        (replace(LAPTOP, graphics=("Intel",), manager=""), "intel", "install Intel's compute runtime with the", ""),
        (replace(LAPTOP, window=Window(missing=("GL", "EGL"))), "window", "install libgl1 libgl1-mesa-dri libegl1", ""),
        (replace(LAPTOP, manager="pacman", window=Window(missing=("GL", "EGL"))), "window", "sudo pacman -S mesa", ""),
        (replace(LAPTOP, window=Window(missing=("fontconfig", "freetype"))), "window", "libfontconfig1 libfr", ""),
    ],
)  # fmt: skip
def test_a_step_says_what_it_does_and_what_it_runs(machine: Machine, topic: str, text: str, command: str) -> None:
    each = step(machine, topic)
    assert text in each.text
    assert command in " ".join(each.command) and bool(command) == bool(each.command)


def test_sizes_are_said_before_a_download() -> None:
    assert step(BESIDE, "torch").sizes == "2.5 GB to download, 7 GB on the disk"
    assert step(BESIDE, "sd-turbo").sizes == "2.6 GB to download, 2.6 GB on the disk"


def test_an_environment_of_uv_is_changed_by_uv() -> None:
    uv = replace(BESIDE, pip=("uv", "pip", "install", "--python", "/tool/python"))
    assert step(uv, "torch").command[:6] == ("uv", "pip", "install", "--python", "/tool/python", "--reinstall")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"pip", "uv", "pipx"}, [sys.executable, "-m", "pip", "install"]),
        ({"uv", "pipx"}, ["uv", "pip", "install", "--python", sys.executable]),
        ({"pipx"}, ["pipx", "runpip", Path(sys.prefix).name, "install"]),
        (set(), [sys.executable, "-m", "pip", "install"]),
    ],
)
def test_what_installs_into_this_environment(
    there: set[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr("shutil.which", lambda name: name if name in there else None)
    assert list(install_command()) == words


class Bench:
    """A fake machine that changes with the commands that are run."""

    def __init__(self, machine: Machine, fails: str = "") -> None:
        self.machine, self.fails = machine, fails
        self.asked: list[str] = []
        self.ran: list[str] = []

    def probe(self) -> Machine:
        return self.machine

    def run(self, command: Sequence[str]) -> int:
        line = " ".join(command)
        self.ran.append(line)
        if self.fails and self.fails in line:
            return 1
        if "whl/cu" in line:
            self.machine = replace(self.machine, torch=CUDA)
        elif "fetch" in line:
            self.machine = replace(self.machine, sd_turbo=replace(TURBO, state="fetched"))
        else:
            self.machine = replace(self.machine, sd_turbo=replace(TURBO, state="fetched", compiled=True))
        return 0

    def setup(self, *yes: str) -> int:
        def ask(step: Step) -> bool:
            self.asked.append(step.topic)
            return step.topic in yes

        return run_setup(ask, self.probe, self.run)


def test_each_step_is_done_after_a_yes_and_then_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(BESIDE)
    assert bench.setup("torch", "sd-turbo", "compile") == 0
    assert bench.asked == ["torch", "sd-turbo", "compile"] and len(bench.ran) == 3
    assert bench.machine.torch == CUDA and "done: `tpos-live demo`" in capsys.readouterr().out
    assert Bench(bench.machine).setup() == 0
    assert "everything is there" in capsys.readouterr().out


def test_nothing_is_run_without_a_yes_and_what_needs_it_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(replace(BESIDE, sound=Sound("PortAudio is missing")))
    assert bench.setup() == 0 and bench.ran == [] and bench.asked == ["torch"]
    out = capsys.readouterr().out
    assert "sudo apt install libportaudio2" in out and "after torch" in out and "after sd-turbo" in out
    assert "left: compile, sd-turbo, sound, torch" in out


def test_a_step_that_fails_ends_it_and_the_next_call_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(BESIDE, fails="fetch")
    assert bench.setup("torch", "sd-turbo") == 1
    assert "sd-turbo was not done; run `tpos-live setup` again" in capsys.readouterr().err
    bench.fails, bench.asked = "", []
    assert bench.setup("sd-turbo", "compile") == 0 and bench.asked == ["sd-turbo", "compile"]


def test_a_command_is_run_and_its_end_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        run_command([sys.executable, "-c", "import os, sys; sys.exit(os.environ['PIP_RESUME_RETRIES'] != '20')"]) == 0
    )
    assert run_command([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert run_command(["/no/such/program"]) == 1 and "/no/such/program" in capfd.readouterr().err


def test_a_broken_window_is_a_fault_of_the_main_job(capsys: pytest.CaptureFixture[str]) -> None:
    assert Bench(replace(LAPTOP, window=Window(True, error="no GL"))).setup() == 1
    out = capsys.readouterr().out
    assert "repair what says NO" in out and "everything is there" not in out


def test_a_torch_that_loads_for_minutes_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the probing process's own command, which does not help the user."""
    monkeypatch.setattr(probing, "_TORCH_PATIENCE", 0.01)
    torch, _, _ = probing._libraries_in_a_child()
    assert torch.error.startswith("it took more than 0 s") and "Command" not in torch.error


@pytest.mark.parametrize(
    ("rows", "cards"),
    [
        ("NVIDIA H200, 580.95.05, 143771, 9.0\n", [Card("NVIDIA H200", "580.95.05", 143771 / 1024, 9.0)]),
        ("GeForce GTX 960M, 391.35, 4096\n", [Card("GeForce GTX 960M", "391.35", 4.0, 0.0)]),
        ("GRID, [N/A], [N/A], [N/A]\n", [Card("GRID", "[N/A]")]),
        ("", []),
    ],
)
def test_cards_are_read_from_the_drivers_own_list(
    rows: str, cards: list[Card], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A fake program of that name on the path; that of an old driver refuses an unknown field."""
    tool = tmp_path / "nvidia-smi"
    old = rows.count(",") == 2
    (tmp_path / "rows").write_text(rows)
    refuse = 'case "$1" in *compute_cap*) exit 2;; esac\n' if old else ""
    tool.write_text(f"#!/bin/sh\n{refuse}cat '{tmp_path / 'rows'}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert nvidia_cards() == cards


def test_a_driver_that_is_not_there_lists_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_cards() == []


def test_the_torch_that_is_installed_is_the_one_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert diagnosis.TORCH in project["dependencies"]


def test_this_machine_is_looked_at_and_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    machine = probe_machine()
    assert machine.system == sys.platform and machine.torch.version and not machine.torch.error
    assert machine.engines_gb > 0 and "install" in machine.pip
    monkeypatch.setattr("tpos_live.cli.setup.probe_machine", lambda: replace(BESIDE, cards=(RTX,)))
    monkeypatch.setattr("tpos_live.cli.setup.subprocess.run", lambda *_a, **_k: pytest.fail("it ran something"))
    result = CliRunner().invoke(cli, ["setup"], standalone_mode=False)
    assert result.return_value == 0 and "whl/cu130" in result.output and "left:" in result.output


@pytest.mark.parametrize("folder", ["x" * 300, "~nobody-here/x", "/proc/1/root/x", "a\nb"])
def test_a_folder_that_cannot_be_looked_at_stops_nothing(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("TPOS_LIVE_ENGINES", folder)
    assert free_gb(engines_dir()) >= 0.0


def test_an_error_of_the_system_that_names_a_file_is_one_line() -> None:
    assert text_of(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300)) == f"File name too long: '{'x' * 300}'"
    assert text_of(OSError("a fault of ours")) == "" == text_of(OSError(errno.EBADF, "Bad file descriptor"))
