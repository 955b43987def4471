"""Why torch does not use the graphics card of this machine."""

from __future__ import annotations

import shutil
import subprocess

import torch


def gpu_remedy() -> str:
    """The line that says how to fix a GPU that torch cannot use; "" where there is none or it is used."""
    if torch.cuda.is_available() or shutil.which("nvidia-smi") is None:
        return ""
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):  # a driver that hangs
        return ""
    card = asked.stdout.strip().splitlines()
    if asked.returncode or not card:
        return ""
    if torch.version.cuda is None:
        return (
            f"{card[0]} is not used: this torch is a CPU build. Fix: pip install --force-reinstall "
            "'torch>=2.11,<2.14' --index-url https://download.pytorch.org/whl/cu130"
        )
    return f"{card[0]} is not used: torch {torch.__version__} needs a newer NVIDIA driver"
