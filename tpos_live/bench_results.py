"""Results of measurements as JSON lines, with the commit and the machine that they are of."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tpos_live import __version__


def machine() -> dict[str, Any]:
    """What ran: processor, cores, memory, torch, GPU."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {
        "system": platform.platform(terse=True),
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": gpu,
        "version": __version__,
    }


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
    """The checkout's commit, with "+" where files differ from it; "" outside a checkout."""
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
