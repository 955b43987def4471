"""CLIP's tokenizer for an imported checkpoint, with the vocabulary of another engine on this computer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import engines_dir
from tpos_live.diffusion.hub.presets import load_preset, preset_names

_FILES = ("vocab.json", "merges.txt")
_SOURCE = "openai/clip-vit-large-patch14"


def write_tokenizer(place: Path, words: int, length: int, pads_with_end: bool) -> None:
    """Write a tokenizer's folder.

    words: number of tokens in the vocabulary. length: of a text, in tokens. pads_with_end: pad with the end token, as
    Stable Diffusion 1; else with token 0, as 2 and XL's second encoder. Raises EngineError if no engine here has this
    vocabulary.
    """
    folder = next((folder for folder in _folders() if _holds(folder, words)), None)
    if folder is None:
        by_hand = f"or copy {' and '.join(_FILES)} of huggingface.co/{_SOURCE} to {_own()}"
        raise EngineError(
            f"CLIP's {words} words are nowhere on this computer: `tpos-live engines fetch sd-turbo`, {by_hand}"
        )
    place.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(folder / name, place / name)
    end = "<|endoftext|>"
    vocabulary = json.loads((place / _FILES[0]).read_text(encoding="utf-8"))
    first = min(vocabulary, key=vocabulary.__getitem__)
    settings = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": length, "bos_token": "<|startoftext|>",
        "eos_token": end, "unk_token": end, "pad_token": end if pads_with_end else first,
    }  # fmt: skip
    (place / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def _own() -> Path:
    return engines_dir() / "clip"


def _folders() -> Iterator[Path]:
    """Folders that may have a vocabulary: one for it alone, those of all engines, and the cache of Hugging Face."""
    from huggingface_hub import try_to_load_from_cache

    yield _own()
    yield from sorted(engines_dir().glob("*/tokenizer"))
    for repo, inside in ((_SOURCE, ""), *((load_preset(name).source, "tokenizer/") for name in preset_names())):
        found = try_to_load_from_cache(repo, f"{inside}{_FILES[0]}")
        if isinstance(found, str):
            yield Path(found).parent


def _holds(folder: Path, words: int) -> bool:
    try:
        vocabulary = json.loads((folder / _FILES[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return len(vocabulary) == words and (folder / _FILES[1]).is_file()
