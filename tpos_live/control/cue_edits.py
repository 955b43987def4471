"""Changes of the list of cues during a show, and where the show then is in it."""

from __future__ import annotations

from collections.abc import Sequence

from tpos_live.core.looks import MOST_CUES, Cue, Show
from tpos_live.core.parameter import shorten, whole_number

STORE = "look.cue.store"
EDITS = ("look.cue.up", "look.cue.down", "look.cue.delete")
"""Texts: the number of a cue, from 1 on."""


class CueError(ValueError):
    """A change that cannot be made, in one line."""


def number_of(called: str, show: Show) -> int:
    """The cue of this number, from 1 on, as an index. Raises CueError."""
    count, wanted = len(show.cues), whole_number(called)
    if wanted is None or not 1 <= wanted <= count:
        raise CueError(f"there is no cue {shorten(called.strip())}; there are {count}")
    return wanted - 1


def added(show: Show, cue: Cue) -> Show:
    """With a cue at the end. Raises CueError."""
    if show.find(cue.look) is None:
        raise CueError("no look is shown that a cue could recall: store or recall one first")
    if len(show.cues) >= MOST_CUES:
        raise CueError(f"the cue is not stored: {MOST_CUES} cues are the most; delete one")
    return show.with_cue(cue)


def edited(show: Show, here: int, name: str, called: str) -> tuple[Show, int, str]:
    """Carry out one of EDITS.

    here: index of the cue recalled last, -1 for none. Returns the show, where that cue is now, and what was done, in
    one line. Raises CueError.
    """
    at, count = number_of(called, show), len(show.cues)
    look = show.cues[at].look
    if name == "look.cue.delete":
        kept = [n != at for n in range(count)]
        return show.without_cue(at), after_deletion(here, kept), f"cue {at + 1} deleted: {look}"
    to = at - 1 if name == "look.cue.up" else at + 1
    if not 0 <= to < count:
        raise CueError(f"cue {at + 1} is the {'first' if to < 0 else 'last'}")
    moved = {at: to, to: at}.get(here, here)
    return show.with_cue_moved(at, to), moved, f"cue {at + 1} is now cue {to + 1}: {look}"


def after_deletion(here: int, kept: Sequence[bool]) -> int:
    """Where the cue of index `here` is once only the `kept` ones are left; if it is none of them, the one before it, so
    that the next cue stays the next; -1 for none."""
    return sum(kept[: here + 1]) - 1
