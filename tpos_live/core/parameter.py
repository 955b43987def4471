"""One live parameter: its type, its range, and how a value from a controller becomes one of its own."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["float", "int", "bool", "text", "choice", "trigger"]
Value = float | int | bool | str


class ParameterError(ValueError):
    """A value that a parameter cannot take; the message says what is allowed."""


@dataclass(frozen=True)
class Parameter:
    """One live parameter.

    low, high: the range of a number, in `unit`; numbers outside are clamped.
    choices: the allowed words of a choice.
    smoothing: seconds in which a jump of the value is followed (time constant); 0 = at once.
    off_below: numbers below `low` mean 0, which is off, and numbers above `high` are refused: for a number that is
    harmful at the end of its range, which is where a fader of 0 to 1 would put it.
    numbered: a text that may also be a whole number, however it is sent.
    """

    name: str
    kind: Kind
    default: Value
    text: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    choices: tuple[str, ...] = ()
    smoothing: float = 0.0
    off_below: bool = False
    numbered: bool = False

    @cached_property
    def address(self) -> str:
        """The OSC address."""
        return "/tpos/" + self.name.replace(".", "/")

    def parse(self, value: object) -> Value:
        """Turn a value from a controller into this parameter's type, clamped to its range.

        Floats are accepted everywhere but for a text (a bool is on from 0.5, an int and a choice's index are
        rounded), and so are numbers and switches that are written out ("0.5", "on"). Raises ParameterError for
        what has no meaning, such as a word or NaN for a number.
        """
        if self.kind == "text":
            return self._text(value)
        if self.kind == "choice" and isinstance(value, str) and value.strip().lower() in self.choices:
            return value.strip().lower()
        number = parse_number(value)
        if number is None:
            wanted = f"one of {', '.join(self.choices)}" if self.kind == "choice" else "a number"
            raise ParameterError(f"{self.name} takes {wanted}, not {shorten(value)}")
        if self.kind == "choice":
            return self.choices[min(max(round(number), 0), len(self.choices) - 1)]
        if self.kind in ("bool", "trigger"):
            return number >= 0.5
        if self.off_below:
            if number > self.high:
                raise ParameterError(
                    f"{self.name} takes {self.low:g} to {self.high:g} {self.unit}, or 0; {number:g} is too much"
                )
            return number if number >= self.low else 0.0
        number = min(max(number, self.low), self.high)
        return round(number) if self.kind == "int" else number

    def allows(self, value: Value) -> bool:
        """False for a number outside the range, which `parse` would clamp. value: one that `parse` takes."""
        number = parse_number(value)
        if number is None or self.kind == "text":
            return True
        low, high = self.low, self.high
        if self.kind not in ("int", "float"):
            low, high = 0, max(len(self.choices), 2) - 1
        return low <= number <= high or (self.off_below and number == 0)

    @property
    def allowed(self) -> str:
        """The values, for a message."""
        if self.kind in ("int", "float"):
            return f"{self.low:.10g} to {self.high:.10g}"
        return ", ".join(self.choices) or "true or false"

    def _text(self, value: object) -> str:
        """A lone float is what a fader sends: as a text it would replace a prompt by "0.216"."""
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return shorten(value)
        if self.numbered and isinstance(value, float) and value.is_integer():
            return f"{value:.0f}"
        raise ParameterError(f"{self.name} takes a text, not {shorten(value)}")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SWITCH = {"true": 1.0, "on": 1.0, "yes": 1.0, "false": 0.0, "off": 0.0, "no": 0.0}


def parse_number(value: object) -> float | None:
    """A finite number from a number, a switch or their text ("0.5", " 1 ", "on", "False"); None for all else."""
    number = math.nan
    if isinstance(value, str):
        word = value.strip().lower()
        number = _SWITCH.get(word, math.nan)
        if _NUMBER.fullmatch(word):
            number = float(word)
    elif isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:  # an integer that no float can hold
            return None
    return number if math.isfinite(number) else None


def whole_number(text: str) -> int | None:
    """The whole number of at most nine digits that a text is; None for anything else, "--5", "²" and "1.5" too."""
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None


def shorten(value: object, most: int = 60) -> str:
    """A value as it would be written in Python, in one line that fits a message."""
    try:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; thousands of nested lists
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= most else text[: most - 1] + "…"
