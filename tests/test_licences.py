"""Everything that an installation brings has a licence that is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "licences.py"
sys.path.insert(0, str(SCRIPT.parent))
licences = pytest.importorskip("licences")


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("MIT", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSL-1.0", True),
        ("GPL-3.0 OR BSD-3-Clause", True),
        ("LGPL-2.1-or-later", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0", False),
        ("MIT AND GPL-2.0", False),
        ("Proprietary", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_what_is_accepted(licence: str, accepted: bool) -> None:
    assert licences.is_accepted(licence) == accepted


def test_all_that_is_installed() -> None:
    command = [sys.executable, str(SCRIPT), "--extra", "test"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, [row for row in rows if not row["accepted"]] or result.stderr
    assert {"torch", "numpy", "pyglet"} <= {row["package"] for row in rows}
