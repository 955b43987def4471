"""The backbone is trained before names: sounds are found and heard, targets are aligned, training begins with it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch

from tpos_live.audio_encoder.checkpoint import read_metadata
from tpos_live.audio_encoder.streaming import SILENT_DB, Layout
from tpos_live.training.audio_model import yamnet_teacher
from tpos_live.training.audio_model.clips import Clip, Sound
from tpos_live.training.audio_model.net import EncoderNet, prefix_hops
from tpos_live.training.audio_model.pretrain import (
    AGAIN_AND_AGAIN,
    BACKBONE_FILE,
    backbone_file,
    clip_targets,
    load_backbone,
    pretrain_backbone,
)
from tpos_live.training.audio_model.target_batches import TargetBatches
from tpos_live.training.audio_model.train import train_encoder
from tpos_live.training.audio_model.yamnet_teacher import DistillationTarget, find_sounds, read_targets
from tpos_live.training.errors import DataError

RATE = 48_000
TINY = Layout(channels=(4, 6), width=16, query=4, memory=40)


class Loudness:
    """A teacher that knows one thing: how loud the last 0.4 s were; it says so in 100 ways."""

    names: ClassVar[list[str]] = ["loud noise", "silence"]

    def __init__(self, path: Path) -> None:
        del path

    def hear(self, mono: np.ndarray, hops: int = yamnet_teacher.TARGET_HOPS) -> tuple[np.ndarray, np.ndarray]:
        n = len(mono) // (480 * hops)
        level = np.log10(np.square(mono[: n * 480 * hops].reshape(n, -1)).mean(axis=1) + 1e-9)
        teacher_embeddings = np.outer(level, np.random.default_rng(0).standard_normal(100))
        teacher_embeddings += np.random.default_rng(1).normal(0, 0.01, teacher_embeddings.shape)
        return teacher_embeddings.astype(np.float16), np.tile(np.float16([0.5, 0.01]), (n, 1))


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Ten takes of one sound, two of another in a folder of its own, and a broken file."""
    folder, rng = tmp_path / "sounds", np.random.default_rng(0)
    (folder / "more").mkdir(parents=True)
    for index in range(10):
        level = 10 ** rng.uniform(-2, -0.5)
        soundfile.write(folder / f"door_slam_{index}.wav", level * rng.standard_normal(16_000), 16_000)
    for index in range(2):
        soundfile.write(folder / "more" / f"bell{index}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    (folder / "noise_of_nothing.wav").write_bytes(b"nothing")
    return folder


def test_a_few_takes_of_each_sound_are_heard(sounds: Path, tmp_path: Path) -> None:
    found = [path.name for path in find_sounds(sounds)]
    assert len([name for name in found if name.startswith("door_slam")]) == 3
    assert {"bell0.wav", "bell1.wav", "noise_of_nothing.wav"} <= set(found) and len(found) == 6
    with pytest.raises(DataError, match="no sound files"):
        find_sounds(tmp_path / "nowhere")


def test_a_teacher_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "yamnet.tflite").write_bytes(b"no net")
    with pytest.raises(DataError, match=r"pip install ai-edge-litert|is not YAMNet"):
        yamnet_teacher.Yamnet(tmp_path / "yamnet.tflite")


def test_a_soundfont_that_is_none_is_named_at_once(sounds: Path, tmp_path: Path) -> None:
    """Before the teacher is asked for, which is not there either."""
    with pytest.raises(DataError, match=r"none\.sf2 is not a soundfont|pip install --no-deps tinysoundfont"):
        pretrain_backbone(sounds, Path("teacher"), minutes=0.01, run=tmp_path, soundfont=tmp_path / "none.sf2")


def test_targets_are_kept(sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    monkeypatch.setattr(yamnet_teacher, "Yamnet", Loudness)
    extra = [Sound("made/1", 0.1 * np.random.default_rng(2).standard_normal(RATE).astype(np.float32))]
    targets = read_targets(sounds, Path("teacher"), tmp_path / "targets.npz", extra)
    assert len(targets) == 6 and len(messages) == 1 and "noise_of_nothing" in messages[0] and "\n" not in messages[0]
    assert targets[-1].name == "made/1" and targets[0].teacher_embeddings.shape == (2, 100)
    again = read_targets(sounds, Path("teacher"), tmp_path / "targets.npz")
    assert [one.name for one in again] == [one.name for one in targets]
    assert all(np.array_equal(a.teacher_embeddings, b.teacher_embeddings) for a, b in zip(again, targets, strict=True))


def test_targets_are_aligned_with_the_sound() -> None:
    """A sound whose level is its answer: the louder a step, the more of the first component it must carry."""
    rng = np.random.default_rng(0)
    targets = []
    for index in range(40):
        level = np.repeat(rng.uniform(-60, -10, 10), 40)
        teacher_embeddings = level[39::40, None] * np.linspace(1, 2, 100) + rng.normal(0, 0.1, (10, 100))
        targets.append(
            DistillationTarget(
                str(index), np.repeat(level[:, None], 80, 1).astype(np.float16), teacher_embeddings.astype(np.float16)
            )
        )
    batches = TargetBatches(targets, [Clip("made", "made/1", 0, targets[0].mel, 0.25)], TINY, seed=0)
    heard, labels = [], []
    for _ in range(4):
        mel, teacher_embeddings, known, density = batches.draw()
        assert (density[:3, 20:] == 0.25).all() and np.isnan(density[3:]).all() and not known[:3].any()
        assert (
            mel.shape[1] == prefix_hops(TINY) + 256 and np.isfinite(teacher_embeddings).all() and mel.min() >= SILENT_DB
        )
        steps = mel[:, prefix_hops(TINY) + 3 :: 4].mean(axis=2)
        heard.append(steps[known])
        labels.append(teacher_embeddings[known][:, 0])
    assert abs(np.corrcoef(np.concatenate(heard), np.concatenate(labels))[0, 1]) > 0.5


def test_a_backbone_is_pretrained_resumed_and_loaded(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(yamnet_teacher, "Yamnet", Loudness)
    options = {"run": tmp_path / "run", "variants": 0, "layout": TINY}
    path = pretrain_backbone(sounds, Path("teacher"), minutes=0.01, **options)  # type: ignore[arg-type]
    assert path == tmp_path / "run" / BACKBONE_FILE and path.exists() and not list(path.parent.glob("*.part*"))
    before = path.read_bytes()
    pretrain_backbone(sounds, Path("teacher"), minutes=0.005, resume=True, **options)  # type: ignore[arg-type]
    assert path.read_bytes() != before and not any("nothing to resume" in line for line in messages)
    torch.manual_seed(1)
    net, other = EncoderNet(TINY), EncoderNet(TINY)
    assert load_backbone(net, path) and load_backbone(other, path)
    assert torch.equal(net.convs[0].weight, other.convs[0].weight) and torch.equal(
        net.lstm.weight_hh_l0, other.lstm.weight_hh_l0
    )
    assert not torch.equal(net.heads.weight, other.heads.weight)
    assert not load_backbone(EncoderNet(Layout(channels=(4, 8), width=16)), path)
    assert not load_backbone(net, tmp_path / "none")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two classes, each with a clip in two folds, and one that is broken."""
    folder, rng = tmp_path / "clips", np.random.default_rng(3)
    for kind in ("rain", "dog_bark"):
        (folder / kind).mkdir(parents=True)
        for fold in (1, 2):
            soundfile.write(folder / kind / f"{fold}-7-A.wav", 0.2 * rng.standard_normal(16_000), 16_000)
    (folder / "rain" / "1-8-A.wav").write_bytes(b"nothing")
    return folder


def test_a_fold_that_is_left_out_is_never_heard(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(yamnet_teacher, "Yamnet", Loudness)
    cache = tmp_path / "clip-targets.npz"
    for _ in range(2):  # from the clips, and from what was kept of them
        names = [one.name for one in clip_targets(clips, Path("teacher"), cache, 1)]
        assert names == ["dog_bark/2-7-A.wav", "rain/2-7-A.wav"]
    assert len(clip_targets(clips, Path("teacher"), cache, None)) == 4
    kept = clip_targets(clips, Path("teacher"), cache, 2, without=["dog bark"])
    assert [one.name for one in kept] == ["rain/1-7-A.wav"]
    assert len(messages) == 1 and "1-8-A" in messages[0]
    with pytest.raises(DataError, match="no class cat to leave out"):
        clip_targets(clips, Path("teacher"), cache, None, without=["cat"])
    with pytest.raises(DataError, match="no fold 9; its folds are 1, 2"):
        clip_targets(clips, Path("teacher"), cache, 9)


def test_a_backbone_goes_on_with_the_clips_and_leaves_the_others_alone(
    sounds: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(yamnet_teacher, "Yamnet", Loudness)
    options = {"run": tmp_path / "run", "variants": 0, "layout": TINY, "minutes": 0.005}
    first = pretrain_backbone(sounds, Path("teacher"), **options)  # type: ignore[arg-type]
    before = first.read_bytes()
    path = pretrain_backbone(sounds, Path("teacher"), data=clips, leave_out_fold=1, **options)  # type: ignore[arg-type]
    assert path == tmp_path / "run" / backbone_file(1) and path.name == "backbone-fold-1.safetensors"
    assert first.read_bytes() == before != path.read_bytes()
    assert f"{5 + 2 * AGAIN_AND_AGAIN} targets" in "\n".join(messages)
    assert backbone_file(None) == "backbone-all.safetensors"
    assert backbone_file(None, ["rain", "dog bark"]) == "backbone-without-rain-dog_bark.safetensors"


def test_names_are_learned_by_the_backbone_that_may_be_used(
    sounds: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(yamnet_teacher, "Yamnet", Loudness)
    run = tmp_path / "run"
    options = {"run": run, "variants": 0, "layout": TINY}
    pretrain_backbone(sounds, Path("teacher"), minutes=0.005, **options)  # type: ignore[arg-type]
    for fold in (1, None):
        pretrain_backbone(sounds, Path("teacher"), minutes=0.005, data=clips, leave_out_fold=fold, **options)  # type: ignore[arg-type]
    for fold, name in ((1, backbone_file(1)), (2, BACKBONE_FILE), (None, backbone_file(None))):
        messages.clear()
        made = train_encoder(
            clips,
            tmp_path / "made",
            minutes=0,
            leave_out_fold=fold,
            **options,  # type: ignore[arg-type]
        )
        assert f"starting from the audio backbone in {run / name}" in messages
        assert read_metadata(made)["training"]["backbone"] == name
    messages.clear()
    own = (run / backbone_file(1)).rename(run / "ears-fold-1.safetensors")  # its name in version 0.2
    train_encoder(clips, tmp_path / "made", minutes=0, leave_out_fold=1, **options)  # type: ignore[arg-type]
    assert f"starting from the audio backbone in {own}" in messages
    messages.clear()
    made = train_encoder(clips, tmp_path / "made", minutes=0, backbone=own, **options)  # type: ignore[arg-type]
    assert f"starting from the audio backbone in {own}" in messages
    with pytest.raises(DataError, match=r"none\.safetensors: there is no audio backbone; `tpos-live train backbone`"):
        train_encoder(clips, tmp_path / "made", minutes=0, backbone=tmp_path / "none.safetensors", **options)  # type: ignore[arg-type]
