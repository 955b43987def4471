"""Everything that an installation brings has a licence that is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from email.message import Message
from pathlib import Path
from types import SimpleNamespace

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
def test_free_licences_are_accepted_and_others_refused(licence: str, accepted: bool) -> None:
    assert licences.is_accepted(licence) == accepted


def test_a_classifier_that_names_no_licence_gives_way_to_the_field() -> None:
    given = Message()
    given["Name"], given["License"] = "some", "LGPL-2.1-or-later"
    given["Classifier"] = "License :: OSI Approved"
    assert licences.licence_of(SimpleNamespace(metadata=given)) == "LGPL-2.1-or-later"


def test_every_installed_package_has_an_accepted_licence() -> None:
    command = [sys.executable, str(SCRIPT), "--extra", "test"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, [row for row in rows if not row["accepted"]] or result.stderr
    assert {"torch", "numpy", "pyglet"} <= {row["package"] for row in rows}


def test_nvidias_libraries_are_named_and_others_without_a_licence_refused(tmp_path: Path) -> None:
    """PyTorch's wheel for CUDA brings libraries whose metadata says nothing of a licence."""
    for name, requires in (("tpos-live", ["torch"]), ("torch", ["nvidia-nccl-cu13"]), ("nvidia-nccl-cu13", [])):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", "Version: 1.0", *(["License: MIT"] if requires else [])]
        lines += [f"Requires-Dist: {other}" for other in requires]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")

    def listed() -> tuple[int, dict[str, str]]:
        done = subprocess.run(
            [sys.executable, str(SCRIPT)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        return done.returncode, {
            (row := json.loads(line))["package"]: row["licence"] for line in done.stdout.splitlines()
        }

    status, licence = listed()
    assert status == 0 and "NVIDIA" in licence["nvidia-nccl-cu13"]
    (tmp_path / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    assert listed() == (1, {"torch": "unknown", "tpos-live": "MIT"})
