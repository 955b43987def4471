"""Results of measurements as JSON lines, with the commit and the machine."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tpos_live import __version__
from tpos_live.core.cores import usable_cores


def processor() -> str:
    """The model name of the processor, or its architecture if the system does not give the name."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.lower().startswith("model name"):
                    return " ".join(line.partition(":")[2].split())
    elif sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            found = subprocess.run(asked, capture_output=True, text=True, timeout=10)
            if name := found.stdout.strip():
                return name
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Description of the machine: processor and its vector instructions, memory, torch, GPU and versions."""
    import torch

    from tpos_live.diffusion.backends.cpu_features import bfloat16_is_native

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "system": platform.platform(terse=True),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability() + (", bfloat16" if bfloat16_is_native() else ""),
        "cores": len(usable_cores()),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": gpu,
        "version": __version__,
    }


def check_results(path: Path) -> None:
    """Raise OSError before a measurement of minutes, if rows cannot be added to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.open("a", encoding="utf-8").close()


def append_results(path: Path, rows: Iterable[dict[str, Any]], machine: dict[str, Any]) -> None:
    """Add rows to a file of JSON lines, each with date, commit and machine. Raises OSError."""
    common = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine,
    }
    text = "".join(json.dumps({**common, **row}) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def commit() -> str:
    """The commit of the checkout, with "+" if files differ from it; "" outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, timeout=10
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() + ("+" if changed.stdout.strip() else "") if found.returncode == 0 else ""
