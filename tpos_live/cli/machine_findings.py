"""What works on a machine, one line per topic: pure functions of the result of `machine.py`."""

from __future__ import annotations

from collections.abc import Sequence

from tpos_live.bench.findings import Finding
from tpos_live.cli.machine import Machine, Sound, Window
from tpos_live.diffusion.cuda.diagnosis import DRIVERS, INDEX, Card, TorchBuild, unused_card

SMALL_GB, TIGHT_GB = 3.4, 5.5
"""GiB of a card below which SD-Turbo does not run, and below which it needs a smaller size."""
PACKAGES = {
    "portaudio": {"apt": "libportaudio2", "dnf": "portaudio", "pacman": "portaudio", "zypper": "libportaudio2"},
    "GL": {"apt": "libgl1 libgl1-mesa-dri", "dnf": "mesa-libGL mesa-dri-drivers", "pacman": "mesa",
           "zypper": "Mesa-libGL1 Mesa-dri"},
    "EGL": {"apt": "libegl1", "dnf": "mesa-libEGL", "pacman": "mesa", "zypper": "Mesa-libEGL1"},
    "fontconfig": {"apt": "libfontconfig1", "dnf": "fontconfig", "pacman": "fontconfig", "zypper": "libfontconfig1"},
    "freetype": {"apt": "libfreetype6", "dnf": "freetype", "pacman": "freetype2", "zypper": "libfreetype6"},
    "Intel's compute runtime": {"apt": "intel-opencl-icd", "dnf": "intel-compute-runtime",
                                "pacman": "intel-compute-runtime", "zypper": "intel-opencl"},
}  # fmt: skip
"""System packages of each library, by package manager."""
_INSTALL = {"apt": "apt install", "dnf": "dnf install", "pacman": "pacman -S", "zypper": "zypper install"}


def machine_findings(machine: Machine) -> list[Finding]:
    """All lines that setup prints about a machine."""
    found = torch_findings(machine.cards, machine.torch)
    found += _graphics_findings(machine)
    found += [sound_finding(machine.sound), window_finding(machine.window), *_engine_findings(machine)]
    return found


def torch_findings(cards: Sequence[Card], torch: TorchBuild) -> list[Finding]:
    """The state of torch, and of the first card if torch does not use it."""
    if torch.error:
        found = [Finding("torch", False, f"cannot be imported ({torch.error}): install tpos-live again")]
    else:
        where = torch.device or f"CPU, {torch.threads} threads"
        found = [Finding("torch", True, f"{torch.version} on {where}")]
    if cards and (why := unused_card(cards[0], torch)):
        found.append(Finding("gpu", None, why))
    return found


def sound_finding(sound: Sound) -> Finding:
    """The number of inputs, or why there are none. Files and the demo work without inputs."""
    if sound.error:
        return Finding("sound", None, sound.error)
    text = f"{sound.inputs} inputs" if sound.inputs else "no input: connect one, or use --audio FILE"
    return Finding("sound", bool(sound.inputs) or None, text)


def window_finding(window: Window) -> Finding:
    """OpenGL's driver, or why no window opens."""
    if window.error:
        return Finding("window", False, window.error)
    if not window.display:
        return Finding("window", None, "no display: `render` and --headless work")
    return Finding("window", True, window.gl)


def package_line(machine: Machine, libraries: Sequence[str]) -> str:
    """The command that installs the packages of these libraries; on an unknown system, their names."""
    if machine.manager not in _INSTALL:
        return f"install {', '.join(libraries)} with the system's package manager"
    words = " ".join(PACKAGES[library][machine.manager] for library in libraries).split()
    return f"sudo {_INSTALL[machine.manager]} {' '.join(dict.fromkeys(words))}"


def _graphics_findings(machine: Machine) -> list[Finding]:
    """Graphics that torch does not use, other than cards that NVIDIA's driver lists."""
    if machine.torch.device and machine.torch.rocm:
        return [Finding("gpu", None, f"{machine.torch.device} by ROCm: not tested on a card")]
    if machine.torch.device and not machine.cards:
        return []
    if machine.cards:
        card = machine.cards[0]
        if not card.memory_gb or card.memory_gb >= TIGHT_GB:
            return []
        text = f"{card.name} has {card.memory_gb:.0f} GB: "
        if card.memory_gb < SMALL_GB:
            return [Finding("memory", None, text + "too little for SD-Turbo; Ember fits")]
        return [Finding("memory", None, text + "close other programs, and start SD-Turbo with --size 384")]
    if "NVIDIA" in machine.graphics:
        text = f"an NVIDIA card without NVIDIA's driver: install driver {DRIVERS['13']} or newer"
        return [Finding("gpu", None, text + " (Ubuntu: sudo ubuntu-drivers install), and restart")]
    if "AMD" in machine.graphics:
        text = "AMD graphics are not used. A card that ROCm supports is used by torch from "
        return [Finding("gpu", None, f"{text}{INDEX}rocm7.2, which is not tested; Ember runs on the CPU")]
    if machine.system == "darwin":
        return [Finding("gpu", None, "Apple's graphics are not used; Ember runs on the CPU")]
    if machine.openvino:
        text = f"OpenVINO finds {', '.join(machine.openvino)}: timed at the first start (--openvino-device auto)"
        return [Finding("gpu", None, f"{text}; not tested on one")]
    if "Intel" in machine.graphics:
        return [Finding("gpu", None, "Intel graphics are not used: OpenVINO finds no driver for them")]
    return [Finding("gpu", None, "no NVIDIA card: Ember runs on the CPU")]


def _engine_findings(machine: Machine) -> list[Finding]:
    """The engine that a show uses by default."""
    turbo = machine.sd_turbo
    if not machine.torch.device:
        return [Finding("engine", True, "Ember, which needs nothing more")]
    if turbo.state != "fetched":
        state = "was fetched only in part" if turbo.state else "was not fetched"
        return [Finding("engine", None, f"Ember; SD-Turbo {state}: `tpos-live engines fetch sd-turbo`")]
    if turbo.compiled:
        return [Finding("engine", True, "SD-Turbo, compiled for this card")]
    why = f" ({turbo.compiler})" if turbo.compiler else ""
    return [Finding("engine", None, f"SD-Turbo, not compiled for this card{why}: it runs with cuda-graph")]
