"""The NVIDIA cards of this machine, the build of torch, and why torch does not use a card.

`nvidia_cards` needs no torch: `tpos-live setup` may replace torch, which Windows refuses while it is imported.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from tpos_live.core.errors import first_line

TORCH = "torch>=2.11,<2.14"
"""As in pyproject.toml."""
INDEX = "https://download.pytorch.org/whl/"
DRIVERS = {"13": 580, "12": 525}
"""The oldest NVIDIA driver for a major version of CUDA (CUDA's release notes, minor version compatibility)."""
_TURING, _BLACKWELL = 7.5, 10.0
"""Compute capabilities: CUDA 13 supports no card older than Turing, CUDA 12.6 none from Blackwell on."""


@dataclass(frozen=True)
class Card:
    """An NVIDIA card as its driver describes it. memory_gb: in GiB. capability: CUDA's, as in 8.9; 0 = not known."""

    name: str
    driver: str = ""
    memory_gb: float = 0.0
    capability: float = 0.0

    @property
    def driver_major(self) -> int:
        """0 = not known."""
        major = self.driver.partition(".")[0]
        return int(major) if major.isdigit() else 0


@dataclass(frozen=True)
class TorchBuild:
    """The installed torch. cuda, rocm: versions that it was built for, "" = it was not. device: the card's name, "" =
    it runs on the CPU. error: why it cannot be imported."""

    version: str = ""
    cuda: str = ""
    rocm: str = ""
    device: str = ""
    threads: int = 0
    error: str = ""


def nvidia_cards() -> list[Card]:
    """The cards that NVIDIA's driver lists; none without a driver, or where it does not answer."""
    # Old drivers do not know the last field.
    for fields in ("name,driver_version,memory.total,compute_cap", "name,driver_version,memory.total"):
        if rows := _query(fields):
            return [_card(row) for row in rows]
    return []


def _query(fields: str) -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # a driver that hangs
        return []
    return [] if asked.returncode else asked.stdout.strip().splitlines()


def _card(row: str) -> Card:
    name, driver, memory, capability = [*(field.strip() for field in row.split(",")), "", "", "", ""][:4]
    return Card(name, driver, _number(memory) / 1024, _number(capability))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return 0.0


def torch_build() -> TorchBuild:
    """Import torch and describe it."""
    try:
        import torch
    except Exception as error:  # a library that is missing, or half an installation
        return TorchBuild(error=first_line(error))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    cuda, rocm = torch.version.cuda or "", getattr(torch.version, "hip", None) or ""
    return TorchBuild(torch.__version__, cuda, rocm, device, torch.get_num_threads())


def cuda_index(card: Card) -> str:
    """The folder of torch's index whose build runs on a card with its driver: "cu130", "cu126" or "" (none does)."""
    driver = card.driver_major or DRIVERS["13"]
    old = 0 < card.capability < _TURING
    if driver >= DRIVERS["13"] and not old:
        return "cu130"
    return "cu126" if driver >= DRIVERS["12"] and card.capability < _BLACKWELL else ""


def install_line(index: str) -> str:
    """The command that replaces torch by the build of an index."""
    return f'pip install --force-reinstall "{TORCH}" --index-url {INDEX}{index}'


def gpu_remedy() -> str:
    """One line on how to fix a GPU that torch cannot use; "" where there is no GPU or torch uses it."""
    import torch

    if torch.cuda.is_available():
        return ""
    cards = nvidia_cards()
    return unused_card(cards[0], torch_build()) if cards else ""


def unused_card(card: Card, torch: TorchBuild) -> str:
    """Why this torch does not use the card, and the remedy; "" if it does."""
    index, major = cuda_index(card), torch.cuda.partition(".")[0]
    fix = f"Fix: `tpos-live setup`, or {install_line(index)}"
    if torch.device and not (major == "13" and 0 < card.capability < _TURING):
        return ""
    update = f"install NVIDIA's driver {DRIVERS['13']} or newer, restart, and run `tpos-live setup`"
    if torch.error or not major:
        what = "torch cannot be imported" if torch.error else "this torch is a CPU build"
        what = "this torch is a ROCm build" if torch.rocm else what
        return f"{card.name} is not used: {what}. " + (fix if index else f"Driver {card.driver} is too old: {update}")
    if 0 < card.driver_major < DRIVERS.get(major, DRIVERS["13"]):
        other = f". Without a new driver: {install_line(index)}" if index else ""
        return (
            f"{card.name} is not used: torch {torch.version} needs a newer driver than {card.driver}: {update}{other}"
        )
    if major == "13" and 0 < card.capability < _TURING:
        return f"{card.name} is not used: it is too old for this torch, which was built for CUDA {torch.cuda}. {fix}"
    return f"{card.name} is not used by torch {torch.version}: restart the computer; `nvidia-smi` must list the card"
