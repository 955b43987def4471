"""Writes a single image to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tpos_live.core.errors import reason
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import IMAGE, OutputFile, check_output


def check_image(path: Path, sources: Sequence[Path] = ()) -> Path:
    """As `check_output`, for `save_image`."""
    from PIL import features

    suffixes = [suffix for suffix in IMAGE if suffix != ".webp" or features.check("webp")]
    return check_output(path, suffixes, sources)


def save_image(path: Path, pixels: np.ndarray) -> Path:
    """Save an image, uint8 [height, width, 3], in the format of its suffix (IMAGE), atomically.

    Returns the path, numbered where such a file exists. Raises DisplayError with the reason.
    """
    from PIL import Image

    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    options: dict[str, Any] = {"compress_level": 3} if kind == "PNG" else {"quality": 95}
    output = OutputFile(Path(path))
    try:
        with output.open() as file:
            try:
                Image.fromarray(pixels).save(file, kind, **options)
            except BaseException:
                output.discard()
                raise
        return output.finish()
    except OSError as error:
        raise DisplayError(f"cannot save {path}: {reason(error)}; choose another folder or make room") from error
