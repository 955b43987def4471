"""Draws the thumbnails of the shipped looks: `python -m tpos_live.runtime.look_thumbnails`, after a change of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from tpos_live.core.looks import Look
from tpos_live.core.settings import Settings
from tpos_live.core.show_file import read_show
from tpos_live.runtime.offline import still
from tpos_live.runtime.show_keeper import SHIPPED
from tpos_live.web.preview import THUMBNAIL
from tpos_live.web.thumbnails import SHIPPED as FOLDER
from tpos_live.web.thumbnails import look_key

_DRAWN = (640, 360)


def draw(look: Look, folder: Path) -> Path:
    """Draw the image of a look in silence, and write it into `folder`; its path."""
    with tempfile.TemporaryDirectory() as temporary:
        still(Settings(parameters=dict(look.values)), large := Path(temporary) / "look.png", _DRAWN, None, 10.0)
        path = folder / f"{look_key(look)}.jpg"
        with Image.open(large) as image:
            image.convert("RGB").resize(THUMBNAIL, Image.Resampling.LANCZOS).save(path, quality=82)
    return path


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path in {*FOLDER.glob("*.jpg")} - {draw(look, FOLDER) for look in read_show(SHIPPED).looks}:
        path.unlink()
