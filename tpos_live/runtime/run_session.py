"""Runs a live session as a process: its seed, its messages on the terminal, its end, and its return after a crash."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tpos_live.core.errors import EngineHungError
from tpos_live.core.messages import NOTICE, background_writer, terminal_messages
from tpos_live.core.parameters import TABLE
from tpos_live.core.paths import state_dir
from tpos_live.core.settings import Settings
from tpos_live.display.errors import DisplayError
from tpos_live.display.lost_display import on_display_lost
from tpos_live.display.screens import has_display
from tpos_live.display.window import DisplayWindow
from tpos_live.runtime.autosave import Autosave, ShowState, find_crashed, left_by, read_state, was_reported
from tpos_live.runtime.last_frame import FrameKeeper, read_frame
from tpos_live.runtime.live_session import LiveSession
from tpos_live.runtime.named_files import check_show, without_missing
from tpos_live.runtime.stop_signals import stop_signals
from tpos_live.runtime.watchdog import UNWATCHED, Run

log = logging.getLogger(__name__)


def run_live_session(settings: Settings, demo: bool = False, run: Run = UNWATCHED) -> NoReturn:
    """Run a session from start to end, then exit the process: status 1 if a recording was lost. Raises the errors of
    this package if it cannot start."""
    settings = settings_of(settings, run)
    if not run.deaths:
        check_show(settings, demo)
    headless = settings.window.headless
    if not headless and not has_display():
        raise DisplayError(
            "no display here; add --headless --record FILE, or use `tpos-live demo` or `tpos-live render`"
        )
    with ExitStack() as around:
        stop, write = around.enter_context(stop_signals()), around.enter_context(background_writer())
        stop.starting = True
        around.enter_context(terminal_messages("tpos-live: ", write))
        # After a death continue the own predecessor: another show may have died at the same moment.
        crashed = left_by(state_dir(), run.left) if run.deaths or demo else find_crashed(state_dir())
        state = _continued(crashed, settings.show.resume)
        chosen = settings if state else choose_seed(settings)
        session = LiveSession(chosen, demo=demo, stop=stop, page=True, run=run)
        saving: AbstractContextManager[object] = nullcontext()
        session.engine_loader.may_end = run.watchdog > 0
        if state:
            session.resume(state)
        if demo:
            session.change_prompts()
        else:
            saving = Autosave(state_dir(), session.state, crashed if state else None, run.watchdog)
        hung = False
        keeping = continue_show(session, run, state)
        if not headless:
            around.enter_context(on_display_lost(lambda: _display_lost(session, around)))
        stop.starting = False
        try:
            with session, saving, keeping:
                session.run()
                if stop.is_set():
                    log.info("stopping …")  # a recording is finished first, which takes seconds on a busy machine
        except EngineHungError as error:
            log.error(str(error))  # the state file stays, by which the watchdog sees a death
            hung = True
        finally:
            failures = _repeat_failures(session)
    # Everything of ours is closed and written. Ending PyTorch and OpenVINO takes another second, and a loader inside a
    # library's import cannot be interrupted: exit without them.
    sys.stdout.flush()  # not stderr: it has no buffer, and blocks while the terminal is stopped
    os._exit(1 if failures or hung else 0)


def _repeat_failures(session: LiveSession) -> list[str]:
    """Print the failures of recordings once more, because they may have scrolled away hours ago."""
    failures = session.controls.recordings.failures
    for line in failures:
        log.info(line)
    return failures


def _display_lost(session: LiveSession, around: ExitStack) -> None:
    """Finish recordings and streams, and say why the show ends. Its state stays, for --resume. around: closes the
    writer of messages."""
    log.error("the display is gone (its X server has ended), and the show with it")
    try:
        session.controls.close(session.display)
        _repeat_failures(session)
    finally:
        around.close()


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


def _continued(crashed: Path | None, resume: bool) -> ShowState | None:
    """The state of a crashed show, if --resume asks for it; logs a line about it."""
    if crashed is None:
        if resume:
            log.info("--resume: no show has crashed; this one starts anew")
        return None
    if not resume:
        if not was_reported(crashed):
            log.log(NOTICE, "the last show did not end by itself; start with --resume to continue it")
        return None
    try:
        state = read_state(crashed)
    except ValueError as error:
        log.warning(str(error))
        return None
    log.log(NOTICE, "this show continues the one that crashed")
    return state


def choose_seed(settings: Settings) -> Settings:
    """The same settings with a random seed where none is set, which is printed so that it can be reused.

    The seeds of `seed.random` follow from it, so with --seed they come again in the same order. Files (`render`,
    `still`) and measurements keep the default seed.
    """
    if "seed" in settings.parameters:
        return settings
    seed = secrets.randbelow(int(TABLE["seed"].high) + 1)
    log.info(f"seed {seed}; to begin with it again: --seed {seed}")
    return settings.model_copy(update={"parameters": {**settings.parameters, "seed": seed}})
