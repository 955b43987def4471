"""Reads the evaluation's captions, whose wording is not in the training, from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tpos_live.core.errors import reason

SHIPPED = Path(__file__).with_name("captions.tsv")

Caption = tuple[str, str]
"""(text, family)."""


class CaptionsError(Exception):
    """A captions file cannot be used; the message is one line."""


def read_captions(path: Path, families: Sequence[str]) -> list[Caption]:
    """Captions from a file with a `phrase TAB family` on each line; families not in `families` are left out.

    Empty lines and lines that begin with # are skipped. Raises CaptionsError for a file that cannot be
    read, a line of another form, and a file without a caption for any of the families.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionsError(f"{path}: cannot be read ({reason(error)}); save it as UTF-8 text") from error
    found: list[Caption] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        text, tab, family = line.partition("\t")
        if not tab or not text.strip() or not family.strip():
            raise CaptionsError(f"{path}, line {number}: write a phrase, a tab and a family")
        if family.strip() in families:
            found.append((text.strip(), family.strip()))
    if not found:
        raise CaptionsError(f"{path}: no caption for any of {', '.join(families)}")
    return found
