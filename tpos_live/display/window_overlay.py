"""Draws an overlay on the window."""

from __future__ import annotations

import numpy as np
import pyglet

from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.patch import Patch


class WindowOverlay:
    """Needs the window's context; the window's thread only."""

    def __init__(self) -> None:
        self._shown: Patch | None = None
        self._sprite: pyglet.sprite.Sprite | None = None
        self._at = (0, 0)

    def draw(self, overlay: OutputTransform, window: tuple[int, int]) -> None:
        """On the window of (width, height) pixels."""
        patch = overlay.patch(window)
        if patch is not self._shown or self._at != window:
            self._shown, self._at = patch, window
            self._replace(patch, window[1])
        if self._sprite is not None:
            self._sprite.draw()

    def _replace(self, patch: Patch | None, height: int) -> None:
        if self._sprite is not None:
            self._sprite.image.delete()
            self._sprite.delete()
            self._sprite = None
        if patch is not None:
            rows, columns = patch.pixels.shape[:2]
            flipped = np.ascontiguousarray(patch.pixels[::-1])  # pyglet begins at the bottom
            texture = pyglet.image.ImageData(columns, rows, "RGBA", flipped.tobytes()).create_texture(
                pyglet.image.Texture
            )
            self._sprite = pyglet.sprite.Sprite(texture, patch.left, height - patch.top - rows)
