"""How fast the sound's scene becomes right: python benchmarks/following.py --data DIR [--run runs/encoder] [--every 3]

Clips go through the live path from sound to scene (`conditioning/phrase_conditioner.py`), with an encoder that was not
trained on their fold (`train encoder --leave-out-fold`). Each clip starts after silence, after another clip, and after
another clip and silence. The dominant scene from 3.5 to 5 s counts as the right one. Prints the share of the sound's
area in the first 3 s that shows it, the area after 0.5 s and at the end, and how often the dominant scene changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from tpos_live.audio.source import RATE
from tpos_live.audio_encoder.load import read_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding, AudioEncoder
from tpos_live.conditioning.builder import region_area
from tpos_live.conditioning.phrase_conditioner import choose_audio_conditioner
from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import find_clips, fold_of, read_mono

BLOCK = 480
SECONDS = 5.0
"""Length of each clip."""
QUIET = 4.0
"""Seconds of hiss before a clip, at -80 dBFS."""
WEIGHT = 0.5
"""The parameter `audio.weight`; its default is 0.35."""


@dataclass(frozen=True)
class HysteresisWeights:
    """Figures of one clip. right: share of the area in the first 3 s that shows the right scene; soon, late: the area
    after 0.5 s and after 3.5 s, 0 to 1; changes: of the dominant scene in the first 3 s."""

    right: float
    soon: float
    late: float
    changes: float


def follow(encoder: AudioEncoder, before: np.ndarray, clip: np.ndarray) -> HysteresisWeights:
    """Play `before` and then `clip`, float32 [n] at 48 kHz, to an encoder that is reset first."""

    def one_hot(texts: Sequence[str]) -> torch.Tensor:
        return torch.eye(len(texts))[:, None].expand(-1, 24, -1)

    sound = choose_audio_conditioner(encoder, one_hot, 8)
    assert sound is not None
    encoder.reset()
    embedding: AudioEmbedding | None = None
    whole = np.concatenate([before, clip])
    times, areas, weights = [], [], []
    for n in range(0, len(whole) - BLOCK, BLOCK):
        embeddings = encoder.push(whole[n : n + BLOCK])
        embedding = embeddings[-1] if embeddings else embedding
        sound.follow(embedding, n / RATE)
        if n >= len(before):
            states, sure = sound.scene()
            share = WEIGHT * sound.strength()
            times.append((n - len(before)) / RATE)
            areas.append(region_area(share) * sure if share > 0 else 0.0)
            weights.append(states[0].numpy() / max(float(states[0].sum()), 1e-9))
    time, grown, scenes = np.array(times), np.array(areas), np.stack(weights)
    late, first = time > 3.5, time < 3.0
    meant = int(scenes[late].mean(0).argmax())
    seen = scenes[first & (grown > 0.05)].argmax(1)
    return HysteresisWeights(
        right=float((grown * scenes[:, meant])[first].sum() / max(grown[first].sum(), 1e-9)),
        soon=float(grown[np.searchsorted(time, 0.5)]),
        late=float(grown[late].mean()),
        changes=float((np.diff(seen) != 0).sum()),
    )


def heard(path: Path) -> np.ndarray:
    """The beginning of a file, float32 at 48 kHz, cut or padded to SECONDS."""
    mono = read_mono(path)[: round(SECONDS * RATE)]
    return np.pad(mono, (0, round(SECONDS * RATE) - len(mono)))


def measure(data: Path, run: Path, every: int) -> Iterator[tuple[str, HysteresisWeights]]:
    """The case and its figures, for each clip: after silence, and after a clip of another class with and without
    silence between."""
    home, rng = shipped("engines") / "ember", np.random.default_rng(0)
    hiss = rng.normal(0, 1e-4, round(QUIET * RATE)).astype(np.float32)
    clips = find_clips(data)
    for number in sorted({fold_of(file) for _text, file in clips}):
        encoder = read_encoder(run / f"fold-{number}", home)
        of_fold = [(text, file) for text, file in clips if fold_of(file) == number]
        chosen = [(text, heard(file)) for text, file in of_fold[::every]]
        for _text, clip in chosen:
            yield "out of silence", follow(encoder, hiss, clip)
        mixed = [chosen[n] for n in rng.permutation(len(chosen))]
        for (was, before), (text, clip) in pairwise(mixed):
            if was != text:
                yield "after a cut", follow(encoder, before, clip)
                yield "after another and silence", follow(encoder, np.concatenate([before, hiss]), clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of clips for each class")
    parser.add_argument("--run", type=Path, default=Path("runs/encoder"))
    parser.add_argument("--every", type=int, default=3, help="use one of so many clips")
    options = parser.parse_args()
    found: dict[str, list[HysteresisWeights]] = {}
    for name, one in measure(options.data, options.run, options.every):
        found.setdefault(name, []).append(one)
    print("| sound | clips | area with the right scene | area after 0.5 s, at the end | changes |")
    print("| --- | --- | --- | --- | --- |")
    for name, all_of in found.items():
        right, soon, late, changes = np.mean([astuple(one) for one in all_of], axis=0)
        print(f"| {name} | {len(all_of)} | {100 * right:.0f} % | {soon:.2f}, {late:.2f} | {changes:.1f} |")


if __name__ == "__main__":
    main()
