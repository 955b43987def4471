"""Compares the audio encoder's description of real music with the tags of musicnn, in excerpts of 10 s.

    python benchmarks/music.py TRACKS --musicnn PACKAGE [--encoder FOLDER] [--json]

TRACKS: a folder of music that the encoder was not trained on. musicnn (Pons and Serra, 2019; ISC licence) was trained
on tags that people gave to a million songs; the encoder was not trained with it. PACKAGE: its wheel, unpacked; it needs
tensorflow and librosa (`pip install tensorflow-cpu librosa`, `pip download --no-deps musicnn`).

Three questions: driving or calm, electronic or acoustic, bright or dark? For each, prints the rank correlation of both
answers over all excerpts, with a bootstrap interval over tracks. The encoder's answer is the difference of its mean
similarity to two sets of words; musicnn's is the log ratio of the corresponding tags.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.audio_encoder.checkpoint import read_encoder
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.core.paths import shipped
from tpos_live.evaluation.metrics.statistics import spearman
from tpos_live.training.audio_model.clips import SUFFIXES, read_mono
from tpos_live.training.audio_model.trainer import Sentences

STRETCH = 10.0
"""Seconds of an excerpt; equal to the encoder's memory."""
PATCH, FRAMES, BANDS, HOP, SLOW_RATE = 187, 512, 96, 256, 16_000
"""musicnn's input: frames of a patch; FFT size, bands and hop of its log-mel spectrogram; sample rate."""
QUESTIONS: dict[str, tuple[tuple[Sequence[str], Sequence[str]], tuple[Sequence[str], Sequence[str]]]] = {
    # words for one side and the other; musicnn's tags for them
    "driving, not calm": (
        (("energetic", "aggressive", "intense"), ("calm", "peaceful", "relaxing")),
        (("fast", "loud", "beat", "beats", "drums", "rock"), ("slow", "quiet", "soft", "ambient", "new age")),
    ),
    "electronic, not acoustic": (
        (
            ("techno music", "electronic music", "house music", "trance music", "synthwave music"),
            ("acoustic guitar music", "piano music", "classical string music", "jazz music", "choir music"),
        ),
        (
            ("electronic", "synth", "techno"),
            ("guitar", "piano", "violin", "strings", "classical", "cello", "harp", "flute"),
        ),
    ),
    "bright, not dark": (
        (("bright", "happy", "joyful"), ("dark", "gloomy", "sad")),
        (
            ("happy", "pop", "party", "catchy", "dance", "easy listening"),
            ("metal", "heavy metal", "experimental", "sad", "ambient"),
        ),
    ),
}
Tags = Callable[[np.ndarray], dict[str, np.ndarray]]


def open_musicnn(package: Path) -> Tags:
    """A function from log-mels [n, PATCH, BANDS] to the probability of each tag [n], with both models of musicnn."""
    import re

    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    words = (package / "musicnn" / "configuration.py").read_text(encoding="utf-8")
    models = []
    for kind in ("MSD", "MTT"):
        labels = re.findall(r"'([^']+)'", re.search(rf"{kind}_LABELS = \[(.*?)\]", words, re.S).group(1))  # type: ignore[union-attr]
        folder = package / "musicnn" / f"{kind}_musicnn"
        meta = v1.MetaGraphDef()
        meta.ParseFromString((folder / ".meta").read_bytes())
        for node in meta.graph_def.node:
            node.attr.pop("_output_shapes", None)
        answer = [n.name for n in meta.graph_def.node if n.op == "BiasAdd" and "gradients" not in n.name][-1]
        graph = tf.Graph()
        with graph.as_default():
            v1.import_graph_def(v1.graph_util.extract_sub_graph(meta.graph_def, [answer]), name="")
            session = v1.Session(graph=graph)
            stored = v1.train.NewCheckpointReader(f"{folder}/")  # its files have no name but their suffix
            for node in graph.get_operations():
                if node.type in ("Variable", "VariableV2"):
                    session.run(v1.raw_ops.Assign(ref=node.outputs[0], value=stored.get_tensor(node.name)))
        inputs = [node.outputs[0] for node in graph.get_operations() if node.type == "Placeholder"]
        models.append((labels, session, inputs, graph.get_tensor_by_name(f"{answer}:0")))

    def tags(mels: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for labels, session, inputs, answer in models:
            feed = {one: False if one.dtype == tf.bool else mels for one in inputs}
            label_scores = 1 / (1 + np.exp(-session.run(answer, feed)))
            for n, label in enumerate(labels):
                found[label] = label_scores[:, n]  # MTT last, so that it overrides MSD: its tags describe the sound
        return found

    return tags


def heard_by_musicnn(path: Path, tags: Tags, stretches: int) -> list[dict[str, float]]:
    import librosa

    mono, _ = librosa.load(path, sr=SLOW_RATE)
    power = librosa.feature.melspectrogram(y=mono, sr=SLOW_RATE, hop_length=HOP, n_fft=FRAMES, n_mels=BANDS)
    mels = np.log10(10_000 * power.T.astype(np.float32) + 1)
    frames = STRETCH * SLOW_RATE / HOP
    found = []
    for n in range(stretches):
        starts = np.linspace(n * frames, (n + 1) * frames - PATCH - 1, 3).astype(int)
        answers = tags(np.stack([mels[start : start + PATCH] for start in starts]))
        found.append({label: float(label_scores.mean()) for label, label_scores in answers.items()})
    return found


def ratio(tags: dict[str, float], sides: tuple[Sequence[str], Sequence[str]]) -> float:
    more, less = (sum(tags[label] for label in side) for side in sides)
    return math.log((more + 0.02) / (less + 0.02))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--musicnn", type=Path, required=True, help="its wheel, unpacked")
    parser.add_argument("--encoder", type=Path, help="default: the one in the box")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    home = shipped("engines") / "ember"
    encoder = read_encoder(asked.encoder or home / FOLDER, home)
    sentences = Sentences(home)
    words = list(dict.fromkeys(word for (more, less), _ in QUESTIONS.values() for word in (*more, *less)))
    near = encoder.csls_scorer(sentences.encode(words)[0].numpy())
    tags = open_musicnn(asked.musicnn)
    answers: dict[str, list[tuple[str, float, float]]] = {question: [] for question in QUESTIONS}
    named: dict[str, Counter[str]] = {}
    for path in sorted(path for path in asked.tracks.rglob("*") if path.suffix.lower() in SUFFIXES):
        mono, step = read_mono(path), round(STRETCH * RATE)
        stretches = len(mono) // step
        theirs = heard_by_musicnn(path, tags, stretches)
        encoder.reset()
        named[path.stem] = Counter()
        for n in range(stretches):
            # The last embedding, which covers the whole excerpt.
            embedding = encoder.push(mono[n * step : (n + 1) * step])[-1]
            if not embedding.vector.any():
                continue
            named[path.stem][encoder.labels[int(encoder.label_scores(embedding.vector).argmax())]] += 1
            here = dict(zip(words, near(embedding.vector).tolist(), strict=True))
            for question, ((more, less), sides) in QUESTIONS.items():
                ours = np.mean([here[word] for word in more]) - np.mean([here[word] for word in less])
                answers[question].append((path.stem, float(ours), ratio(theirs[n], sides)))
    result: dict[str, Any] = {"encoder": str(asked.encoder or "shipped"), "tracks": len(named), "questions": {}}
    for question, rows in answers.items():
        result["questions"][question] = agreement(rows)
    result["named"] = {track: dict(count.most_common(3)) for track, count in named.items()}
    print(json.dumps(result) if asked.json else said(result))


def agreement(rows: Sequence[tuple[str, float, float]], draws: int = 500, seed: int = 0) -> dict[str, Any]:
    """Rank correlation of both answers, its 95 % bootstrap interval, and the correlation of the tracks' means.

    rows: (track, the encoder's answer, musicnn's answer) of each excerpt."""
    tracks = sorted({track for track, _, _ in rows})
    of = {track: np.array([(ours, theirs) for name, ours, theirs in rows if name == track]) for track in tracks}
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        both = np.concatenate([of[tracks[n]] for n in rng.integers(len(tracks), size=len(tracks))])
        found.append(spearman(both[:, 0], both[:, 1]))
    both = np.concatenate(list(of.values()))
    means = np.array([part.mean(axis=0) for part in of.values()])
    return {
        "rank_correlation": round(float(spearman(both[:, 0], both[:, 1])), 3),
        "interval": np.round(np.nanpercentile(found, [2.5, 97.5]), 2).tolist(),
        "of_tracks": round(float(spearman(means[:, 0], means[:, 1])), 3),
        "n": len(both),
    }


def said(result: dict[str, Any]) -> str:
    lines = [f"{result['tracks']} tracks, encoder {result['encoder']}"]
    for question, row in result["questions"].items():
        low, high = row["interval"]
        found = f"{row['rank_correlation']:5.2f} ({low:.2f} to {high:.2f}), of tracks {row['of_tracks']:.2f}"
        lines.append(f"{question:26} {found}, n {row['n']}")
    return "\n".join([*lines, *(f"{track:26} {count}" for track, count in result["named"].items())])


if __name__ == "__main__":
    main()
