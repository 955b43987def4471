"""The images of the shipped looks."""

from __future__ import annotations

import io

from PIL import Image

from tpos_live.core.show_file import read_show
from tpos_live.runtime.show_keeper import SHIPPED
from tpos_live.web.preview import THUMBNAIL
from tpos_live.web.thumbnails import Thumbnails, look_key


def test_every_shipped_look_has_an_image_of_its_own() -> None:
    """After a change of the looks: python -m tpos_live.runtime.look_thumbnails."""
    show = read_show(SHIPPED)
    thumbnails = Thumbnails(lambda done: None, show)
    assert [look.name for look in show.looks if thumbnails.image(look.name) is None] == []
    assert len({look_key(look) for look in show.looks}) == len(show.looks)
    for look in show.looks:
        with Image.open(io.BytesIO(thumbnails.image(look.name) or b"")) as image:
            assert image.size == THUMBNAIL and image.convert("L").getextrema()[1] > 60, look.name
