"""The performer's controls besides the parameters, with one lifetime: looks, quantised changes, MIDI, Link."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from tpos_live.control.beat_grid import release_due, waiting_text
from tpos_live.control.beat_source import BeatSource
from tpos_live.control.link import Link
from tpos_live.control.look_player import LookPlayer
from tpos_live.control.midi_connection import MidiConnection
from tpos_live.control.midi_mapper import MidiMapper
from tpos_live.core.frame_params import INTEGRATED, FrameParams
from tpos_live.core.guard import Guard
from tpos_live.core.looks import Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import Settings
from tpos_live.director.memory import DirectorMemory
from tpos_live.features.features import Features
from tpos_live.runtime.autosave import SAVED, ShowState
from tpos_live.runtime.show_keeper import ShowKeeper

log = logging.getLogger(__name__)


class Performance:
    """A context manager; enter it before the audio starts. Thread contract: `step` on the display's thread; `state` and
    `fields` from anywhere."""

    def __init__(
        self,
        settings: Settings,
        store: ParameterStore,
        passed: Callable[[], float],
        saved: Callable[[Show], None] = lambda show: None,
    ) -> None:
        """passed: seconds between sound in the room and its arrival here. saved: called with each changed show.

        Raises SettingsError for a show file that cannot be read.
        """
        self._store = store
        self._keeper = ShowKeeper(settings.show.file)
        self._saved = saved
        self.looks = LookPlayer(store, self._keeper.show, self._save)
        self._midi = MidiConnection(settings.midi.port)
        self._link = Link(settings.link.on)
        self._mapper = MidiMapper(self.looks, self._midi.inbox, self._midi.send)
        clocks = (self._link, self._midi.clock) if settings.link.on else (self._midi.clock,)
        self.beat_source = BeatSource(clocks, passed)
        self._stack = ExitStack()
        self._midi_guard, self._looks_guard = Guard(log, "MIDI"), Guard(log, "the change of looks")
        self._grid_guard = Guard(log, "the wait for the beat")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for part in (self._keeper, self._midi, self._link):
                stack.enter_context(part)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def step(self, heard: Features, drops: int) -> None:
        """Apply MIDI, recall looks that are due, and apply changes that waited for the beat. Call it once per refresh.
        A failure is logged, and does not affect the other steps. drops: number of drops so far."""
        now = time.perf_counter()
        with self._midi_guard:
            self._mapper.step(now)
        with self._looks_guard:
            self.looks.step(now, heard, drops)
        with self._grid_guard:
            release_due(self._store, self.looks.grid)

    def _save(self, show: Show) -> None:
        self._keeper.save(show)
        self._saved(show)

    def fields(self) -> dict[str, Any]:
        """Fields of the Status."""
        cue, next_cue = self.looks.cues
        return {
            "look": self.looks.shown,
            "cue": cue,
            "next_cue": next_cue,
            "waiting": " · ".join(filter(None, (waiting_text(self._store), self.looks.waiting))),
            "tempo_source": self.beat_source.name,
            "midi": self._midi.described,
        }

    def state(self, params: FrameParams, directed: DirectorMemory) -> ShowState:
        """The state from which a crashed show continues; a running fade counts as finished. directed: the director's
        decisions."""
        values = self.looks.settled(self._store.snapshot().values)
        motion = {name: float(getattr(params, name)) for name in INTEGRATED}
        saved = {name: values[name] for name in SAVED}
        recording, cut = bool(values["out.record"]), params.cut_index
        show = self.looks.show if self._keeper.keeps_nothing and self.looks.show is not self._keeper.show else None
        return ShowState(saved, self.looks.shown, self.looks.cue, recording, motion, cut, directed, show)

    def resume(self, state: ShowState) -> None:
        """Continue from a state. Call it before entering."""
        self._store.update(state.values, at_once=True)
        self.looks.shown, self.looks.cue = state.look, state.cue
        if state.show is not None and self._keeper.keeps_nothing:
            self.looks.show = state.show
            self._saved(state.show)
