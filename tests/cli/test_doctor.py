"""`tpos-live doctor` and `tpos-live devices`: findings and remedies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tpos_live.bench.findings import Finding
from tpos_live.cli import doctor
from tpos_live.cli.doctor import print_devices, run_doctor
from tpos_live.core.backend_table import NAMES


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Mark and text of every topic."""
    lines = capsys.readouterr().out.splitlines()
    return {line[5:17].strip(): (line[:3].strip(), line[18:]) for line in lines}


def test_every_part_has_a_line_and_the_main_job_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run_doctor() == 0
    found = told(capsys)
    assert set(found) >= {"python", "torch", "engine", *NAMES, "sound", "window", "video", "osc"}
    for topic in ("python", "torch", "engine", "eager", "video"):
        assert found[topic][0] == "ok", found[topic]
    assert all(mark in ("ok", "--") and text for mark, text in found.values())
    assert found["window"] == ("--", "no display: `render` and --headless work")
    assert "Ember" in found["engine"][1] and "H.264 and AAC" in found["video"][1]


def test_a_check_that_fails_is_told_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def _broken() -> Iterator[Finding]:
        raise RuntimeError("no such driver\nand a long story")
        yield

    def _missing() -> Iterator[Finding]:
        yield Finding("extra", None, "not installed")

    monkeypatch.setattr(doctor, "CHECKS", [_broken, _missing, doctor._python])
    assert run_doctor() == 1
    found = told(capsys)
    assert found["broken"][0] == "NO" and found["broken"][1].startswith("no such driver")
    assert found["extra"] == ("--", "not installed") and found["python"][0] == "ok"
    monkeypatch.setattr(doctor, "CHECKS", [_missing])
    assert run_doctor() == 0, "what is optional is no fault"


def test_a_damaged_engine_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ember").mkdir()
    monkeypatch.setattr("tpos_live.diffusion.hub.resolve.shipped", lambda _kind: tmp_path)
    monkeypatch.setattr(doctor, "CHECKS", [doctor._engine])
    assert run_doctor() == 1
    mark, text = told(capsys)["engine"]
    assert mark == "NO" and str(tmp_path / "ember") in text


def test_a_settings_file_that_no_show_could_read_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "CHECKS", [doctor._settings])
    assert run_doctor() == 0
    assert told(capsys)["settings"] == ("ok", "no config.toml in this folder: the defaults")
    (tmp_path / "config.toml").write_text("[window]\nheadless = true\n")
    assert run_doctor() == 0 and told(capsys)["settings"] == ("ok", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text("[window]\nheadles = true\n")
    assert run_doctor() == 1
    mark, text = told(capsys)["settings"]
    assert mark == "NO" and "config.toml, line 2, window.headles" in text


@pytest.mark.audio
def test_devices_are_listed_as_the_option_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    from fakes.fake_mic import fake_microphone, require_fake_microphone

    require_fake_microphone()
    with fake_microphone() as mic:
        assert print_devices() == 0
    listed = capsys.readouterr().out
    assert mic.device in listed and " Hz" in listed
