"""Lets a show that the watchdog has started continue the show that died."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from tpos_live.core.settings import Settings
from tpos_live.display.window import DisplayWindow
from tpos_live.runtime.autosave import ShowState
from tpos_live.runtime.last_frame import FrameKeeper, read_frame
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.named_files import without_missing
from tpos_live.runtime.watchdog import Run


def settings_of(settings: Settings, run: Run) -> Settings:
    """The settings of this run. After a death: with --resume, and without files that are gone. After several deaths:
    with Ember on the CPU. Call it before PyTorch is imported."""
    if run.safe:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        engine = settings.engine.model_copy(update={"name": "ember", "accelerator": "eager"})
        settings = settings.model_copy(update={"engine": engine})
    if run.deaths:
        settings = without_missing(settings)
        settings = settings.model_copy(update={"show": settings.show.model_copy(update={"resume": True})})
    return settings


def continue_show(session: LiveSession, run: Run, state: ShowState | None) -> AbstractContextManager[object]:
    """Begin with the frame that is on the screen, and with a recording if one was running.

    Call it before entering the session. The returned context keeps each shown frame for the next show.
    """
    if run.deaths and state is not None:
        session.store.set("out.record", state.recording)
    display = session.display
    if run.memory is None or not isinstance(display, DisplayWindow):
        return nullcontext()
    shown = read_frame(run.memory) if run.deaths else None
    if shown is not None:
        display.continues = shown.place
        motion = state.motion if state else {}
        # The drift since then is 0, apart from what was on the screen.
        pan_x = motion.get("pan_x", 0.0) - shown.postfx.pan_new[0]
        pan_y = motion.get("pan_y", 0.0) + shown.postfx.pan_new[1]
        cut_index = state.cut_index if state else 0
        # Not by the mailbox, where the engine's first frame could replace it: that one fades in from this frame.
        display.interpolator.take(replace(shown.frame, pan_x=pan_x, pan_y=pan_y, cut_index=cut_index))
    return FrameKeeper(run.memory, lambda: display.shown, lambda: display.place, lambda: display.hidden)
