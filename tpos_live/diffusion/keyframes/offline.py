"""Keyframes and in-betweens for offline rendering, with a keyframe at fixed intervals of the sound's clock."""

from __future__ import annotations

from tpos_live.core.frame import Frame
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.keyframes.fade import Sway
from tpos_live.diffusion.keyframes.inbetweens import InbetweenDecoder, Inbetweens
from tpos_live.diffusion.keyframes.keyframe import KeyframeGenerator
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

USUAL_RATE = 1.0
"""Keyframes per second where `engine.keyframes` sets no limit: the computer's speed must not change a file."""


class OfflineKeyframes:
    """Draws one frame after the other. Belongs to one thread. The same requests give the same frames."""

    def __init__(self) -> None:
        self._keyframes, self._inbetweens, self._decoder = KeyframeGenerator(), Inbetweens(), InbetweenDecoder()
        self._sway = Sway()
        self._due = 0.0

    def draw(self, generator: FrameGenerator, request: FrameRequest) -> Frame:
        """The frame for one request; draws a new keyframe first where one is due."""
        params = request.params
        if self._inbetweens.keyframe is None or params.time >= self._due - 1e-6:
            rate = float(request.snapshot["engine.keyframes"]) or USUAL_RATE
            self._inbetweens.take(self._keyframes.draw(generator, request), params)
            self._due = params.time + 1 / rate
        frame = self._decoder.decode(self._inbetweens.at(params))
        self._sway.apply(frame.pixels, params.noise_position)
        return frame
