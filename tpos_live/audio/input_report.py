"""Messages about the requested input: a line for the status, and log lines for terminal, HUD and OSC."""

from __future__ import annotations

import logging

from tpos_live.audio.devices import same_input
from tpos_live.core.messages import NOTICE

log = logging.getLogger(__name__)

OPENED = "is opened"
"""`trouble` of an input that a user has just requested; it is not logged."""
MOST = 3
"""Most names of other inputs in one line."""


class InputReport:
    """The supervisor calls one method per check. Belongs to its thread; `message` is replaced as a whole and may be
    read from anywhere.

    message: the line for the status, "" for none. trouble: what is wrong with the input, "" while it delivers.
    """

    def __init__(self) -> None:
        self.message = self.trouble = ""
        self._loss_logged = False
        self._lost = ""
        self._others: tuple[str, ...] = ()
        self._kept_until = 0.0

    def on_fallback(self, label: str, fallback: str, changed: bool, now: float) -> None:
        """The fallback is in use. label: name of the lost input. changed: the fallback was not in use before."""
        line = f'microphone "{label}" {self.trouble}; "{fallback}" is heard until it returns'
        if changed:
            self._loss_logged, self._lost = True, label
            log.warning(line)
        self.show(line, now)

    def running(self, label: str, now: float) -> None:
        """The input delivers."""
        if self.trouble == OPENED:
            log.log(NOTICE, f'listening to "{label}"')
        elif self._loss_logged:
            log.log(NOTICE, _back_line(self._lost, label))
        self.trouble, self._loss_logged, self._others = "", False, ()
        if now >= self._kept_until:
            self.message = ""

    def waiting(self, label: str, was_running: bool, now: float, others: tuple[str, ...] = ()) -> None:
        """Neither the input nor a fallback delivers. was_running: the input did at the last check. others: names of the
        inputs that exist instead; a change of them is logged."""
        if self.trouble == OPENED:
            return
        line = f'microphone "{label}" {self.trouble}; waiting for it'
        if others:
            line += f". Other inputs: {_listed(others)}; /tpos/audio/device NAME, Ctrl+A or the control page takes one"
        if (was_running and not self._loss_logged) or (others and others != self._others):
            self._loss_logged, self._lost = True, label
            log.warning(line)
        self._others = others
        self.show(line, now)

    def show(self, message: str, now: float, keep: float = 0.0) -> None:
        """Set `message`. keep: seconds for which later calls do not replace it."""
        if keep or now >= self._kept_until:
            self.message = message
            self._kept_until = now + keep

    def forget(self, now: float) -> None:
        """A user requested another input: let the next `show` replace the message."""
        self._kept_until = now


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(f'"{name}"' for name in names[:MOST]) + more


def _back_line(lost: str, label: str) -> str:
    """The log line when the input `label` delivers after `lost` did not."""
    if label == lost:
        return f'microphone "{label}" is back'
    if same_input(label, lost):
        return f'microphone "{lost}" is back as "{label}"'
    return f'listening to "{label}" instead of "{lost}"'
