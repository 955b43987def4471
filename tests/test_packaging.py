"""The wheel: holds the engine and the settings, and runs from anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_what_the_program_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "tpos_live/config.toml",
        "tpos_live/engines/ember/model_index.json",
        "tpos_live/engines/ember/tpos_live.json",
        "tpos_live/engines/sd-turbo.toml",
        "tpos_live/audio/demo.ogg",
        "tpos_live/audio/demo.json",
        "tpos_live/py.typed",
        "tpos_live/web/page/index.html",
        "tpos_live/web/page/main.js",
    ):
        assert needed in names, needed
    assert any(name.endswith("unet/diffusion_pytorch_model.safetensors") for name in names)
    assert not [name for name in names if name.endswith((".pt", ".pth", ".ckpt", ".bin", ".onnx", ".plan"))]
    assert {Path(name).name for name in names if "licenses" in name} >= {"LICENSE", "NOTICE"}
    assert wheel.stat().st_size < 40 * 2**20


@pytest.mark.slow
def test_the_wheel_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """A new environment with the wheel; the libraries are lent by the one that runs the tests."""
    home = tmp_path / "env"
    venv.create(home)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(home)]  # a pip of its own takes seconds to install
    subprocess.run([*pip, "install", "-q", "--no-deps", str(wheel)], check=True, timeout=120)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # A path in a .pth file is searched, but its own .pth files are not: the tests' editable install stays out.
    (Path(site) / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "PYTHONPATH")}
    where = subprocess.run(
        [python, "-c", "import tpos_live; print(tpos_live.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=environment,
    ).stdout
    assert str(home) in where
    program = python.with_name("tpos-live")
    result = subprocess.run(
        [program, "demo", "--seconds", "1"], cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=170
    )
    assert result.returncode == 0, result.stderr
    assert "tpos-demo.mp4" in result.stdout
    assert (elsewhere / "tpos-demo.mp4").stat().st_size > 10_000
