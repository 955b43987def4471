"""How soon what grows is right: python benchmarks/following.py --data DIR [--run runs/encoder] [--every 3]

Clips go through the live path, from sound to scene (`conditioning/phrase_conditioner.py`), heard by ears that know none
of their fold (`train encoder --leave-out-fold`): out of silence, after another clip, and after that and silence. What
stands there 3.5 to 5 s after the beginning is what was meant. Printed is which share of all that grew in the first
three seconds was of that, how much had grown after half a second and in the end, and how often the strongest changed.
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
"""Of each clip."""
QUIET = 4.0
"""Seconds of hiss before a clip, at -80 dBFS."""
WEIGHT = 0.5
"""Of the sound, `audio.weight`: the default under a prompt is 0.35."""


@dataclass(frozen=True)
class HysteresisWeights:
    """Of one clip: share of what grew that was right, areas after half a second and in the end, changes."""

    right: float
    soon: float
    late: float
    changes: float


def follow(encoder: AudioEncoder, before: np.ndarray, clip: np.ndarray) -> HysteresisWeights:
    """before, clip: float32 [n] at 48 kHz. The encoder is reset first."""

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
    """float32, SECONDS long."""
    mono = read_mono(path)[: round(SECONDS * RATE)]
    return np.pad(mono, (0, round(SECONDS * RATE) - len(mono)))


def measure(data: Path, run: Path, every: int) -> Iterator[tuple[str, HysteresisWeights]]:
    """For each clip: out of silence; after one of another class, with and without a silence between."""
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
    parser.add_argument("--every", type=int, default=3, help="every so many clips")
    options = parser.parse_args()
    found: dict[str, list[HysteresisWeights]] = {}
    for name, one in measure(options.data, options.run, options.every):
        found.setdefault(name, []).append(one)
    print("| sound | clips | of what grew, right | area after 0.5 s, in the end | changes |")
    print("| --- | --- | --- | --- | --- |")
    for name, all_of in found.items():
        right, soon, late, changes = np.mean([astuple(one) for one in all_of], axis=0)
        print(f"| {name} | {len(all_of)} | {100 * right:.0f} % | {soon:.2f}, {late:.2f} | {changes:.1f} |")


if __name__ == "__main__":
    main()
