"""`benchmarks/hands_off.py`: measures of a show without a performer, from known images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
hands_off = pytest.importorskip("hands_off")


def images(count: int) -> list[np.ndarray]:
    """Images that differ, uint8 [90, 160, 3]."""
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(20, 200, (9, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8) for _ in range(count)]


def test_a_show_of_ever_new_images_and_one_that_repeats_itself() -> None:
    different = images(40)
    for repeats in (False, True):
        seen = hands_off.Seen()
        for second in range(400):
            image = different[second // 10 % (8 if repeats else 40)]
            for _ in range(hands_off.DRAWN):
                seen.push(image, f"scene {second // 10 % 8}", f"look {second // 10 % 8}")
        found = hands_off.figures(seen)
        assert found["similarity"]["10 s"] < 0.3 and found["recalls"] == 40 and len(found["scenes"]) == 8
        assert found["still_s"]["longest"] == 9.5 and found["dark"] == found["blown_out"] == 0.0
        assert found["seen_again"] == pytest.approx(0.8 if repeats else 0.0, abs=0.15)
        assert len(found["looks"]) == 8 and found["looks"]["look 0"]["min"] == pytest.approx(0.8, abs=0.1)


def test_dark_white_and_still_stretches_are_found(tmp_path: Path) -> None:
    seen = hands_off.Seen()
    for second in range(100):
        level = 0 if second < 30 else 255 if second < 40 else 90 + second
        for _ in range(hands_off.DRAWN):
            seen.push(np.full((90, 160, 3), level, np.uint8), "fire", "one")
        seen.samples += [(second, "one", Image.new("RGB", hands_off.CELL))] * (second % 20 == 0)
    found = hands_off.report(tmp_path, seen)
    assert found["dark"] == 0.3 and found["blown_out"] == 0.1 and found["still_s"] == {"longest": 29.5, "from": 0.0}
    assert found["scenes"] == ["fire"] and (tmp_path / "figures.json").exists()
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.size == (hands_off.COLUMNS * hands_off.CELL[0], hands_off.CELL[1] + 12)
