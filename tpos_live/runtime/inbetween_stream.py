"""Turns keyframes into frames in real time: interpolates latents, decodes them on a worker, crossfades the images."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Self

from tpos_live.core.cores import usable_cores
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.torch_threads import use_threads
from tpos_live.diffusion.keyframes.fade import Fade
from tpos_live.diffusion.keyframes.inbetweens import Inbetween, InbetweenDecoder, Inbetweens
from tpos_live.diffusion.keyframes.keyframe import Keyframe
from tpos_live.runtime.engine_watch import CallMeter
from tpos_live.runtime.extrapolator import FrameParamsExtrapolator

DECODER_SHARE = 0.5
"""Share of the time for which the decoder works: the rest of the processor is the UNet's."""
_LONGEST_WAIT = 0.05


class InbetweenStream:
    """A context manager. Belongs to the in-between thread, but for the decoder, which one worker runs.

    At most one latent is decoded at a time, under `decoding`, and the in-between thread does not wait for it longer
    than until the next frame is due.
    """

    def __init__(
        self, frame_params: Mailbox[FrameParams], decoding: threading.Lock, most_fps: float, calls: CallMeter
    ) -> None:
        """frame_params: read, not taken. most_fps: frames per second at most. calls: of the decoder."""
        self._frame_params, self._decoding, self._calls = frame_params, decoding, calls
        self._period = 1 / most_fps
        half = max(len(usable_cores()) // 2, 1)  # the UNet has the other half
        self._worker = ThreadPoolExecutor(1, "decoder", initializer=use_threads, initargs=(half,))
        self._idle = threading.Event()
        """Never set; used for timed waits."""
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    def reset(self) -> None:
        """Forget all keyframes."""
        self._inbetweens, self._decoder, self._fade = Inbetweens(), InbetweenDecoder(), Fade()
        self._extrapolator = FrameParamsExtrapolator()
        self._decoded: Future[tuple[Frame, int]] | None = None
        self._due = self._decoder_due = 0.0

    @property
    def running(self) -> bool:
        """Whether there is a keyframe."""
        return self._inbetweens.keyframe is not None

    def step(self, keyframe: Keyframe | None) -> Frame | None:
        """Advance to the current time; returns the frame that is due, or None. Waits 50 ms at most. Raises what the
        decoder raises."""
        now, params = time.monotonic(), self._frame_params.latest()
        moment = self._extrapolator.next(params if params is not self._extrapolator.newest else None, now)
        if moment is None:
            return None
        if keyframe is not None:
            self._inbetweens.take(keyframe, moment)
        if not self.running:
            return None
        if self._decoded is None and now >= self._decoder_due:
            self._decoder_due = now + max(self._period, self._decoder.took / DECODER_SHARE)
            self._decoded = self._worker.submit(self._decode, self._decoder, self._inbetweens.at(moment))
        self._wait(now)
        now = time.monotonic()
        if self._decoded is not None and self._decoded.done():
            decoded, self._decoded = self._decoded, None
            self._fade.take(*decoded.result(), now)
        if now < self._due or not self._fade.running:
            return None
        self._due = max(self._due, now - self._period) + self._period
        return self._fade.at(moment, now)

    def _wait(self, now: float) -> None:
        """Wait until a latent is decoded, the decoder may begin, or a frame is due."""
        next_decoded = self._decoder_due if self._decoded is None else now + _LONGEST_WAIT
        due = max(self._due - now, 0.0) if self._fade.running else _LONGEST_WAIT
        seconds = min(due, max(next_decoded - now, 0.0), _LONGEST_WAIT)
        if self._decoded is not None:
            wait([self._decoded], seconds)
        else:
            self._idle.wait(seconds)

    def _decode(self, decoder: InbetweenDecoder, inbetween: Inbetween) -> tuple[Frame, int]:
        """Decode a latent; returns its frame and scene. On the worker."""
        with self._decoding, self._calls:
            return decoder.decode(inbetween), inbetween.scene
