"""What addresses mean, within a limit of time: one datagram can hold thousands of patterns and unknown addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tpos_live.control import osc_addresses
from tpos_live.control.osc_addresses import ADDRESSES, Command
from tpos_live.core.parameter import Parameter, ParameterError

MOST = 0.25
"""Seconds of processor time that they take at once."""
SHARE = 0.25
"""Seconds of it a second, in the long run."""

_T = TypeVar("_T")


class Lookups:
    """Like `osc_addresses`. now: seconds of any steady clock. One thread."""

    def __init__(self) -> None:
        self._spent, self._at = 0.0, 0.0

    def find(self, address: str, now: float) -> tuple[Parameter | Command, ...]:
        """What an address means. Raises ParameterError for a pattern where too much was looked for lately."""
        return osc_addresses.find(address) if address in ADDRESSES else self._within(osc_addresses.find, address, now)

    def find_name(self, name: str, now: float) -> tuple[Parameter, ...]:
        """Parameters by name or pattern. Raises ParameterError in the same way."""
        return self._within(osc_addresses.find_name, name, now)

    def unknown(self, address: str, now: float) -> str:
        """What to say of an address that means nothing. Raises ParameterError in the same way."""
        return self._within(osc_addresses.unknown, address, now)

    def _within(self, look: Callable[[str], _T], text: str, now: float) -> _T:
        self._spent = max(self._spent - SHARE * max(now - self._at, 0.0), 0.0)
        self._at = now
        if self._spent >= MOST:
            raise ParameterError("too many unknown addresses or patterns at once; this one was not looked for")
        begin = time.thread_time()
        try:
            return look(text)
        finally:
            self._spent += time.thread_time() - begin
