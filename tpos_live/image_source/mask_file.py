"""A mask from an image file, which selects where the source acts on the frame."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from tpos_live.core.errors import first_line
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.srgb import luminance
from tpos_live.image_source.fitting import Fitting, GivenMask, fitted
from tpos_live.image_source.pictures import read_picture
from tpos_live.image_source.reader import SourceError

log = logging.getLogger(__name__)


class MaskFile:
    """Reads `source.mask.file` and fits it as the source is fitted, so that both stay aligned.

    An error of a file is logged in one line, and the previous mask stays. Belongs to the source's thread.
    """

    def __init__(self, refused: Callable[[str], str] = lambda name: "") -> None:
        """refused: gives the reason why a file must not be read, one line; "" if it may."""
        self._refused = refused
        self._name: str | None = None
        self._still: av.VideoFrame | None = None
        self._made_of: tuple[av.VideoFrame, Fitting] | None = None
        self._mask: GivenMask | None = None

    def mask(self, snapshot: Snapshot, size: tuple[int, int]) -> GivenMask | None:
        """The mask for a frame of `size` = (width, height), the same object until something changes; None where
        `source.mask` is not "file", or no file could be read."""
        if str(snapshot["source.mask"]) != "file":
            return None
        name = str(snapshot["source.mask.file"]).strip()
        if name != self._name:
            self._name = name
            self._read(name)
        if self._still is None:
            return None
        how = replace(Fitting.of(snapshot, size), blur=0.0, mask="alpha", edges="black")
        if self._made_of is None or self._made_of[0] is not self._still or self._made_of[1] != how:
            image = fitted(self._still, how)
            see_through = image.mask is not None and int(image.mask.min()) < 255
            values = image.mask if see_through else luminance(image.pixels)
            assert values is not None
            self._mask, self._made_of = GivenMask(np.ascontiguousarray(values)), (self._still, how)
        return self._mask

    def _read(self, name: str) -> None:
        try:
            if not name:
                raise SourceError("the mask is to be a file, and none is named; set source.mask.file to a picture")
            if why := self._refused(name):
                raise SourceError(why)
            if not (path := Path(name).expanduser()).is_file():
                raise SourceError(f"there is no such file as {name[-60:]}")
            self._still = read_picture(path)
        except (
            SourceError,
            OSError,
            ValueError,
            RuntimeError,
            MemoryError,
        ) as error:  # RuntimeError: ~ of an unknown user
            stays = "the mask before it stays" if self._still is not None else "the source counts everywhere"
            log.warning(f"mask: {first_line(error, 160).removeprefix('source ')}; {stays}")
