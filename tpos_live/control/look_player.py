"""Recalls looks: at once or on the bar, with a fade, by command or on autopilot.

A fade interpolates numbers; texts, switches and choices change at its start. A parameter that another control sets
during a fade keeps that value.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tpos_live.control import cue_edits
from tpos_live.control.beat_grid import BeatGrid
from tpos_live.control.look_fade import LookFade
from tpos_live.control.random_order import RandomOrder
from tpos_live.core.looks import LONGEST_NAME, MOST_LOOKS, Cue, Look, Show, capture, whole_name
from tpos_live.core.messages import NOTICE
from tpos_live.core.parameter import Value, shorten, whole_number
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.parameters import Start
from tpos_live.features.features import Features

log = logging.getLogger(__name__)

ASKED = ("look.next", "look.previous", "look.keep", cue_edits.STORE)
"""Triggers that the player carries out."""
STOPS = ("out.panic", "reset")
"""Triggers that end a fade, so that it does not change the values that they set."""


@dataclass
class LookPlayer:
    """Thread contract: the display's thread makes all calls except `settled` and `cues`; time is passed in.

    save: called with the show after each change of its looks, cues or mappings; it must not block.
    """

    store: ParameterStore
    show: Show = field(default_factory=Show)
    save: Callable[[Show], None] = lambda show: None
    shown: str = ""
    """Name of the look recalled last, "" for none."""
    grid: BeatGrid = field(default_factory=BeatGrid)
    cue: float = -1
    """Place among the cues, see `cue_edits`."""
    _place: float = -1
    """Place among the looks after the shown look is deleted."""
    _waiting: Cue | None = None
    _fade: LookFade | None = None
    last_fade: LookFade | None = None
    """The last fade, which may have ended: what it wrote was not touched by the user."""
    _goal: str = ""
    """Name of the look to which the last fade goes; "" after it was overwritten."""
    _fired: dict[str, int] = field(default_factory=dict)
    _bars_shown: int = 0
    _order: RandomOrder = field(default_factory=RandomOrder)
    _next_random: str | None = None
    """The look that the autopilot recalls next in random order; None while it is off or in order."""

    def step(self, now: float, heard: Features, drops: int = 0) -> None:
        """Carry out commands, and advance the fade. now: seconds. drops: count since the start."""
        snapshot = self.store.snapshot()
        grid = self.grid
        grid.step(now, heard, drops)
        self._bars_shown += grid.bar
        if self._waiting is None:
            by_chance = snapshot["autopilot"] and snapshot["autopilot.order"] == "random"
            self._next_random = self._order.ahead(self.show.listed, self.shown) if by_chance else None
        self._carry_out(snapshot)
        if snapshot["autopilot"]:
            self._autopilot(snapshot, grid.bar, grid.dropped)
        if self._waiting is not None and grid.due(self._waiting.start):
            waiting, self._waiting = self._waiting, None
            self._begin(waiting, now)
        if self._fade is not None and self._fade.move(self.store, now):
            self._end()

    @property
    def waiting(self) -> str:
        """The look that waits, and what it waits for, as text; "" for none."""
        cue = self._waiting
        return f"look {cue.look} (next {cue.start})" if cue is not None else ""

    @property
    def cues(self) -> tuple[int, int]:
        """Numbers, from 1 on, of the cue that is shown or waits, and of the next cue; 0 for none. Any thread."""
        show, place, waiting, coming = self.show, self.cue, self._waiting, self._next_random
        if not show.cues:
            return 0, 0
        following = cue_edits.neighbour(place, 1, len(show.cues)) + 1
        if coming is not None:
            found = show.named(coming)
            following = next((n for n, cue in enumerate(show.cues, 1) if show.named(cue.look) is found), 0)
        if place not in range(len(show.cues)):  # none was recalled, or it was deleted
            return 0, following
        look = show.named(show.cues[int(place)].look)
        called = waiting.look if waiting is not None else self.shown
        return (int(place) + 1 if look is not None and look is show.named(called) else 0), following

    def settled(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values` of the parameters as they will be at the end of a fade. Any thread."""
        fade = self._fade
        return fade.settled(values) if fade is not None else dict(values)

    def recall(self, called: str, fade: float, start: Start) -> bool:
        """Recall a look by name or number. fade: seconds. Returns False, and logs a warning, if there is no such
        look."""
        look = self._find(called)
        if look is None:
            return False
        under_way = (
            self._fade is not None and look.name == self._goal
        )  # a recall repeated in every frame must not restart it
        self._waiting = None if under_way else Cue(look.name, fade, start)
        return True

    def _find(self, called: str) -> Look | None:
        """The look of this name or number; None, with a warning, if there is none."""
        look = self.show.find(called)
        if look is None:
            named = whole_number(called) is not None and self.show.numbers_are_names
            hint = "; a look is or was called by a number, so numbers are names" if named else ""
            log.warning(f"there is no look {shorten(called)}; there are {len(self.show.looks)}{hint}")
        return look

    def _carry_out(self, snapshot: Snapshot) -> None:
        """Carry out the commands since the last step."""
        for name in (*STOPS, *ASKED):
            fired = snapshot.fired(name)
            if fired != self._fired.setdefault(name, fired):
                self._fired[name] = fired
                if name in (*STOPS, "look.keep"):
                    self._bars_shown, self._waiting = 0, None
                if name in STOPS:
                    self._end()
                elif name == cue_edits.STORE:
                    self._store_cue(snapshot)
                elif name != "look.keep":
                    self._step_cue(1 if name == "look.next" else -1, snapshot)
        recalled, cue = str(snapshot["look.recall"]), str(snapshot["look.cue"])
        if recalled.strip():
            self.store.set("look.recall", "")
            self.recall(recalled, snapshot["look.fade"], _start(snapshot, snapshot["look.start"]))
        if cue.strip():
            self.store.set("look.cue", "")
            self._recall_cue(cue.strip(), snapshot)
        for order in self.store.take_orders():
            if order.name == "look.store":
                self._store(order.text, order.snapshot)
            elif order.name == "look.delete":
                self._delete(order.text)
            else:
                self._edit_cues(order.name, order.text)

    def _store(self, called: str, snapshot: Snapshot) -> None:
        name = self.show.free_name() if called.strip() == "+" else called
        fade = self._fade
        look = capture(name, {**snapshot.values, **(fade.given_back(snapshot.values) if fade else {})})
        if not look.name:
            log.warning(f"{shorten(called)} is no name for a look: it has no letter that can be shown")
            return
        show = self.show.with_look(look)
        if len(show.looks) > MOST_LOOKS:
            log.warning(f"{look.name} is not stored: {MOST_LOOKS} looks are the most; delete one")
            return
        old, self.show = self.show.named(look.name), show
        self.shown = look.name
        if look.name == self._goal:
            self._goal = ""
        cut = f" (cut to {LONGEST_NAME} letters)" if look.name != whole_name(name) else ""
        place = f", in place of the look {old.name}" if old is not None else ""
        log.log(NOTICE, f"stored: {look.name}{cut}{place}")
        self.save(self.show)

    def _delete(self, called: str) -> None:
        look = self._find(called)
        if look is None:
            return
        at = self.show.looks.index(look)
        if self.shown == look.name:
            self.shown, self._place = "", at - 0.5
        elif at < self._place:
            self._place -= 1
        kept = [self.show.named(cue.look) is not look for cue in self.show.cues]
        self.show, self.cue = self.show.without(look), cue_edits.after_deletion(self.cue, kept)
        log.log(NOTICE, f"deleted: {look.name}")
        self.save(self.show)

    def _store_cue(self, snapshot: Snapshot) -> None:
        """Store the look that is shown as a cue at the end."""
        try:
            self.show = cue_edits.added(self.show, Cue(self.shown, snapshot["look.fade"], snapshot["look.start"]))
        except cue_edits.CueError as error:
            log.warning(str(error))
            return
        look = self.show.named(self.shown)
        kept = look is None or look.is_shown_by(self.settled(snapshot.values))
        note = "" if kept else ", without what was changed since: L stores that as another look"
        log.log(NOTICE, f"stored as cue {len(self.show.cues)}: {self.shown}{note}")
        self.save(self.show)

    def _edit_cues(self, name: str, called: str) -> None:
        try:
            self.show, self.cue, done = cue_edits.edited(self.show, self.cue, name, called)
        except cue_edits.CueError as error:
            log.warning(str(error))
            return
        log.log(NOTICE, done)
        self.save(self.show)

    def _step_cue(self, step: int, snapshot: Snapshot) -> None:
        """Recall the next or previous cue, or look if there are no cues; in random order, the autopilot's next look."""
        show = self.show
        if step == 1 and self._next_random is not None:
            name = self._order.next(self.show.listed, self.shown) or self._next_random
            self._waiting = Cue(name, snapshot["look.fade"], _start(snapshot, snapshot["look.start"]))
        elif show.cues:
            self._wait_for(cue_edits.neighbour(self.cue, step, len(show.cues)), snapshot)
        elif show.looks:
            names = [look.name for look in show.looks]
            place = names.index(self.shown) if self.shown in names else self._place
            start = _start(snapshot, snapshot["look.start"])
            self._waiting = Cue(names[cue_edits.neighbour(place, step, len(names))], snapshot["look.fade"], start)
        else:
            log.warning("there are no looks: L stores one")

    def _recall_cue(self, number: str, snapshot: Snapshot) -> None:
        """Recall the cue of this number, from 1 on, or the look if there are no cues."""
        if not self.show.cues and self.show.looks:
            self.recall(number, snapshot["look.fade"], _start(snapshot, snapshot["look.start"]))
            return
        try:
            self._wait_for(cue_edits.number_of(number, self.show), snapshot)
        except cue_edits.CueError as error:
            log.warning(str(error))

    def _wait_for(self, cue: int, snapshot: Snapshot) -> None:
        self.cue = cue
        chosen = self.show.cues[cue]
        self._waiting = replace(chosen, start=_start(snapshot, chosen.start))

    def _autopilot(self, snapshot: Snapshot, bar: bool, dropped: bool) -> None:
        """The autopilot: recall another look after autopilot.bars, or at a drop after half of them."""
        due = bar and self._bars_shown >= int(snapshot["autopilot.bars"])
        early = dropped and self._bars_shown >= int(snapshot["autopilot.bars"]) // 2
        if not (due or early) or self._waiting is not None or not {*self.show.listed} - {self.shown}:
            return  # recalling the same look would undo manual changes
        self._bars_shown = 0
        self._step_cue(1, snapshot)
        if self._waiting is not None:  # this step is a downbeat already
            self._waiting = Cue(self._waiting.look, 0.0 if early else self._waiting.fade, "now")

    def _begin(self, cue: Cue, now: float) -> None:
        """Start the fade to a cue's look."""
        look = self.show.named(cue.look)
        if look is None:  # deleted while it waited
            return
        self._fade = self.last_fade = LookFade.begin(self.store, look.whole(), cue.fade, now)
        self.shown, self._goal, self._bars_shown = look.name, look.name, 0
        self._order.note(look.name)
        log.info(f"look: {look.name}")

    def _end(self) -> None:
        """Stop the fade at its current values."""
        fade, self._fade = self._fade, None
        if fade is not None:
            fade.end(self.store)


def _start(snapshot: Snapshot, start: Start) -> Start:
    """When a recall begins: `start`, but `quantise` in place of "now"."""
    grid = snapshot["quantise"]
    return grid if start == "now" and grid != "off" else start
