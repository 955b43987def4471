"""Decodes in-betweens to frames."""

from __future__ import annotations

import time

import torch

from tpos_live.core.frame import Frame
from tpos_live.diffusion.cuda.frame_pool import FramePool
from tpos_live.diffusion.keyframes.inbetweens import Inbetween


class InbetweenDecoder:
    """Decodes latents with the keyframe's backend. Belongs to one thread; no other thread may use that decoder
    meanwhile.

    A frame's pixels stay valid for at least three more frames.
    """

    def __init__(self) -> None:
        self._pool: FramePool | None = None
        self._size = 0, 0
        self._index = 0
        self.took = 0.0
        """Seconds to decode the newest frame."""

    @torch.inference_mode()
    def decode(self, inbetween: Inbetween) -> Frame:
        """The frame of one latent."""
        began, keyframe, params = time.perf_counter(), inbetween.keyframe, inbetween.params
        if self._pool is None or self._size != keyframe.size:
            self._pool, self._size = FramePool(keyframe.size, pinned=False), keyframe.size
        pixels = self._pool.pixels(self._index)
        keyframe.backend.decode(inbetween.latent.contiguous(), pixels)
        self._index += 1
        done = time.perf_counter()
        self.took = done - began
        return Frame.of(pixels, self._index - 1, params, done, keyframe.detail, keyframe.vivid)
