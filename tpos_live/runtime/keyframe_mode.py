"""Keyframes and in-betweens of a live session: which thread draws what.

In the mode "keyframes" (`engine.mode`) the render thread draws latents and hands them over; the in-between thread moves
from one to the next and decodes, at up to MOST_FPS. Events (kicks, light, zoom) are the display's, as always. In the
mode "frames" the render thread draws whole frames, and the in-between thread waits. The decoder has a thread of its own
(`inbetween_stream`): where it takes longer than a frame, the in-between thread fades between what was decoded.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from tpos_live.core.errors import first_line
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.own_thread import OwnThread
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.shown import shown_text
from tpos_live.core.torch_threads import use_threads
from tpos_live.diffusion.generator import FrameGenerator
from tpos_live.diffusion.keyframes.keyframe import Keyframe, KeyframeGenerator
from tpos_live.diffusion.sampling.first_frame import cannot_draw
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.features.features import Features
from tpos_live.runtime.engine_watch import CallMeter
from tpos_live.runtime.failover import RETRIES
from tpos_live.runtime.inbetween_stream import InbetweenStream
from tpos_live.runtime.render_thread import RETRY, STOP_CHECK

log = logging.getLogger(__name__)

KEYFRAMES = "keyframes"
MOST_FPS = 30.0
PATIENCE = 0.25
"""Longest wait for a beat if there is no limit, as a share of the time that a keyframe takes."""
SURE = 0.5
"""Confidence from which a beat counts."""


class KeyframePace:
    """The clock is passed in. Belongs to the render thread."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._took = 0.0
        self.rate = 0.0
        """Keyframes per second, smoothed; 0 before two were drawn."""

    def wait(self, now: float, limit: float, heard: Features) -> float:
        """Seconds to wait at `now` until a keyframe begins. limit: keyframes per second, 0 = as fast as they come.

        A keyframe begins later, so that it ends on a beat, if the delay is short: up to one beat with a limit, up to
        PATIENCE of its own time without.
        """
        if self._began is None:
            return 0.0
        due = max(self._began + (1 / limit if limit > 0 else 0.0), self._began + self._took)
        if heard.tempo <= 0 or heard.confidence < SURE:
            return max(due - now, 0.0)
        period = 60.0 / heard.tempo
        # Keyframes that begin at origin + n * period end on a beat.
        origin = now - heard.beat_phase * period - self._took
        aligned = origin + math.ceil((due - origin) / period - 1e-6) * period
        patience = period if limit > 0 else PATIENCE * self._took
        return max((aligned if aligned - due <= patience else due) - now, 0.0)

    def drawn(self, began: float, ended: float) -> None:
        """A keyframe was drawn."""
        took = ended - began
        self._took += (took - self._took) * (0.3 if self._took else 1.0)
        if self._began is not None and began > self._began:
            rate = 1 / (began - self._began)
            self.rate += (rate - self.rate) * (0.3 if self.rate else 1.0)
        self._began = began


class PromptChange:
    """Notes when the shown prompt changes, at each call. Any thread may call it."""

    def __init__(self, store: ParameterStore) -> None:
        self._store, self._lock, self._guard = store, threading.Lock(), Guard(log, "the latency of keyframes")
        self._wanted, self._at = "", time.monotonic()

    def seen_at(self) -> float:
        """`time.monotonic` at which a call saw the present prompt first; of the first prompt, of the creation."""
        with self._lock, self._guard:
            wanted = shown_text(self._store.snapshot().values)
            if wanted != self._wanted:
                self._at = time.monotonic() if self._wanted else self._at
                self._wanted = wanted
        return self._at


class KeyframeMode(OwnThread):
    """A context manager: it owns the in-between thread.

    Thread contract: the render thread calls `wait` and `draw` and owns the generator that it passes; only the
    keyframe's latent and its backend's decoder go to the in-between thread, by a mailbox. A lock keeps the decoder to
    one of the two threads; they meet there only when the mode changes. `frames` gets the frames of both. The attributes
    and `line` may be read from anywhere.
    """

    def __init__(
        self,
        store: ParameterStore,
        frame_params: Mailbox[FrameParams],
        frames: Mailbox[Frame],
        heard: Callable[[], Features] = Features,
        fps_cap: float = 0.0,
    ) -> None:
        """frame_params: read, not taken: the render thread takes them. fps_cap: of in-betweens, 0 = MOST_FPS."""
        super().__init__("in-between", patience=1.0)
        self._store, self._frame_params, self._frames, self._heard = store, frame_params, frames, heard
        self._most_fps = min(fps_cap or MOST_FPS, MOST_FPS)
        self._keyframes: Mailbox[Keyframe] = Mailbox()
        self._generator, self._pace = KeyframeGenerator(), KeyframePace()
        self._decoding = threading.Lock()
        self._prompt_change, self._prompt = PromptChange(store), ""
        self._refused = False
        self._decoder_error: Exception | None = None
        """The decoder's error before there was any frame, for the render thread."""
        self.calls = CallMeter()
        """Durations of the decoder's calls."""
        self.drawn = 0
        """Frames so far, of both modes."""
        self.keyframes = 0
        self.latency = 0.0
        """Seconds from the newest change of the prompt to the first keyframe with it; 0 before the first."""

    def abandon(self) -> None:
        """Put no more frames, and do not wait for the thread: the engine hangs, and another one follows."""
        self._stop.set()

    @property
    def on(self) -> bool:
        return bool(self._store.snapshot()["engine.mode"] == KEYFRAMES)

    @property
    def line(self) -> str:
        """Keyframes per second and latency, for the status; "" in the mode "frames"."""
        if not self.on or not self.keyframes:
            return ""
        return f"{self._pace.rate:.1f} a second · first after {self.latency:.1f} s"

    def wait(self, now: float) -> float:
        """Seconds until the next keyframe may begin; 0 in the mode "frames"."""
        if not self.on:
            return 0.0
        return self._pace.wait(now, float(self._store.snapshot()["engine.keyframes"]), self._heard())

    def draw(self, generator: FrameGenerator, request: FrameRequest, meanwhile: Callable[[], object] | None) -> None:
        """Draw a keyframe, or in the mode "frames" a whole frame. Raises what the generator raises, and
        CannotDrawError where no keyframe was ever decoded."""
        if request.snapshot["engine.mode"] != KEYFRAMES or self._refuses(generator):
            with self._decoding:
                self._put(generator.generate(request, meanwhile=meanwhile))
            return
        if (failure := self._decoder_error) is not None:
            self._decoder_error = None
            raise cannot_draw(generator.engine, failure) from failure
        wanted_at, began = self._prompt_change.seen_at(), time.monotonic()
        keyframe = self._generator.draw(generator, request)
        ended = time.monotonic()
        self._pace.drawn(began, ended)
        if request.conditioning.label != self._prompt or not self.keyframes:
            self._prompt, self.latency = request.conditioning.label, ended - wanted_at
        self.keyframes += 1
        self._keyframes.put(keyframe)

    def _refuses(self, generator: FrameGenerator) -> bool:
        if generator.on_card and not self._refused:
            log.warning("engine.mode keyframes is for a CPU; this card draws every frame")
        self._refused = generator.on_card
        return self._refused

    def _put(self, frame: Frame) -> None:
        if self._stop.is_set():
            return
        self.drawn += 1
        self._frames.put(frame)

    def _run(self) -> None:
        use_threads(1)
        error, failures = "", 0
        with InbetweenStream(self._frame_params, self._decoding, self._most_fps, self.calls) as stream:
            while not self._stop.is_set():
                try:
                    self._prompt_change.seen_at()  # the render thread may be drawing for seconds
                    if not self.on:
                        stream.reset()
                        self._keyframes.take()
                        self._stop.wait(STOP_CHECK)
                        continue
                    frame = stream.step(self._keyframes.take())
                    if frame is not None:
                        error = ""
                        self._put(frame)
                    elif not stream.running:
                        self._keyframes.wait(STOP_CHECK)
                except Exception as failure:  # the session continues with the last frame
                    line = f"the decoder failed, holding the last frame: {first_line(failure, 200)}"
                    if line != error:
                        log.warning(line)
                    error = line
                    failures += 1
                    if not self.drawn and failures == RETRIES:
                        self._decoder_error, failures = failure, 0
                        stream.reset()
                    self._stop.wait(RETRY)
