"""Can the kind of music be recognised from the images alone? python benchmarks/kinds.py SOUNDFONT [--songs 2]
[--kept FOLDER]

Synthetic songs of eight kinds are played by a General MIDI soundfont. Their images have no prompt and react only to the
audio embedding, not to kicks, level or brightness, and without camera motion of the director. A scene classifier gives
the scenes of each song's images. A probe that was fitted on all other songs predicts the kind of music from these
scenes. Measured twice: with the director's scenes, and with the scenes of the sound alone.
"""

from __future__ import annotations

import argparse
import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.core.direction import NO_DIRECTION, Direction
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.settings_loader import load_settings
from tpos_live.director.director import Director
from tpos_live.evaluation.classifier.model import SceneClassifier, load_classifier
from tpos_live.evaluation.harness.sampler import as_tensor
from tpos_live.features.features import Features
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.training.synth.music import song

KINDS = (
    "techno music", "ambient music", "rock music", "jazz music", "classical string music", "hip hop music",
    "synthwave music", "epic orchestral music",
)  # fmt: skip
SECONDS, HEARD_BEFORE = 32.0, 8.0
"""Length of a song, and the time before the first image that counts."""
FPS = 10
EVERY = 20
"""Frames between two images."""
LEVEL = 0.16
MEANING_ALONE = {
    "prompt": "", "audio.sensitivity": 0.0, "out.inbetween": False, "director.framing": 0.0, "director.camera": 0.0,
    "director.palette": 0.0,
}  # fmt: skip
FLOOR = 0.02
"""Added to each scene's share, so that a single misclassified image cannot exclude a kind."""


@dataclass
class Heard:
    """Analysis of one song: features and label of each hop for the director, parameters and embedding of each image."""

    hops: list[tuple[Features, str]]
    images: list[tuple[int, FrameParams, AudioEmbedding | None]]
    """Each with the number of hops before it."""


class _Listening(Director):
    """A director that records its inputs."""

    heard: list[tuple[Features, str]]

    def step(self, features: Features, label: str, snapshot: Snapshot) -> Direction:
        self.heard.append((features, label))
        return super().step(features, label, snapshot)


def hear(pipeline: Pipeline, snapshot: Snapshot, sound: np.ndarray) -> Heard:
    """Analyse a song. sound: float32 [n, 2] at 48 kHz."""
    pipeline.encoder.reset()
    processor = AudioProcessor(pipeline.encoder, offered=pipeline.offered)
    director = processor.director = _Listening(pipeline.offered)
    director.heard = []
    images = []
    for n, params in enumerate(analyze_frames(processor, snapshot, sound, FPS)):
        if n % EVERY == 0:
            images.append((len(director.heard), params, processor.embedding.latest()))
    return Heard(director.heard, images)


def draw(
    pipeline: Pipeline, classifier: SceneClassifier, snapshot: Snapshot, heard: Heard, directed: bool, begin: float
) -> np.ndarray:
    """The classifier's mean probability of each family over a song's images [families]. begin: time of the first image
    on the pipeline's clock, which must increase from song to song."""
    director, hops, found = Director(pipeline.offered), 0, []
    for until, params, embedding in heard.images:
        direction = NO_DIRECTION
        for features, label in heard.hops[hops:until] if directed else []:
            direction = director.step(features, label, snapshot)
        hops = until
        if params.time < HEARD_BEFORE - 1.5 * EVERY / FPS:
            continue
        image = pipeline.draw(replace(params, direction=direction), embedding, snapshot, now=begin + params.time)
        if params.time >= HEARD_BEFORE:
            found.append(image.pixels)
    probabilities: np.ndarray = classifier(as_tensor(found)).softmax(dim=1).mean(dim=0).numpy()
    return probabilities


def told(shown: np.ndarray) -> np.ndarray:
    """The kind that the probe predicts for each song [songs, kinds], cross-validated over songs. shown: mean
    probabilities [songs, kinds, families]."""
    names = []
    for n in range(len(shown)):
        learnt = np.log(np.delete(shown, n, axis=0).mean(axis=0) + FLOOR)
        names.append((shown[n] @ learnt.T).argmax(axis=1))
    return np.array(names)


def report(title: str, shown: np.ndarray, families: Sequence[str]) -> None:
    """Print the accuracy and, for each kind, its row of the confusion matrix and its five most frequent scenes."""
    named = told(shown)
    right = (named == np.arange(len(KINDS))).mean()
    print(f"{title}: {right:.0%} of {named.size} (chance {1 / len(KINDS):.1%})")
    for k, kind in enumerate(KINDS):
        counts = Counter(KINDS[n].removesuffix(" music") for n in named[:, k])
        mean = shown[:, k].mean(axis=0)
        seen = ", ".join(f"{families[n]} {mean[n]:.0%}" for n in np.argsort(-mean)[:5])
        print(f"  {kind}: {dict(counts.most_common())}; {seen}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("soundfont", type=Path)
    parser.add_argument("--songs", type=int, default=2, help="of each kind")
    parser.add_argument("--kept", type=Path, help="cache folder for the analysis; a second run then only draws")
    args = parser.parse_args()
    settings = load_settings({"engine.name": "ember", "record.resolution": "320x180"})
    start = {**settings.start_values(), **MEANING_ALONE}
    shown: dict[bool, list[np.ndarray]] = {True: [], False: []}
    said: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    begin = 0.0
    with Pipeline(settings, live=False, output=(320, 180)) as pipeline:
        improve(pipeline)
        classifier, _ = load_classifier(pipeline.engine.folder)
        for n in range(args.songs):
            for k, kind in enumerate(KINDS):
                snapshot = ParameterStore({**start, "seed": n * len(KINDS) + k}).snapshot()
                kept = args.kept / f"{kind} {n}.pickle" if args.kept else None
                if kept and kept.exists():
                    heard = pickle.loads(kept.read_bytes())
                else:
                    sound = song(kind, (0.1 + 0.4 * n) % 1.0, SECONDS, 1000 + n, args.soundfont).sound
                    sound = np.tanh(sound * (LEVEL / np.sqrt((sound**2).mean()))).astype(np.float32)
                    heard = hear(pipeline, snapshot, np.stack([sound, sound], axis=1)[: round(SECONDS * RATE)])
                    if kept:
                        kept.parent.mkdir(parents=True, exist_ok=True)
                        kept.write_bytes(pickle.dumps(heard))
                said[kind].update(label for _, label in heard.hops[round(HEARD_BEFORE * 100) :])
                for directed, rows in shown.items():
                    rows.append(draw(pipeline, classifier, snapshot, heard, directed, begin))
                    begin += 2 * SECONDS
    for kind, labels in said.items():
        print(f"{kind} is heard as", {label: f"{c / labels.total():.0%}" for label, c in labels.most_common(4)})
    for directed, rows in shown.items():
        title = "with the director" if directed else "the sound's own scenes"
        report(title, np.array(rows).reshape(args.songs, len(KINDS), -1), classifier.families)


if __name__ == "__main__":
    main()
