"""The command line as a shell sees it: exit codes, one line for a mistake, quick help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tpos_live", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--audio", "a.wav", "--device", "mic"], "--audio and --device"),
        (["--size", "big"], "512x288"),
        (["--channels", "0"], "count from 1"),
        (["--osc-reply", "somewhere"], "HOST:PORT"),
        (["--prompt", "x", "demo"], "after its name"),
        (["--config", "none.toml"], "none.toml"),
        (["play"], "play"),
        (["render", "x.wav"], "--output"),
        (["--fps-cap", "-1"], "fps-cap"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments: list[str], word: str, tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert word in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_a_bad_config_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[osc]\nprot = 1\n")
    result = run(cwd=tmp_path)
    assert result.returncode == 2
    assert "config.toml, line 2, osc.prot" in result.stderr


def test_help_and_version() -> None:
    assert "--device" in run("-h").stdout
    assert run("--version").stdout.startswith("tpos-live")
    for command in ("demo", "render", "still", "devices", "doctor", "bench", "train"):
        result = run(command, "--help")
        assert result.returncode == 0 and "Usage" in result.stdout


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys, tpos_live.cli; print([m for m in ('torch', 'diffusers', 'pyglet', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
