"""The steps that a machine needs, in order: a pure function of the result of `machine.py`. `setup.py` runs them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tpos_live.cli.machine import Machine
from tpos_live.cli.machine_findings import SMALL_GB, package_line
from tpos_live.diffusion.cuda.diagnosis import INDEX, TORCH, cuda_index, unused_card

_TORCH_DOWNLOAD_GB, _TORCH_DISK_GB = 2.5, 7.0
"""Size of torch with CUDA's libraries as a download, and on the disk with the download; similar on Windows and
Linux."""
_KERNELS_GB = 0.5
_RUNTIME = "Intel's compute runtime"


@dataclass(frozen=True)
class Step:
    """Something to install, download or compile.

    command: words to run; () = the user must do it, as an administrator or by freeing space. download_gb, disk_gb:
    sizes. needs: topic of the step that must be done before.
    """

    topic: str
    text: str
    command: tuple[str, ...] = ()
    download_gb: float = 0.0
    disk_gb: float = 0.0
    needs: str = ""

    @property
    def sizes(self) -> str:
        """The sizes as text, "" if both are 0."""
        parts = [(self.download_gb, "GB to download"), (self.disk_gb, "GB on the disk")]
        return ", ".join(f"{size:.3g} {what}" for size, what in parts if size)


def setup_steps(machine: Machine) -> list[Step]:
    """All steps in order; [] = this machine has everything."""
    torch = _torch(machine)
    runs = bool(torch and torch.command) or _uses_card(machine)
    return [*_system(machine), *([torch] if torch else []), *(_sd_turbo(machine, torch) if runs else [])]


def _uses_card(machine: Machine) -> bool:
    return bool(machine.torch.device) and not (machine.cards and unused_card(machine.cards[0], machine.torch))


def _system(machine: Machine) -> list[Step]:
    """Steps for system libraries: on Linux by an administrator, elsewhere as part of Python packages."""
    steps = []
    linux = machine.system.startswith("linux")
    if machine.sound.error and linux:
        steps.append(Step("sound", f"PortAudio: {package_line(machine, ['portaudio'])}"))
    elif machine.sound.error:
        command = (*machine.pip, *_again(machine), "sounddevice")
        steps.append(Step("sound", "install sounddevice, which brings PortAudio, again", command))
    if linux and not _uses_card(machine) and not machine.cards and "Intel" in machine.graphics and not machine.openvino:
        steps.append(Step("intel", f"for Intel graphics: {package_line(machine, [_RUNTIME])}"))
    if machine.window.missing:
        missing = machine.window.missing
        steps.append(Step("window", f"{', '.join(missing)} for a window: {package_line(machine, missing)}"))
    return steps


def _torch(machine: Machine) -> Step | None:
    """The step that installs torch for the first card, if the installed torch does not use it."""
    if not machine.cards or not unused_card(machine.cards[0], machine.torch):
        return None
    card = machine.cards[0]
    index = cuda_index(card)
    if not index:
        return Step("gpu", unused_card(card, machine.torch))
    if machine.torch.cuda.replace(".", "") == index.removeprefix("cu"):
        return Step(
            "gpu", unused_card(card, machine.torch)
        )  # this version is installed, so another problem prevents its use
    version = f"{index[2:-1]}.{index[-1]}"
    command = (*machine.pip, *_again(machine), TORCH, "--index-url", f"{INDEX}{index}")
    step = Step("torch", f"torch for CUDA {version} ({card.name})", command, _TORCH_DOWNLOAD_GB, _TORCH_DISK_GB)
    return _with_room(step, machine.environment_gb, "where Python's packages are")


def _again(machine: Machine) -> tuple[str, ...]:
    return ("--reinstall",) if machine.pip[0] == "uv" else ("--force-reinstall",)


def _sd_turbo(machine: Machine, torch: Step | None) -> list[Step]:
    """Steps for SD-Turbo and its kernels, for a card that torch uses now or after the step `torch`."""
    turbo, steps = machine.sd_turbo, []
    if machine.cards and 0 < machine.cards[0].memory_gb < SMALL_GB:
        return []
    needs = torch.topic if torch else ""
    if turbo.state != "fetched":
        text = "go on fetching SD-Turbo" if turbo.state else "fetch SD-Turbo"
        command = (sys.executable, "-m", "tpos_live", "engines", "fetch", "sd-turbo")
        size = turbo.download_gb
        place = f"at {machine.engines} (TPOS_LIVE_ENGINES can name another folder)"
        fetch = Step("sd-turbo", text, command, 0.0 if turbo.state else size, size, needs)
        steps.append(_with_room(fetch, machine.engines_gb, place))
        if not steps[-1].command:
            return steps
        needs = "sd-turbo"
    return [*steps, *_kernels(machine, torch, needs)]


def _kernels(machine: Machine, torch: Step | None, needs: str) -> list[Step]:
    """Steps that compile SD-Turbo for the card, with the compiler first."""
    turbo, steps = machine.sd_turbo, []
    if turbo.compiled:
        return []
    windows = machine.system == "win32"
    if "triton" in turbo.compiler.lower() or (windows and torch):
        name = "triton-windows" if windows else "triton"
        steps.append(Step("triton", "Triton, which compiles for a card", (*machine.pip, name), 0.1, 0.3, needs))
        needs = "triton"
    elif turbo.compiler:
        return [Step("compiler", turbo.compiler)]
    command = (sys.executable, "-m", "tpos_live", "engines", "compile", "sd-turbo", "--accelerator", "compile")
    text = "compile SD-Turbo for this card, a minute or more"
    return [*steps, Step("compile", text, command, 0.0, _KERNELS_GB, needs)]


def _with_room(step: Step, free_gb: float, place: str) -> Step:
    """The step, or a note without a command if the disk has too little space."""
    if free_gb >= step.disk_gb:
        return step
    text = f"{step.text}: {step.disk_gb:.3g} GB are needed {place}, {free_gb:.1f} GB are free; make room first"
    return Step(step.topic, text)
