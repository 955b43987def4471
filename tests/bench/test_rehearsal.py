"""`tpos-live doctor --show`: the findings of a trial of tonight's settings."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes.forked import run

from tpos_live.audio.demo import DEMO
from tpos_live.bench.findings import Finding, print_findings
from tpos_live.bench.rehearsal import Moment, Rehearsal, check_moments
from tpos_live.cli.main import cli
from tpos_live.core.parameters import TABLE
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.status import Status

GOOD = Status(
    engine="ember",
    backend="openvino",
    size=(256, 256),
    engine_fps=30.0,
    latency_ms=60.0,
    sound_state="running",
    sound_name="USB interface",
    level=0.6,
    gate=True,
    encoder="tpos",
    memory_mb=800.0,
)
RNG = np.random.default_rng(0)


def moments(statuses: Sequence[Status], rate: float = 1.0, black: bool = False, still: bool = False) -> list[Moment]:
    found = []
    for n, status in enumerate(statuses):
        image = np.full((18, 32), 1.0 if black else 80.0) + (0 if still or black else RNG.normal(0, 9, (18, 32)))
        found.append(Moment(n * 0.5, status, n * 0.5 * rate, image.astype(np.float32)))
    return found


def seen(statuses: Sequence[Status] = (GOOD,) * 120, **how: object) -> Rehearsal:
    return Rehearsal(moments(statuses, **how), 3.0, osc_port=9000, web_port=9080)  # type: ignore[arg-type]


def verdict(rehearsal: Rehearsal, settings: Settings | None = None, hours: float = 3.0) -> dict[str, Finding]:
    return {found.topic: found for found in check_moments(rehearsal, settings or load_settings({}), hours)}


def test_a_show_that_works_is_green_everywhere() -> None:
    found = verdict(seen())
    assert {"engine", "latency", "image", "sound", "encoder", "memory", "osc", "page"} <= set(found)
    assert all(finding.ok for finding in found.values())
    assert "30 frames per second" in found["engine"].text and "USB interface" in found["sound"].text


@pytest.mark.parametrize(
    ("topic", "ok", "rehearsal", "words"),
    [
        ("engine", None, seen([replace(GOOD, engine_fps=7.0)] * 120), "smaller --size"),
        ("latency", None, seen([replace(GOOD, latency_ms=400.0)] * 120), "smaller --size"),
        ("image", False, seen(black=True), "black"),
        ("image", False, seen(still=True), "does not move"),
        ("sound", False, seen([GOOD] * 60 + [replace(GOOD, sound_state="reopening")] * 60), "--device"),
        ("sound", None, seen([replace(GOOD, sound_state="stalled")] * 10 + [GOOD] * 110), "cable"),
        ("sound", None, seen([GOOD] * 60 + [replace(GOOD, samples_lost=480)] * 60), "480 samples"),
        ("sound", None, seen([replace(GOOD, gate=False)] * 120), "silence"),
        ("encoder", False, seen(rate=0.8), "too slow"),
        ("memory", None, seen([replace(GOOD, memory_mb=800.0 + n) for n in range(120)]), "--try 600"),
        ("osc", None, replace(seen(), osc_port=0), "--osc-port"),
        ("page", None, replace(seen(), web_port=0), "--web-port"),
        ("message", None, replace(seen(), warnings=["the fallback cannot be used"]), "fallback"),
        ("show", False, Rehearsal([], 0.0), "ended at once"),
    ],
)
def test_each_fault_has_its_line_and_remedy(topic: str, ok: bool | None, rehearsal: Rehearsal, words: str) -> None:
    found = verdict(rehearsal)[topic]
    assert found.ok is ok and words in found.text


def test_parameters_in_the_remedies_exist() -> None:
    still, black = verdict(seen(still=True))["image"].text, verdict(seen(black=True))["image"].text
    named = re.findall(r"[a-z]+\.[a-z]+", f"{still} {black}")
    assert len(named) == 3 and set(named) <= set(TABLE)


def test_a_file_that_ended_is_no_fault() -> None:
    found = verdict(seen([GOOD] * 60 + [replace(GOOD, sound_state="ended")] * 60, rate=0.5))
    assert found["sound"].ok and found["encoder"].ok


@pytest.mark.parametrize(
    ("status", "hours", "ok"),
    [
        (replace(GOOD, recording="a.mp4", record_minutes_left=600.0, record_fps=30.0), 3.0, True),
        (replace(GOOD, recording="a.mp4", record_minutes_left=60.0, record_fps=30.0), 3.0, False),
        (replace(GOOD, record_error="the disk is full"), 3.0, False),
        (GOOD, 3.0, False),
    ],
)
def test_the_recording_must_fit(status: Status, hours: float, ok: bool) -> None:
    settings = load_settings({"record.file": "tonight.mp4"})
    assert verdict(seen([status] * 20), settings, hours)["recording"].ok is ok


@pytest.mark.parametrize(("wanted", "ok"), [("", True), ("1", True), ("HDMI-1", True), ("HDMI-2", None)])
def test_a_screen_that_is_missing_is_said(wanted: str, ok: bool | None) -> None:
    rehearsal = replace(seen(), screens=("0 eDP-1 (1920x1080)", "1 HDMI-1 (1280x720)"))
    assert verdict(rehearsal, load_settings({"window.screen": wanted}))["screens"].ok is ok


def test_only_what_prevents_the_show_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_findings([Finding("a", True, "x"), Finding("b", None, "y")])
    assert not print_findings([Finding("a", True, "x"), Finding("b", False, "y")])
    assert capsys.readouterr().out.splitlines()[1] == " --  b            y"


@pytest.mark.parametrize("options", [["--hours", "3"], ["--prompt", "fire"], ["--try", "5"]])
def test_options_of_a_show_need_show(options: list[str]) -> None:
    refused = CliRunner().invoke(cli, ["doctor", *options])
    assert refused.exit_code == 2 and "--show" in refused.output


def test_a_real_trial_in_a_process_of_its_own(tmp_path: Path) -> None:
    """With a recording and a taken port; no files stay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        words = ["--try", "3", "--audio", str(DEMO), "--mute", "--headless", "--accelerator", "eager", "--size", "64"]
        words += ["--record", str(tmp_path / "tonight.mp4"), "--osc-port", str(taken.getsockname()[1]), "--no-web"]
        done = run("doctor", "--show", *words, cwd=tmp_path.parent)
    lines = {line[5:17].strip(): line[:3].strip() for line in done.stdout.splitlines()}
    assert lines["sound"] == lines["image"] == lines["recording"] == "ok", done.stdout + done.stderr
    assert lines["encoder"] in ("ok", "NO"), "as fast as this machine is, beside other tests"
    assert done.returncode == int("NO" in lines.values())
    assert lines["osc"] == "--" and "page" not in lines
    assert list(tmp_path.iterdir()) == []


def test_a_show_that_cannot_start_is_one_red_line(tmp_path: Path) -> None:
    """In another process: the engine is still loading at the end, which only `leave` survives."""
    words = ["doctor", "--show", "--headless", "--audio", str(tmp_path / "none.ogg"), "--no-web"]
    done = subprocess.run(
        [sys.executable, "-m", "tpos_live", *words], capture_output=True, text=True, timeout=60, check=False
    )
    red = [line for line in done.stdout.splitlines() if line.startswith(" NO")]
    assert done.returncode == 1 and len(red) == 1 and "none.ogg" in red[0]
