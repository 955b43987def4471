"""Edits of the list of cues during a show, and the show's place in the list after them.

The place is the index of the cue recalled last, -1 for none. If that cue is deleted, the place lies between its
neighbours: 1.5 is between the second and the third cue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tpos_live.core.looks import MOST_CUES, Cue, Show
from tpos_live.core.parameter import shorten, whole_number

STORE = "look.cue.store"


class CueError(ValueError):
    """An edit is impossible: the reason, in one line."""


def number_of(called: str, show: Show) -> int:
    """The index of the cue with the number `called`, which counts from 1. Raises CueError."""
    count, wanted = len(show.cues), whole_number(called)
    if wanted is None or not 1 <= wanted <= count:
        raise CueError(f"there is no cue {shorten(called.strip())}; there are {count}")
    return wanted - 1


def added(show: Show, cue: Cue) -> Show:
    """The show with a cue at the end. Raises CueError."""
    if show.named(cue.look) is None:
        raise CueError("no look is shown that a cue could recall: store or recall one first")
    if len(show.cues) >= MOST_CUES:
        raise CueError(f"the cue is not stored: {MOST_CUES} cues are the most; delete one")
    return show.with_cue(cue)


def edited(show: Show, place: float, name: str, called: str) -> tuple[Show, float, str]:
    """Carry out `look.cue.up`, `.down` or `.delete`. called: the number of a cue, from 1 on.

    Returns the show, its place, and the result as one line. Raises CueError."""
    at, count = number_of(called, show), len(show.cues)
    look = show.cues[at].look
    if name == "look.cue.delete":
        kept = [n != at for n in range(count)]
        return show.without_cue(at), after_deletion(place, kept), f"cue {at + 1} deleted: {look}"
    to = at - 1 if name == "look.cue.up" else at + 1
    if not 0 <= to < count:
        raise CueError(f"cue {at + 1} is the {'first' if to < 0 else 'last'}")
    moved = to if place == at else at if place == to else place
    return show.with_cue_moved(at, to), moved, f"cue {at + 1} is now cue {to + 1}: {look}"


def after_deletion(place: float, kept: Sequence[bool]) -> float:
    """The place after a deletion. kept: for each cue, whether it stays."""
    at = math.floor(place)
    before = sum(kept[: at + 1])
    if before and place == at and kept[at]:
        return before - 1
    return before - 0.5 if before else -1


def neighbour(place: float, step: int, count: int) -> int:
    """The index of the next (step 1) or previous (-1) of `count` cues, with wrap-around."""
    if place < 0:
        return 0 if step > 0 else count - 1
    return (math.floor(place) + 1 if step > 0 else math.ceil(place) - 1) % count
