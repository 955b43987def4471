"""A still as mask: it is fitted like the source, can be changed live, and a bad file gives one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fakes.clips import write_clip
from PIL import Image

from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.image_source.mask_file import MaskFile
from tpos_live.image_source.open import open_source
from tpos_live.image_source.player import SourcePlayer
from tpos_live.image_source.reader import Wanted

SIZE = (128, 64)


class Masked:
    """A clip with a mask, played as in a show."""

    def __init__(self, folder: Path, **values: object) -> None:
        clip = open_source(str(write_clip(folder / "clip.mp4", 5)), 4.0)
        self.player = SourcePlayer("clip", clip, MaskFile(lambda name: "refused" if "private" in name else ""))
        self.store = ParameterStore({"source.mask": "file", **values})

    def image(self, file: Path | str | None = None) -> SourceImage:
        if file is not None:
            self.store.set("source.mask.file", str(file))
        image = self.player.image(Wanted(FrameParams(), self.store.snapshot(), SIZE), 0.0)
        assert image is not None
        return image


def still(path: Path, channels: int = 3) -> Path:
    """White, or opaque black, in the left half."""
    pixels = np.zeros((100, 200, channels), np.uint8)
    pixels[:, :100, -1 if channels == 4 else slice(None)] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("channels", [3, 4])
def test_white_or_opaque_is_where_the_source_counts(tmp_path: Path, channels: int) -> None:
    mask = Masked(tmp_path).image(still(tmp_path / "mask.png", channels)).mask
    assert mask is not None and mask.shape == (64, 128) and mask.dtype == np.uint8
    assert mask[:, :60].min() == 255 and mask[:, 68:].max() == 0


def test_the_mask_is_mirrored_and_fitted_as_the_source_is(tmp_path: Path) -> None:
    path = still(tmp_path / "mask.png")
    mirrored = Masked(tmp_path, **{"source.mirror": "horizontal"}).image(path).mask
    assert mirrored is not None and mirrored[:, :60].max() == 0 and mirrored[:, 68:].min() == 255
    square = tmp_path / "square.png"
    Image.new("L", (50, 50), 255).save(square)
    whole = Masked(tmp_path, **{"source.fit": "contain"}).image(square).mask
    assert whole is not None and whole[:, :30].max() == 0 and whole[:, 34:94].min() == 255


def test_it_is_changed_live_and_the_same_one_is_the_same_picture(tmp_path: Path) -> None:
    masked = Masked(tmp_path)
    first = masked.image(still(tmp_path / "a.png"))
    assert masked.image() is first
    Image.new("L", (20, 10), 128).save(tmp_path / "b.png")
    second = masked.image(tmp_path / "b.png")
    assert second.mask is not None and abs(int(second.mask.mean()) - 128) < 2 and second is not first
    masked.store.set("source.mask", "off")
    assert masked.image().mask is None


def test_a_bad_file_gives_one_line_and_the_mask_before_stays(tmp_path: Path, messages: list[str]) -> None:
    masked = Masked(tmp_path)
    assert masked.image("").mask is None and "source counts everywhere" in messages.pop()
    good = masked.image(still(tmp_path / "a.png")).mask
    (tmp_path / "text.png").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.png")
    bad = ["text.png", "pipe.png", "nothing.png", "private.png", ".", "\0"]
    for name in bad:
        for _ in range(5):
            assert masked.image(tmp_path / name if name != "\0" else name).mask is good
    assert len(messages) == len(bad)
    assert all(line.startswith("mask: ") and "stays" in line and "\n" not in line for line in messages)
