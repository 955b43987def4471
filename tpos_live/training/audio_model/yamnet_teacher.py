"""The teacher of the audio backbone: YAMNet's embeddings and labels of the last 0.975 s of sound; for training only.

YAMNet (Apache-2.0) was trained on two million clips. The backbone learns to predict its embeddings of unlabelled
sounds (distillation). They are cached with the mels; a live show does not use them.
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tpos_live.audio.source import RATE, AudioError
from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import first_line
from tpos_live.training.audio_model.clips import SUFFIXES, Sound, log_mel, read_mono
from tpos_live.training.errors import DataError
from tpos_live.training.synth.genre_tags import FAINT, KINDS

log = logging.getLogger(__name__)

TARGET_HOPS = 40
"""Hops of 10 ms between two embeddings of the teacher."""
LONGEST = 5.0
"""Largest length of an excerpt in seconds."""
APART = 15.0
"""Seconds of a long file for each excerpt from it."""
STRETCHES = 8
"""Largest number of excerpts from a file."""
TAKES = 3
"""Largest number of takes of a sound: files whose names differ only in their last digits."""
SHY = 0.02
"""Smallest score that is kept (FAINT for kinds of music)."""
_RATE, _WINDOW = 16_000, 15_600
"""YAMNet's sample rate in Hz, and its window in samples."""
NAMES = "yamnet_class_map.csv"
_EMBEDDING = "global_average_pooling2d/Mean"


@dataclass(frozen=True)
class DistillationTarget:
    """One sound with the teacher's output.

    mel: float16 [hops, MELS] in dB. teacher_embeddings: float16 [n, width], entry i of the 0.975 s that end at hop
    (i + 1) * TARGET_HOPS. labels: the teacher's mean score of each label, 0 to 1, or the known shares of a song's.
    """

    name: str
    mel: np.ndarray
    teacher_embeddings: np.ndarray
    labels: dict[str, float] = field(default_factory=dict)


class Yamnet:
    """YAMNet as a TFLite file: 15,600 samples at 16 kHz in. Raises DataError where it cannot be loaded.

    names: labels of its scores, in lower case, from the file NAMES in the same folder; empty without that file.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise DataError("the teacher needs ai-edge-litert: pip install ai-edge-litert") from error
        try:
            self._net = Interpreter(str(path), experimental_preserve_all_tensors=True, num_threads=1)
            self._net.allocate_tensors()
            details = self._net.get_tensor_details()
            self._embedding = next(one["index"] for one in details if one["name"].endswith(_EMBEDDING))
        except (OSError, ValueError, RuntimeError, StopIteration) as error:
            raise DataError(f"{path} is not YAMNet as a TFLite file ({first_line(error)})") from error
        self.names = _read_names(path.with_name(NAMES))
        self._input = self._net.get_input_details()[0]
        self._output = self._net.get_output_details()[0]["index"]

    def hear(self, mono: np.ndarray, hops: int = TARGET_HOPS) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings float16 [n, 1024] and scores float16 [n, 521], each `hops` hops, of float32 [samples] at 48 kHz.

        The sound is preceded by silence, as when a live show begins.
        """
        import soxr

        heard = np.concatenate([np.zeros(_WINDOW, np.float32), soxr.resample(mono, RATE, _RATE).astype(np.float32)])
        stride = hops * _RATE // 100
        teacher_embeddings, scores = [], []
        for end in range(stride, len(heard) - _WINDOW + 1, stride):
            self._net.set_tensor(self._input["index"], heard[end : end + _WINDOW].reshape(self._input["shape"]))
            self._net.invoke()
            teacher_embeddings.append(self._net.get_tensor(self._embedding).reshape(-1).astype(np.float16))
            scores.append(self._net.get_tensor(self._output).reshape(-1).astype(np.float16))
        if not teacher_embeddings:  # shorter than one stride
            return np.zeros((0, 1024), np.float16), np.zeros((0, 521), np.float16)
        return np.stack(teacher_embeddings), np.stack(scores)


def _read_names(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row["display_name"].lower() for row in csv.DictReader(file)]


def find_sounds(folder: Path, seed: int = 0) -> list[Path]:
    """The sound files below `folder`, at most TAKES random takes of each sound. Raises DataError without any."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"there are no sound files in {folder}")
    takes: dict[str, list[Path]] = {}
    for path in files:
        takes.setdefault(re.sub(r"[_0-9]*$", "", path.stem), []).append(path)
    rng = np.random.default_rng(seed)
    return [group[index] for group in takes.values() for index in rng.permutation(len(group))[:TAKES]]


def stretches(name: str, mono: np.ndarray) -> list[Sound]:
    """Excerpts of a file: the first LONGEST seconds of a short file; one each APART seconds, at most STRETCHES, of a
    long file."""
    long = round(LONGEST * RATE)
    count = min(max(int(len(mono) / RATE / APART), 1), STRETCHES)
    if count == 1:
        return [Sound(name, mono[:long])]
    starts = np.linspace(0, len(mono) - long, count + 2)[1:-1].astype(int)  # beginnings and endings say little
    return [Sound(f"{name}@{start // RATE}", mono[start : start + long]) for start in starts.tolist()]


def read_targets(
    folder: Path | None,
    teacher: Path,
    cache: Path,
    extra: Iterable[Sound] = (),
) -> list[DistillationTarget]:
    """The teacher's targets for every sound below `folder` (None: no folder) and for the `extra` sounds.

    cache: an .npz file; if it exists, its content is returned. Files that cannot be read are left out with a warning.
    Raises DataError.
    """
    if cache.exists():
        return read_kept(cache)[0]
    yamnet = Yamnet(teacher)
    targets = []

    def learn(sound: Sound) -> None:
        teacher_embeddings, scores = yamnet.hear(sound.mono)
        if len(teacher_embeddings) and np.abs(sound.mono).max() > 1e-3:
            mean = scores.astype(np.float32).mean(axis=0)
            labels = {called: float(mean[n]) for n, called in enumerate(yamnet.names)}
            heard = {called: score for called, score in labels.items() if score >= (FAINT if called in KINDS else SHY)}
            known = {called: round(score, 4) for called, score in (sound.labels or heard).items()}
            targets.append(
                DistillationTarget(sound.name, log_mel(sound.mono).astype(np.float16), teacher_embeddings, known)
            )

    for path in tqdm(find_sounds(folder) if folder else (), desc="targets", unit="sound", disable=folder is None):
        assert folder is not None
        try:
            for sound in stretches(path.relative_to(folder).as_posix(), read_mono(path)):
                learn(sound)
        except AudioError as error:
            log.warning(f"left out: {error}")
    for sound in extra:
        learn(sound)
    if not targets:
        raise DataError(f"all sounds in {folder or 'these clips'} are silent or cannot be read")
    arrays = {f"mel {one.name}": one.mel for one in targets} | {
        f"told {one.name}": one.teacher_embeddings for one in targets
    }
    labels = json.dumps({"names": yamnet.names, "said": {one.name: one.labels for one in targets}})
    with atomic_write(cache) as part:
        np.savez(part, words=np.array(labels), **arrays)  # type: ignore[arg-type]
    return targets


def read_kept(cache: Path) -> tuple[list[DistillationTarget], list[str]]:
    """The targets in `cache` and all labels of their teacher; two empty lists without a cache, no labels in an old
    one."""
    if not cache.exists():
        return [], []
    with np.load(cache, allow_pickle=False) as stored:
        words = json.loads(str(stored["words"])) if "words" in stored else {"names": [], "said": {}}
        found = [name.removeprefix("mel ") for name in stored if name.startswith("mel ")]
        return [
            DistillationTarget(name, stored[f"mel {name}"], stored[f"told {name}"], words["said"].get(name, {}))
            for name in found
        ], list(words["names"])
