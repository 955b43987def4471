"""The model card: its example runs as it stands, and it has a place for figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tpos_live.evaluation.metrics.report import BEGIN, END

EMBER = Path(__file__).parents[2] / "engines" / "ember"
CARD = (EMBER / "README.md").read_text(encoding="utf-8")


def test_the_card_has_one_place_for_figures() -> None:
    assert CARD.count(BEGIN) == CARD.count(END) == 1 and CARD.index(BEGIN) < CARD.index(END)


def test_the_example_makes_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    code = re.search(r"```python\n(.*?)```", CARD, re.DOTALL)
    assert code is not None
    lines = [line for line in code.group(1).splitlines() if line.strip()]
    assert len(lines) <= 10 and '"engines/ember"' in code.group(1)
    monkeypatch.chdir(tmp_path)
    exec(code.group(1).replace('"engines/ember"', repr(str(EMBER))), {})
    with Image.open(tmp_path / "jellyfish.png") as picture:
        assert picture.size == (256, 256)
        assert max(high - low for low, high in picture.getextrema()) > 40, "a flat picture"
