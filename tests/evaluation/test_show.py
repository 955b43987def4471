"""Figures of a show on made frames whose answer is known, and the command on bad input."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from fakes.music import four_on_the_floor

from tpos_live.audio.source import RATE, AudioError
from tpos_live.cli.main import cli
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.evaluation.show import (
    LAGS,
    SAMPLES,
    BackRow,
    DropMatch,
    ShowError,
    Similarity,
    back_row,
    d_prime,
    impulses,
    match_drops,
    oscillator_d_prime,
    read_drops,
    scenes,
)
from tpos_live.evaluation.show_command import figures, folder_figures
from tpos_live.evaluation.show_render import Heard, watch
from tpos_live.features.features import Features

FPS = 20
KICKS = np.arange(1.0, 29.0, 0.5)


@cache
def walk(pulse: float, seed: int = 0, seconds: float = 30.0) -> BackRow:
    """Frames that move slowly and get lighter by `pulse` (share of the light) at each kick."""
    rng, seen = np.random.default_rng(seed), BackRow(FPS)
    grey = rng.uniform(40, 160, (18, 32, 1))
    for frame in range(round(seconds * FPS)):
        grey = np.clip(grey + rng.normal(0, 1.0, grey.shape), 0, 255)
        ago = [frame / FPS + 1 / FPS - kick for kick in KICKS if kick < frame / FPS + 1 / FPS]
        light = 1.0 + pulse * math.exp(-min(ago, default=9.0) / 0.16)
        seen.push(np.clip(np.repeat(grey * light ** (1 / 2.2), 3, axis=2), 0, 255).astype(np.uint8))
    return seen


def test_d_prime_grows_with_the_impulse_and_knows_its_times() -> None:
    none, small, large = (d_prime(walk(pulse).change, KICKS, FPS) for pulse in (0.0, 0.02, 0.08))
    assert abs(none) < 1.0 < small < large and large > 5.0
    change = walk(0.08).change
    assert d_prime(change, KICKS + 0.25, FPS) < 0.0
    assert oscillator_d_prime(change, 117.0, FPS) < 1.0
    assert oscillator_d_prime(change, 0.0, FPS) != oscillator_d_prime(change, 0.0, FPS)  # not a number


def test_d_prime_follows_its_formula() -> None:
    rng = np.random.default_rng(0)
    change = rng.normal(1.0, 0.1, 4000)
    times = np.arange(10, 3900, 20) / FPS
    at = np.floor(times * FPS + 1e-6).astype(int)
    change[at] = rng.normal(2.0, 0.1, len(at))
    # Maxima of two draws have a mean of 0.56 and a standard deviation of 0.83 standard deviations.
    expected = (1.0 - 0.056) / math.sqrt((0.1**2 + 0.083**2) / 2)
    assert d_prime(change, times, FPS) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("times", [[], [1.0], [-5.0] * 20, list(np.arange(0, 30, 0.1))])
def test_d_prime_needs_events_and_gaps(times: list[float]) -> None:
    assert math.isnan(d_prime(walk(0.08).change, np.array(times), FPS))
    assert math.isnan(d_prime(np.zeros(0), np.array(times), FPS))


def test_an_event_in_the_first_frame_has_nothing_before_it() -> None:
    change = walk(0.08).change
    assert d_prime(change, np.array([0.05, *KICKS]), FPS) == d_prime(change, KICKS, FPS)


def test_impulse_is_the_rise_of_luminance() -> None:
    rises = impulses(walk(0.08).light, KICKS, FPS)
    assert len(rises) == len(KICKS)
    assert np.median(rises) == pytest.approx(0.08 * math.exp(-1 / FPS / 0.16), abs=0.01)
    assert np.median(impulses(walk(0.0).light, KICKS, FPS)) < 0.01
    assert len(impulses(np.zeros(9), np.zeros(0), FPS)) == 0


def test_the_back_row_sees_lightness_and_no_detail() -> None:
    grey, mean = back_row(np.full((144, 256, 3), 119, np.uint8))
    assert grey.shape == (36, 64) and np.allclose(grey, 50.0, atol=0.5) and mean == pytest.approx(0.184, abs=0.003)
    fine = np.zeros((144, 256, 3), np.uint8)
    fine[:, ::2] = 255
    assert np.ptp(back_row(fine)[0]) < 0.1


def test_similarity_by_lag() -> None:
    rng, same, other = np.random.default_rng(0), Similarity(), Similarity()
    first, second = rng.integers(0, 255, (2, 36, 64, 3)).astype(np.uint8)
    for index in range(130 * SAMPLES):
        same.push(first)
        other.push(first if index < 65 * SAMPLES else second)
    assert all(value == pytest.approx(1.0, abs=1e-3) for value in same.means().values())
    means = other.means()
    assert means[1] > 0.97 > means[5] > means[20] > means[60] and abs(means[120]) < 0.1
    assert list(means) == list(LAGS) and math.isnan(Similarity().means()[1])


def test_drops_are_matched_within_a_beat_and_once() -> None:
    assert match_drops([10.2, 10.4, 40.0, 90.0], [10.0, 40.4, 70.0], [0.5] * 4) == DropMatch(2, 1, 2)
    assert match_drops([], [], []) == DropMatch() and match_drops([], [5.0], []) == DropMatch(0, 1, 0)
    assert match_drops([10.6], [10.0], [0.5]) == DropMatch(0, 1, 1)


def test_a_scene_counts_after_three_seconds_without_a_break() -> None:
    assert scenes(["fire"] * 6 + ["ocean"] * 5 + ["fire", "sky"] * 9 + ["night"] * 20) == {"fire", "night"}
    assert scenes([]) == set()


def test_the_list_of_drops_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "drops.tsv"
    path.write_text("# a comment\nA Song\t12.5 60\nNone\t\n", encoding="utf-8")
    assert read_drops(path) == {"A Song": (12.5, 60.0), "None": ()}
    for times in read_drops().values():
        assert list(times) == sorted(times)


def test_kicks_and_drops_are_heard_once() -> None:
    heard = Heard()
    for hop in range(300):
        ago = hop % 50
        heard.take(Features(time=hop / 100, kick=0.9 * math.exp(-ago / 5), drop=float(hop == 150), tempo=120.0))
    assert heard.kicks == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]) and heard.drops == [1.5]
    assert heard.drop_beats == [0.5] and heard.tempo == 120.0


def small_settings(engine_folder: Path) -> Settings:
    return load_settings(
        {"engine.name": str(engine_folder), "engine.accelerator": "eager", "record.resolution": "96x64"}
    )


@pytest.mark.parametrize("kind", ["short", "silent", "not a number", "text"])
def test_bad_sound_is_one_line(kind: str, tmp_path: Path, engine_folder: Path) -> None:
    path = tmp_path / "song.wav"
    if kind == "text":
        path.write_text("no sound")
    else:
        seconds = 1 if kind == "short" else 5
        sound = np.full((seconds * RATE, 2), np.nan if kind == "not a number" else 0.0, np.float32)
        soundfile.write(path, sound, RATE, subtype="FLOAT")
    with pytest.raises((ShowError, AudioError)) as raised:
        watch(path, small_settings(engine_folder), 8)
    assert "song.wav" in str(raised.value) and "\n" not in str(raised.value)


def test_a_folder_without_sound_is_one_line(tmp_path: Path) -> None:
    for files in ((), ("notes.txt",), ("song.wav",)):
        for name in files:
            (tmp_path / name).write_text("no sound")
        result = CliRunner().invoke(cli, ["evaluate", "show", str(tmp_path), "--seconds", "5"])
        assert isinstance(result.exception, ShowError) and str(tmp_path) in str(result.exception)
    assert CliRunner().invoke(cli, ["evaluate", "show", str(tmp_path / "none")]).exit_code == 2


def test_a_show_is_watched_the_same_twice(tmp_path: Path, engine_folder: Path) -> None:
    sound, beats = four_on_the_floor(128, 8.0)
    soundfile.write(tmp_path / "song.wav", sound, RATE)
    first, second = (watch(tmp_path / "song.wav", small_settings(engine_folder), 10) for _ in range(2))
    assert first.seconds == pytest.approx(8.0) and len(first.names) == 8 * SAMPLES and first.limited == 0
    assert len(first.heard.kicks) >= len(beats) - 2 and first.heard.tempo == pytest.approx(128, abs=2)
    assert np.array_equal(first.change, second.change) and first.names == second.names
    rows = {row.name.strip(): row for row in figures(first, np.array(first.heard.kicks) + 0.2)}
    assert math.isnan(rows["similarity after 1 s"].value) is False and "similarity after 20 s" not in rows
    assert rows["flash limiter acts"].passed
    assert folder_figures([first, second])[0].value == len(scenes(first.names))
