"""Pictures that follow a sound are told from those that do not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tpos_live.cli.main import cli
from tpos_live.core.settings import Settings
from tpos_live.display.video import VideoWriter
from tpos_live.evaluation.click_response import clicks, respond
from tpos_live.evaluation.sync import (
    SyncError,
    av_align,
    correlations,
    peaks,
    shuffled_align,
    strobe,
    sync,
    watch,
)

FPS = 30.0


def music(seed: int, n: int = 900) -> np.ndarray:
    """Onset strength of something that is no metronome: beats with accents, some left out."""
    rng = np.random.default_rng(seed)
    out = np.zeros(n)
    for at in np.arange(0, n - 20, 15):
        out[int(at)] = rng.uniform(0, 1) * (rng.random() < 0.7)
    return np.convolve(out, [0.3, 1, 0.5, 0.2], mode="same") + 0.02 * rng.random(n)


def test_a_video_that_follows_is_far_above_chance_and_its_lag_is_found() -> None:
    sound = music(0)
    for frames in (0, 2, -3):
        noise = 0.3 * np.random.default_rng(1).random(len(sound))
        found = sync(np.roll(sound, frames) + noise, sound, FPS)
        assert found.z > 5 and found.correlation > 0.7
        assert found.lag == pytest.approx(frames / FPS, abs=0.5 / FPS)


def test_a_video_of_other_music_is_not() -> None:
    scores = [sync(music(seed), music(seed + 50), FPS).z for seed in range(20)]
    assert np.median(scores) < 2
    assert sync(np.random.default_rng(3).random(900), music(0), FPS).z < 4


def test_half_a_beat_off_shows_in_the_lag() -> None:
    sound = music(0)
    found = sync(sound, sound, FPS, shift=0.25)
    assert abs(found.lag) == pytest.approx(0.25, abs=0.02)


def test_within_a_frame_half_a_beat_off_is_below_chance() -> None:
    sound = music(0)
    assert sync(sound, sound, FPS, within=0.04).z > 3
    assert sync(sound, sound, FPS, shift=0.25, within=0.04).z < 0


def test_no_video_is_above_chance_on_one_bar_for_ever() -> None:
    loop = np.tile(music(0, 60), 15)
    assert sync(loop, loop, FPS).z < 3


def test_a_still_video_has_no_z() -> None:
    assert sync(np.zeros(300), music(0, 300), FPS).z == 0
    assert not correlations(np.ones(50), np.ones(50)).any()


def test_a_strobe_flashes_on_the_beat_alone() -> None:
    assert strobe(300, FPS, 120.0).sum() == pytest.approx(20, abs=1)


def test_av_align_is_one_for_the_same_peaks_and_low_for_others() -> None:
    times = np.sort(np.random.default_rng(0).uniform(0, 30, 40))
    assert av_align(times, times, FPS) == pytest.approx(1.0)
    assert av_align(times, times + 0.03, FPS) > 0.9
    assert shuffled_align(times, times, FPS, 30.0) < 0.4
    assert av_align(times, np.zeros(0), FPS) == 0.0
    assert peaks(music(0), FPS).size > 10


def test_the_answer_to_clicks_is_measured() -> None:
    rng = np.random.default_rng(0)
    sound, times = clicks(30)
    assert len(sound) / 48_000 > times[-1] and np.diff(times).min() >= 1.2
    change = 0.5 + 0.05 * rng.standard_normal(int((times[-1] + 2) * FPS))
    for at in times:
        start = round(at * FPS) + 3  # 100 ms late
        change[start : start + 30] += 2 * np.exp(-np.arange(30) / 6.0)  # 1/e in 200 ms
    answer = respond(change, times, FPS)
    assert answer.latency == pytest.approx(0.1, abs=0.04)
    assert answer.decay == pytest.approx(0.2, abs=0.06)
    assert answer.d_prime > 10
    assert respond(np.ones(2000), times, FPS).d_prime == 0


@pytest.mark.slow
@pytest.mark.parametrize("left_out", [(), (2, 3)])
def test_a_video_is_watched(tmp_path: Path, left_out: tuple[int, ...]) -> None:
    """left_out: frames, of each five, that a recording with a slow encoder does not have."""
    for name in ("librosa", "cv2"):
        pytest.importorskip(name)
    sound, times = clicks(6, seed=2)
    count = int(len(sound) / 48_000 * FPS)
    with VideoWriter(tmp_path / "a.mp4", (96, 64), FPS, threads=1) as writer:
        for k in range(count):
            since = (k / FPS - times)[k / FPS >= times]
            light = 60 + 150 * np.exp(-since[-1] / 0.1) if len(since) else 60
            if k % 5 not in left_out or k == count - 1:
                writer.write_frame(np.full((64, 96, 3), int(light), np.uint8), k)
            writer.write_sound(sound[int(k * 1600) : int((k + 1) * 1600)])
    seen = watch(tmp_path / "a.mp4")
    assert len(seen.change) == count and seen.fps == FPS
    found = sync(seen.change, seen.onset, FPS)
    assert found.z > 3 and abs(found.lag) < 0.07
    result = CliRunner().invoke(cli, ["evaluate", "sync", str(tmp_path / "a.mp4"), "--json"])
    assert result.exception is None and '"AV-Align"' in result.output


@pytest.mark.slow
def test_the_answer_to_clicks_is_rendered_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("librosa", "cv2"):
        pytest.importorskip(name)
    prompts = []

    def blink(settings: Settings, sound: np.ndarray, output: Path) -> None:
        """Instead of an engine: light that follows the sound, over a flicker."""
        prompts.append(settings.start_values()["prompt"])
        rng = np.random.default_rng(0)
        with VideoWriter(output, (64, 64), FPS, threads=1) as writer:
            for k in range(int(len(sound) / 1600)):
                heard = sound[1600 * k : 1600 * (k + 1)]
                light = 40 + 10 * rng.random() + 400 * np.sqrt((heard**2).mean())
                writer.write_frame(np.full((64, 64, 3), int(min(light, 255)), np.uint8))
                writer.write_sound(heard)

    monkeypatch.setattr("tpos_live.runtime.offline.write_video", blink)
    result = CliRunner().invoke(cli, ["evaluate", "sync", "--clicks", "5", "--prompt", "embers", "--json"])
    assert result.exception is None and prompts == ["embers"]
    found = {row["name"]: row["value"] for row in map(json.loads, result.output.strip().splitlines())}
    assert -10 <= found["latency of a click"] < 60 and found["d' over idle motion"] > 5


@pytest.mark.slow
def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    for name in ("librosa", "cv2"):
        pytest.importorskip(name)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SyncError, match=r"a\.mp4"):
        watch(tmp_path / "a.mp4")
    with VideoWriter(tmp_path / "b.mp4", (64, 64), FPS, sound=False) as writer:
        writer.write_frame(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(SyncError, match="no sound"):
        watch(tmp_path / "b.mp4")
    assert CliRunner().invoke(cli, ["evaluate", "sync"]).exit_code == 2
