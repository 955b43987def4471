"""`tpos-live engines`; tests/diffusion/test_download.py tests fetching."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from click import BadParameter
from click.testing import CliRunner, Result

from tpos_live.cli.engines import engines
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.hub.client import HubFile
from tpos_live.diffusion.hub.download import RECORD
from tpos_live.diffusion.hub.presets import preset_names

WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fetched engines, which is empty."""
    monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "engines"


@pytest.fixture
def fetched(home: Path, turbo_folder: Path) -> Path:
    """An engine as `fetch` leaves it: its files, and a record with their checksums."""
    folder = Path(shutil.copytree(turbo_folder, home / "maker--turbo"))
    items = [
        HubFile(
            repo="maker/turbo",
            commit="0" * 40,
            remote=str(path.relative_to(folder)),
            local=str(path.relative_to(folder)),
            size=path.stat().st_size,
            checksum=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        )
        for path in sorted(folder.rglob("*.safetensors"))
    ]
    (folder / RECORD).write_text(json.dumps({"name": "maker/turbo", "files": [asdict(item) for item in items]}))
    return folder


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(engines, arguments, standalone_mode=False)


def test_the_list_has_ember_every_preset_and_what_was_fetched(fetched: Path) -> None:
    lines = ask("list").output.splitlines()
    states = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert "included" in states["ember"] and set(states) >= {"ember", *preset_names()}
    for name in preset_names():
        assert "not fetched" in states[name] and f"`tpos-live engines fetch {name}`" in states[name]
    assert any(str(fetched) in line for line in lines)


def test_check_finds_what_is_damaged_or_missing_and_says_the_remedy(fetched: Path) -> None:
    whole = ask("check", "maker/turbo")
    assert (whole.return_value, whole.output) == (0, "maker/turbo is whole\n")
    content = bytearray((fetched / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (fetched / WEIGHTS).write_bytes(content)
    for _ in range(2):
        wrong = ask("check", "maker/turbo")
        assert wrong.return_value == 1 and wrong.output.count("\n") == 1
        assert str(fetched / WEIGHTS) in wrong.output and "`tpos-live engines fetch maker/turbo`" in wrong.output
        (fetched / WEIGHTS).unlink(missing_ok=True)


def test_check_of_what_was_not_fetched_says_how(home: Path) -> None:
    missing = ask("check", "maker/turbo")
    assert missing.return_value == 1
    assert missing.output == "maker/turbo was not fetched; `tpos-live engines fetch maker/turbo`\n"


def test_ember_needs_no_fetching(home: Path) -> None:
    refused = ask("fetch", "ember")
    assert isinstance(refused.exception, EngineError) and "included" in str(refused.exception)
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("--size", "big"), BadParameter, "512x288"),
        (("--accelerator", "compile", "--card", "sm89"), BadParameter, "leave --card out"),
        (("--accelerator", "openvino"), BadParameter, "tensorrt"),
        (("--card", "sm10"), EngineError, "TensorRT for RTX"),
    ],
)
def test_compile_refuses_what_makes_no_sense(
    home: Path, turbo_folder: Path, arguments: tuple[str, ...], kind: type[Exception], words: str
) -> None:
    refused = ask("compile", str(turbo_folder), *arguments)
    assert isinstance(refused.exception, kind), refused.exception
    assert words in str(refused.exception) and "\n" not in str(refused.exception)


def test_an_engine_that_is_not_there_is_not_compiled(home: Path) -> None:
    refused = ask("compile", "nobody/nothing")
    assert isinstance(refused.exception, EngineError) and "nobody/nothing" in str(refused.exception)


def test_an_engine_of_ones_own_has_no_checksums_and_is_not_to_be_fetched(
    home: Path, turbo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(turbo_folder, home / "mine")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(turbo_folder, Path("my") / "engine")  # reads like a hub id
    (tmp_path / "a.safetensors").touch()
    for name in ("mine", "my/engine", str(tmp_path / "a.safetensors")):
        result = ask("check", name)
        assert result.return_value == 1 and "has no checksums" in result.output, result.output
        assert f"`tpos-live still --engine {name} -o test.png`" in result.output and "fetch " not in result.output
    with pytest.raises(EngineError, match="there is no engine 'nobody'; use ember"):
        CliRunner().invoke(engines, ["check", "nobody"], standalone_mode=False, catch_exceptions=False)


def test_ember_needs_no_check() -> None:
    result = ask("check", "ember")
    assert result.return_value == 0 and "included" in result.output and "fetch ember" not in result.output
