"""A probe picks the sound of pictures that follow it, and none of pictures that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tpos_live.audio.source import RATE
from tpos_live.cli.main import cli
from tpos_live.core.frame_params import FrameParams
from tpos_live.evaluation.retrieval import CHOICES, Excerpt, accuracy, listen
from tpos_live.evaluation.retrieval_command import RetrievalError, excerpts, swung
from tpos_live.training.synth.pieces import BAR, piece

FPS = 15
CURVES = 7


def rhythm(seed: int) -> np.ndarray:
    """Heard curves [150, 15] of some rhythm on a common grid."""
    rng = np.random.default_rng(seed)
    hits = np.zeros((150, 15))
    hits[::2] = rng.random((75, 15)) * (rng.random((75, 1)) < 0.4)
    return hits + 0.01 * rng.random((150, 15))


def seen_of(heard: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Pictures that change with the sum of what is heard, buried in noise of so many standard deviations."""
    rng = np.random.default_rng(seed)
    change = heard.sum(axis=1, keepdims=True)
    return np.asarray(change + noise * change.std() * rng.standard_normal((len(heard), CURVES)))


def test_the_sound_of_images_that_follow_it_is_found() -> None:
    drawn = [Excerpt(seen_of(heard, 1.0, n), heard) for n, heard in enumerate(map(rhythm, range(24)))]
    assert accuracy(drawn) > 0.9


def test_images_of_other_music_are_at_chance() -> None:
    drawn = [Excerpt(seen_of(rhythm(n + 1000), 1.0, n), rhythm(n)) for n in range(24)]
    assert np.mean([accuracy(drawn, seed) for seed in range(5)]) == pytest.approx(1 / CHOICES, abs=0.12)


def test_a_colour_of_its_own_does_not_give_a_piece_away() -> None:
    heard = [rhythm(n) for n in range(24)]
    rng = np.random.default_rng(0)
    drawn = [Excerpt(n + rng.standard_normal((150, CURVES)), sound + n) for n, sound in enumerate(heard)]
    assert np.mean([accuracy(drawn, seed) for seed in range(5)]) < 0.3


def test_two_groups_are_needed() -> None:
    with pytest.raises(ValueError, match="16 excerpts"):
        accuracy([Excerpt(rhythm(0), rhythm(0))] * 15)
    assert CliRunner().invoke(cli, ["evaluate", "retrieval", "--excerpts", "5"]).exit_code == 2


def test_what_is_heard_rises_where_a_sound_begins() -> None:
    mono = np.zeros(2 * RATE)
    mono[RATE:] = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    heard = listen(mono, 2 * FPS, FPS)
    assert heard.shape == (30, 15) and np.isfinite(heard).all()
    assert heard[:, -1].argmax() in (14, 15) and heard[25, 1] > heard[5, 1] + 3
    assert np.isfinite(listen(np.zeros(RATE), FPS, FPS)).all()


def test_pieces_are_all_different_and_on_one_grid() -> None:
    first, again, other = piece(1, 1), piece(1, 1), piece(2, 1)
    assert first.shape == (round(BAR * RATE), 2) and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.allclose(first, other, atol=0.01)
    assert np.abs(first).max() <= 1.0
    assert np.sqrt((first**2).mean()) == pytest.approx(0.16, abs=0.06)


def test_an_oscillator_knows_the_tempo_alone() -> None:
    """The same in every bar, whatever was heard; all else stays as it was."""
    params = FrameParams(time=0.3, noise_position=4.0, zoom=0.5, bloom=0.7)
    now, later = swung(params), swung(replace(params, time=0.3 + 3 * BAR, zoom=0.1))
    assert (now.zoom, now.exposure, now.bloom) == pytest.approx((later.zoom, later.exposure, later.bloom))
    assert now.zoom != pytest.approx(swung(replace(params, time=0.3 + BAR / 2)).zoom) and now.noise_position == 4.0


@pytest.mark.slow
def test_pieces_are_drawn_once(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    drawn = excerpts(1, tmp_path, "64", 8, "neon jellyfish", 0, {})
    assert drawn[0].seen.shape == (80, CURVES) and drawn[0].heard.shape == (80, 15)
    assert drawn[0].seen[1:, -2].min() > 0.0, "the picture moves"
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    assert np.array_equal(excerpts(1, tmp_path, "64", 8, "neon jellyfish", 0, {})[0].seen, drawn[0].seen)
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(b"half of a file")
    with pytest.raises(RetrievalError, match=kept.name):
        excerpts(1, tmp_path, "64", 8, "neon jellyfish", 0, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrievalError, match="--work"):
        excerpts(1, tmp_path / "file", "64", 8, "neon jellyfish", 0, {})
