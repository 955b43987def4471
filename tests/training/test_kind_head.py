"""The discriminants that tell kinds of music apart, and the command that learns them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_music import needs_tinysoundfont, soundfont

from tpos_live.audio_encoder.checkpoint import WEIGHTS, read_encoder
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model import kind_head
from tpos_live.training.audio_model.clips import Clip
from tpos_live.training.audio_model.kind_head import (
    composed,
    discriminants,
    listen,
    music_and_others,
    music_direction,
    train_kinds,
)
from tpos_live.training.errors import DataError
from tpos_live.training.synth.styles import STYLES


def test_discriminants_are_log_likelihoods_of_gaussians() -> None:
    """Against the densities themselves, up to what all classes share."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 50)
    vectors = rng.standard_normal((150, 4)) @ rng.standard_normal((4, 4)) + 3 * rng.standard_normal((3, 4))[classes]
    directions, offsets = discriminants(vectors, classes, shrinkage=0.0)
    means = np.stack([vectors[classes == one].mean(axis=0) for one in range(3)])
    off = vectors - means[classes]
    inverse = np.linalg.inv(off.T @ off / len(off))
    x = rng.standard_normal((10, 4))
    exact = np.stack([-0.5 * np.einsum("nd,de,ne->n", x - mean, inverse, x - mean) for mean in means], axis=1)
    found = x @ directions + offsets
    assert np.allclose(found - found[:, :1], exact - exact[:, :1])


def test_what_is_common_to_all_kinds_tells_none() -> None:
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(3), 40)
    vectors = 0.1 * rng.standard_normal((120, 5)) + np.eye(3, 5)[classes]
    centre = np.stack([vectors[classes == one].mean(axis=0) for one in range(3)]).mean(axis=0)
    directions, offsets = discriminants(vectors, classes)
    assert (vectors @ directions + offsets).argmax(axis=1).tolist() == classes.tolist()
    assert np.abs(directions.sum(axis=1)).max() < 1e-9 and np.ptp(centre @ directions + offsets) < np.ptp(offsets)


def test_music_is_told_from_other_sounds_however_many_there_are_of_each() -> None:
    rng = np.random.default_rng(2)
    music, others = rng.normal(1.0, 0.2, (20, 3)), rng.normal(-1.0, 0.2, (500, 3))
    direction, bias = music_direction(music, others)
    assert (music @ direction + bias > 0.5).all() and (others @ direction + bias < -0.5).all()


def test_songs_become_discriminants_in_the_folder_of_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_tinysoundfont()
    home = shipped("engines") / "ember"
    for part in ("text_encoder", "tokenizer", FOLDER):
        shutil.copytree(home / part, tmp_path / part)
    weights = load_file(tmp_path / FOLDER / WEIGHTS)
    save_file(weights | {"heard.kinds": np.full(len(weights["heard"]), -1, np.int8)}, tmp_path / FOLDER / WEIGHTS)
    kinds = ("ambient music", "techno music")
    monkeypatch.setattr(kind_head, "STYLES", {kind: STYLES[kind] for kind in kinds})
    monkeypatch.setattr(kind_head, "SECONDS", 2.0)
    monkeypatch.setattr(kind_head, "MOMENTS", (1.0, 2.0))
    before = read_encoder(tmp_path / FOLDER, tmp_path)
    with pytest.raises(DataError, match="give a soundfont"):
        train_kinds([], 3, engine=tmp_path)
    assert train_kinds([soundfont(tmp_path / "tiny.sf2")], 3, engine=tmp_path) == tmp_path / FOLDER
    encoder = read_encoder(tmp_path / FOLDER, tmp_path)
    assert encoder.kinds == kinds and encoder.labels == before.labels and encoder.layout == before.layout
    sound = kind_head.mastered("techno music", 0.5, 99, tmp_path / "tiny.sf2")
    for x, y in zip(before.push(sound), encoder.push(sound), strict=True):
        assert np.array_equal(x.vector, y.vector) and x.density == y.density
    for kind in kinds:
        heard = listen(encoder, kind_head.mastered(kind, 0.5, 99, tmp_path / "tiny.sf2"))
        assert len(heard) == 2 and encoder.kinds[int(encoder.kind_scores(heard[-1])[1].argmax())] == kind
    noise = 0.1 * np.random.default_rng(0).standard_normal(96_000)
    assert encoder.kind_scores(listen(encoder, noise.astype(np.float32))[-1])[0] < 0


def test_sounds_that_are_no_music_are_examples_of_none() -> None:
    home = shipped("engines") / "ember"
    encoder = read_encoder(home / FOLDER, home)
    heard = load_file(home / FOLDER / WEIGHTS)["heard"][::8].astype(np.float64)
    music, others = (
        {encoder.labels[int(encoder.label_scores(vector).argmax())] for vector in vectors}
        for vectors in music_and_others(encoder, heard)
    )
    assert {"rain", "dog bark"} <= others and {"music", "electronic music", "piano music"} <= music
    assert not others & {*STYLES, "music", "drums", "singing", "calm", "electronic music", "orchestra"}


def test_composed_songs_are_known_by_their_folder() -> None:
    mel = np.zeros((1, 80), np.float16)
    clips = [Clip("energetic", name, 0, mel) for name in ("jazz music/17", "bell/3.wav", "ambient music/2", "jazz.wav")]
    assert composed(clips).tolist() == [list(STYLES).index("jazz music"), -1, list(STYLES).index("ambient music"), -1]
