"""The file that lists what an engine was trained on: `vocabulary.json` beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

VOCABULARY_FILE = "vocabulary.json"
KINDS = ("family", "colour", "style", "mood")
"""Sections of the file, in the order of the report."""
ALSO = "also"
"""Section of the file: more words of families, which match but were not in the training."""
CLEAR = "clear"
"""Section of the file: names of families with bright, clear images."""


def read_phrases(folder: Path) -> dict[str, dict[str, list[str]]] | None:
    """The file's texts, by section and name; None where it is missing or damaged."""
    try:
        phrases = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
        lists = [texts for kind in KINDS for texts in phrases[kind].values()]
        valid = all(isinstance(texts, list) and texts and _are_texts(texts) for texts in lists)
        clear = phrases.get(CLEAR, {}).get("family", ())
        valid = valid and all(isinstance(texts, list) and _are_texts(texts) for texts in phrases.get(ALSO, {}).values())
        return phrases if valid and phrases["family"] and isinstance(clear, (list, tuple)) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def offered_scenes(folder: Path) -> frozenset[str] | None:
    """All phrases of the families that an engine folder offers; None without a valid file."""
    phrases = read_phrases(folder)
    return None if phrases is None else frozenset(text for texts in phrases["family"].values() for text in texts)


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
