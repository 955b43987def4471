"""A simple baseline for the audio encoder: YAMNet's top label, used as a text.

    python benchmarks/yamnet_prompt.py --data DIR --teacher yamnet.tflite --labels yamnet_class_map.csv

Needs ai-edge-litert (pip), YAMNet as a TFLite file and its class map. YAMNet's scores are averaged over all windows so
far. Ember's text encoder encodes the label with the highest score, and the predicted class is the one whose name has
the nearest sentence vector. `--exact` also measures a table by hand from YAMNet's labels to the ten classes of ESC-10,
without a text encoder.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from tpos_live.core.paths import shipped
from tpos_live.training.audio_model.clips import find_clips, read_mono
from tpos_live.training.audio_model.trainer import Sentences
from tpos_live.training.audio_model.yamnet_teacher import Yamnet

HEARD = (1.0, 2.0, 5.0)
HOPS = 20
TABLE = {
    "baby cry": ("Baby cry, infant cry", "Crying, sobbing"),
    "chainsaw": ("Chainsaw",),
    "clock tick": ("Tick", "Tick-tock", "Clock"),
    "dog bark": ("Bark", "Dog", "Bow-wow", "Yip"),
    "fire crackling": ("Crackle", "Fire"),
    "helicopter": ("Helicopter",),
    "person sneeze": ("Sneeze",),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "sea waves": ("Waves, surf", "Ocean"),
}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--exact", action="store_true")
    asked = parser.parse_args()
    with asked.labels.open(encoding="utf-8") as file:
        labels = [row["display_name"] for row in csv.DictReader(file)]
    sentences, yamnet = Sentences(shipped("engines") / "ember"), Yamnet(asked.teacher)
    files = find_clips(asked.data)
    texts = sorted({text for text, _ in files})
    nearest = (
        sentences.encode([label.lower() for label in labels])[0] @ sentences.encode(texts)[0].T
    ).argmax(dim=1)  # fmt: skip
    right: dict[float, list[bool]] = {seconds: [] for seconds in HEARD}
    exact: dict[float, list[bool]] = {seconds: [] for seconds in HEARD}
    for text, path in files:
        scores = yamnet.hear(read_mono(path), HOPS)[1].astype(np.float32)
        for seconds in HEARD:
            mean = scores[: max(round(100 * seconds / HOPS), 1)].mean(axis=0)
            right[seconds].append(texts[int(nearest[int(mean.argmax())])] == text)
            table = {one: max(mean[labels.index(label)] for label in TABLE[one]) for one in TABLE}
            exact[seconds].append(max(table, key=lambda one: table[one]) == text)
    found = {"n": len(files), "top_label_as_text": {f"{s:g}": float(np.mean(right[s])) for s in HEARD}}
    if asked.exact:
        found["hand_made_table"] = {f"{s:g}": float(np.mean(exact[s])) for s in HEARD}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
