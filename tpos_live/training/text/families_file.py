"""Reads and writes `families.toml`, the scene families of an engine, and writes its vocabulary."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tpos_live.conditioning.vocabulary_file import VOCABULARY_FILE
from tpos_live.core.atomic import write_text
from tpos_live.training.text.captions import vocabulary

FAMILIES_FILE = "families.toml"
_HEAD = """\
# `families` are those that this engine offers: prompts and sounds lead to them (see `tpos-live evaluate gate`).
# `trained` are all that it was trained on. The names are a contract.
"""


class EngineFamilies(NamedTuple):
    """offered: names of families that prompts and sounds lead to. trained: all that the engine was trained on."""

    offered: list[str]
    trained: list[str]


def read_families(folder: Path) -> EngineFamilies:
    """The families of an engine folder. Raises OSError without the file, ValueError for a damaged one."""
    content = tomllib.loads((folder / FAMILIES_FILE).read_text(encoding="utf-8"))
    offered = content.get("families")
    trained = content.get("trained", offered)
    if not isinstance(offered, list) or not isinstance(trained, list):
        raise ValueError("it has no list `families`")
    return EngineFamilies(list(map(str, offered)), list(map(str, trained)))


def write_families(folder: Path, offered: Sequence[str], trained: Sequence[str]) -> None:
    """Write FAMILIES_FILE and the vocabulary. Raises OSError, and ValueError where no family is offered."""
    if not offered:
        raise ValueError("an engine must offer a family")
    text = _HEAD
    for key, names in (("families", offered), ("trained", trained)):
        text += f"{key} = [\n" + "".join(f'  "{name}",\n' for name in names) + "]\n"
    write_text(folder / FAMILIES_FILE, text)
    words = json.dumps(vocabulary(offered), indent=1, ensure_ascii=False)
    write_text(folder / VOCABULARY_FILE, words + "\n")
