"""What is said of the requested input: the line for the status, and the news for terminal, HUD and OSC."""

from __future__ import annotations

import logging

from tpos_live.audio.devices import same_input
from tpos_live.core.messages import NOTICE

log = logging.getLogger(__name__)

OPENED = "is opened"
"""Trouble of an input that was just asked for; it is no news."""
MOST = 3
"""Names of other inputs in a line."""


class InputReport:
    """Belongs to the supervisor's thread; `message` is replaced as a whole and may be read from anywhere.

    trouble: what is wrong with the input, "" while it delivers.
    """

    def __init__(self) -> None:
        self.message = self.trouble = ""
        self._lost_told = False
        self._lost = ""
        self._others: tuple[str, ...] = ()
        self._until = 0.0

    def on_fallback(self, label: str, fallback: str, changed: bool, now: float) -> None:
        """The fallback is heard. changed: just now."""
        line = f'microphone "{label}" {self.trouble}; "{fallback}" is heard until it returns'
        if changed:
            self._lost_told, self._lost = True, label
            log.warning(line)
        self.show(line, now)

    def running(self, label: str, now: float) -> None:
        """The input delivers."""
        if self.trouble == OPENED:
            log.log(NOTICE, f'listening to "{label}"')
        elif self._lost_told:
            log.log(NOTICE, _back(self._lost, label))
        self.trouble, self._lost_told, self._others = "", False, ()
        if now >= self._until:
            self.message = ""

    def waiting(self, label: str, was_running: bool, now: float, others: tuple[str, ...] = ()) -> None:
        """The input does not deliver, and nothing else does. was_running: it did a moment ago. others: names of the
        inputs that there are instead; a change of them is news."""
        if self.trouble == OPENED:
            return
        line = f'microphone "{label}" {self.trouble}; waiting for it'
        if others:
            line += f". Other inputs: {_listed(others)}; /tpos/audio/device NAME, Ctrl+A or the control page takes one"
        if (was_running and not self._lost_told) or (others and others != self._others):
            self._lost_told, self._lost = True, label
            log.warning(line)
        self._others = others
        self.show(line, now)

    def show(self, message: str, now: float, keep: float = 0.0) -> None:
        """keep: seconds for which no other message takes its place."""
        if keep or now >= self._until:
            self.message = message
            self._until = now + keep

    def forget(self, now: float) -> None:
        """Another input was asked for: no message is kept any longer."""
        self._until = now


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(f'"{name}"' for name in names[:MOST]) + more


def _back(lost: str, label: str) -> str:
    """The news that `label` delivers after `lost` did not."""
    if label == lost:
        return f'microphone "{label}" is back'
    if same_input(label, lost):
        return f'microphone "{lost}" is back as "{label}"'
    return f'listening to "{label}" instead of "{lost}"'
