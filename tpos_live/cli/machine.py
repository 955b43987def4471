"""Probes this machine: cards, torch, sound, window, engine and disk space. Changes nothing.

`machine_findings` and `setup_steps` are functions of its result.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tpos_live.core.errors import first_line
from tpos_live.diffusion.cuda.diagnosis import Card, TorchBuild, nvidia_cards, torch_build

MANAGERS = ("apt", "dnf", "pacman", "zypper")
"""Supported package managers of Linux."""
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_WINDOW_LIBRARIES = ("GL", "EGL", "fontconfig", "freetype")
"""Libraries that a window needs on Linux: OpenGL, and fonts for the status."""
_TORCH_PATIENCE = 120.0
"""Most seconds for a child process that imports torch from a cold disk."""


@dataclass(frozen=True)
class Sound:
    """Sound devices. error: why none can be used, "" = PortAudio works. inputs: number of inputs."""

    error: str = ""
    inputs: int = 0


@dataclass(frozen=True)
class Window:
    """The window system. display: whether there is a desktop session. gl: OpenGL's driver. error: why no window opens,
    "" if one opens, or was not tried. missing: system libraries that were not found."""

    display: bool = False
    gl: str = ""
    error: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SdTurbo:
    """The engine for a card. state: "fetched", "in part" or "" (not fetched). compiled: its kernels are in the cache
    for this card. compiler: why they cannot be compiled, "" = they can. download_gb: as its preset says."""

    state: str = ""
    compiled: bool = False
    compiler: str = ""
    download_gb: float = 0.0


@dataclass(frozen=True)
class Machine:
    """system: sys.platform. manager: of MANAGERS, "" = none of them. pip: the words of the command that installs into
    this Python. graphics: makers of the graphics chips, where the system lists them. openvino: devices that OpenVINO
    finds beside the CPU, as in "GPU (Intel Iris Xe)". environment_gb, engines_gb: free space in GB where Python's
    packages and where the engines are."""

    system: str = "linux"
    processor: str = "x86_64"
    manager: str = ""
    pip: tuple[str, ...] = ("pip", "install")
    cards: tuple[Card, ...] = ()
    graphics: tuple[str, ...] = ()
    openvino: tuple[str, ...] = ()
    torch: TorchBuild = field(default_factory=TorchBuild)
    sound: Sound = Sound()
    window: Window = Window()
    sd_turbo: SdTurbo = SdTurbo()
    engines: str = ""
    environment_gb: float = 1000.0
    engines_gb: float = 1000.0


def probe_machine() -> Machine:
    """Probe this machine, which takes some seconds. Never fails: unknown values stay empty."""
    from tpos_live.core.paths import engines_dir

    torch, sd_turbo, openvino = _libraries_in_a_child()
    return Machine(
        system=sys.platform,
        processor=platform.machine().lower(),
        manager=next((name for name in MANAGERS if shutil.which(name)), ""),
        pip=install_command(),
        cards=tuple(nvidia_cards()),
        graphics=_graphics(),
        openvino=openvino,
        torch=torch,
        sound=probe_sound(),
        window=probe_window(),
        sd_turbo=sd_turbo,
        engines=str(engines_dir()),
        environment_gb=free_gb(Path(sys.prefix)),
        engines_gb=free_gb(engines_dir()),
    )


def probe_sound() -> Sound:
    """Count the inputs of PortAudio."""
    from tpos_live.audio.devices import list_devices
    from tpos_live.audio.source import AudioError

    try:
        return Sound(inputs=sum(row.inputs > 0 for row in list_devices()))
    except AudioError as error:
        return Sound(error=str(error))


def probe_window() -> Window:
    """Open a hidden window, if there is a desktop session."""
    from tpos_live.display.screens import has_display

    missing: tuple[str, ...] = ()
    if sys.platform.startswith("linux"):
        missing = tuple(name for name in _WINDOW_LIBRARIES if ctypes.util.find_library(name) is None)
    if not has_display():
        return Window(missing=missing)
    try:
        from tpos_live.display.open_window import describe_gl

        return Window(True, describe_gl(), missing=missing)
    except Exception as error:  # pyglet raises many kinds, down to missing libraries
        return Window(True, error=first_line(error, 300), missing=missing)


def probe_sd_turbo(torch: TorchBuild) -> SdTurbo:
    """Check whether SD-Turbo is fetched, and compiled for this torch and card."""
    from tpos_live.diffusion.hub.fetched import find_fetched, half_fetched
    from tpos_live.diffusion.hub.presets import SD_TURBO, load_preset

    size = load_preset(SD_TURBO).download_gb
    folder = find_fetched(SD_TURBO)
    if folder is None or not torch.device:
        state = "in part" if half_fetched(SD_TURBO) else ""
        return SdTurbo("fetched" if folder else state, download_gb=size)
    from tpos_live.cli.compile_ahead import backend_request
    from tpos_live.diffusion.backends import torch_compile

    ready, why = torch_compile.is_available("compile", "cuda")
    compiled = ready and torch_compile.is_prepared(backend_request(SD_TURBO))
    return SdTurbo("fetched", compiled, why, size)


def probe_openvino() -> list[str]:
    """The devices of OpenVINO other than the CPU, as in "GPU (Intel Iris Xe)". Imports openvino."""
    import openvino

    from tpos_live.diffusion.backends.openvino_device import list_devices

    return [f"{device} ({name})" for device, name in list_devices(openvino.Core()).items() if device != "CPU"]


def _libraries_in_a_child() -> tuple[TorchBuild, SdTurbo, tuple[str, ...]]:
    """Probe torch and OpenVINO in a child process: setup may replace torch, and Windows cannot replace a loaded
    library."""
    command = [sys.executable, "-m", "tpos_live.cli.machine"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_PATIENCE)
        found = json.loads(asked.stdout.splitlines()[-1])
        return TorchBuild(**found["torch"]), SdTurbo(**found["sd_turbo"]), tuple(found["openvino"])
    except subprocess.TimeoutExpired:
        why = f"it took more than {_TORCH_PATIENCE:.0f} s, as on a busy computer or a slow disk; try again"
        return TorchBuild(error=why), SdTurbo(), ()
    except (OSError, ValueError, LookupError, TypeError) as error:
        return TorchBuild(error=f"importing torch ended without an answer ({first_line(error)})"), SdTurbo(), ()


def install_command() -> tuple[str, ...]:
    """The words of the command that installs into this Python. Environments of `uv` and `pipx` may have no pip."""
    if importlib.util.find_spec("pip") is None:
        if shutil.which("uv"):
            return ("uv", "pip", "install", "--python", sys.executable)
        if shutil.which("pipx"):
            return ("pipx", "runpip", Path(sys.prefix).name, "install")
    return (sys.executable, "-m", "pip", "install")


def _graphics() -> tuple[str, ...]:
    """Makers of the graphics chips that Linux lists, with or without a driver; () on other systems."""
    try:
        files = sorted(Path("/sys/bus/pci/devices").glob("*/class"))
        displays = [path.parent for path in files if path.read_text().startswith("0x03")]
        makers = [_VENDORS.get((device / "vendor").read_text().strip(), "") for device in displays]
    except OSError:
        return ()
    return tuple(dict.fromkeys(maker for maker in makers if maker))


def free_gb(folder: Path) -> float:
    """Free space in GB on the disk of a folder, which need not exist; 0 if unknown."""
    there = next((path for path in (folder, *folder.parents) if os.path.exists(path)), Path("/"))  # noqa: PTH110  # Path.exists raises
    try:
        return shutil.disk_usage(there).free / 1e9
    except OSError:
        return 0.0


def main() -> None:
    """The child process: print the probes of torch and OpenVINO as one line of JSON."""
    torch = torch_build()
    try:
        sd_turbo = probe_sd_turbo(torch)
    except Exception as error:  # an unreadable engine, which `engines check` explains
        sd_turbo = SdTurbo("fetched", compiler=first_line(error))
    try:
        openvino = probe_openvino()
    except Exception:  # a missing library or a failing driver, which `doctor` reports
        openvino = []
    print(json.dumps({"torch": asdict(torch), "sd_turbo": asdict(sd_turbo), "openvino": openvino}))


if __name__ == "__main__":
    main()
