"""A trained audio encoder on disk: encoder.safetensors and encoder.json.

Its embeddings are in the sentence space of one text encoder, whose hash is in the metadata: with any other text
encoder they are meaningless.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.audio_encoder.streaming import Layout, TposEncoder
from tpos_live.core.atomic import atomic_write

WEIGHTS, METADATA = "encoder.safetensors", "encoder.json"
FORMAT = 2
RETRAIN = "tpos-live train encoder --data DIR"


class EncoderError(Exception):
    """An audio encoder cannot be used: what, where and the remedy, in one line."""


def text_hash(engine: Path) -> str:
    """sha256 of the text encoder and tokenizer of an engine folder. Raises EncoderError where they are missing."""
    digest = hashlib.sha256()
    for part in ("text_encoder/model.safetensors", "tokenizer/tokenizer.json"):
        try:
            digest.update((engine / part).read_bytes())
        except OSError as error:
            raise EncoderError(
                f"{engine / part} cannot be read ({error.strerror}); install the engine again"
            ) from error
    return digest.hexdigest()


def read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of an encoder folder, with `layout` as a `Layout`. Raises EncoderError."""
    path = folder / METADATA
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, not {FORMAT}")
        layout = found["layout"]
        found["layout"] = Layout(**{**layout, "channels": tuple(layout["channels"])})
        if not isinstance(found["text_encoder"], str) or not isinstance(found["texts"], list):
            raise ValueError("text_encoder or texts")
        if not 0 <= int(found["scenes"]) <= len(found["phrases"]):
            raise ValueError("scenes")
    except FileNotFoundError as error:
        raise EncoderError(f"there is no audio encoder in {folder}; train one: {RETRAIN}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(f"{path}: not a valid audio encoder ({error!r}); train it again: {RETRAIN}") from error
    return dict(found)


def read_encoder(folder: Path, engine: Path) -> TposEncoder:
    """The encoder in `folder`, for the sentence space of the text encoder of `engine`.

    Raises EncoderError for an invalid folder, and for an encoder that was trained with another text encoder.
    """
    metadata = read_metadata(folder)
    if metadata["text_encoder"] != text_hash(engine):
        raise EncoderError(
            f"{folder} was trained to another text encoder than that of {engine}; train it again: {RETRAIN}"
        )
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights = load_file(folder / WEIGHTS)
        if damaged := [name for name, numbers in weights.items() if np.isnan(numbers).any()]:
            raise ValueError(f"{damaged[0]} is not a number")
        phrases, scenes = tuple(metadata["phrases"]), int(metadata["scenes"])
        names, moods = frozenset(metadata["texts"]), frozenset(metadata.get("moods", ()))
        kinds = tuple(metadata.get("kinds", ()))
        if kinds and weights["kinds.weight"].shape[1] != len(kinds) + 1:
            raise ValueError(f"{len(kinds)} kinds of music")
        return TposEncoder(metadata["layout"], weights, phrases, scenes, names, moods, kinds)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise EncoderError(f"{folder / WEIGHTS} cannot be used ({error!r}); train it again: {RETRAIN}") from error


def write_encoder(folder: Path, weights: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write both files atomically; other files in the folder stay as they are."""
    from safetensors.numpy import save_file

    with atomic_write(folder / METADATA) as described, atomic_write(folder / WEIGHTS) as part:
        save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, part)
        part.chmod(0o644)
        text = json.dumps({"format": FORMAT, **metadata}, indent=2, ensure_ascii=False)
        described.write_text(text + "\n", encoding="utf-8")
