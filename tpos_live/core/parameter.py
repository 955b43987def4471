"""A live parameter: its type and range, and the conversion of values from controllers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["float", "int", "bool", "text", "choice", "trigger"]
Value = float | int | bool | str


class ParameterError(ValueError):
    """A parameter cannot take a value: the text says what is allowed."""


@dataclass(frozen=True)
class Parameter:
    """One live parameter.

    low, high: the range of a number, in `unit`; numbers outside are clamped. choices: the allowed words of a choice.
    smoothing: time constant in seconds with which a jump of the value is smoothed; 0 = at once. off_below: numbers
    below `low` mean 0 (off), and numbers above `high` are refused: a fader of 0 to 1 would otherwise be clamped to
    `low`. numbered: a text that may also be a whole number, sent as int, float or text.
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

        All kinds but text accept floats (a bool is on from 0.5, an int and a choice's index are rounded), and numbers
        and switches as text ("0.5", "on"). Raises ParameterError for other values, such as a word or NaN for a number.
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
        """Whether a number lies in the range; `parse` would clamp others. value: one that `parse` accepts."""
        number = parse_number(value)
        if number is None or self.kind == "text":
            return True
        low, high = self.low, self.high
        if self.kind not in ("int", "float"):
            low, high = 0, max(len(self.choices), 2) - 1
        return low <= number <= high or (self.off_below and number == 0)

    @property
    def allowed(self) -> str:
        """The allowed values, as text for a message."""
        if self.kind in ("int", "float"):
            return f"{self.low:.10g} to {self.high:.10g}"
        return ", ".join(self.choices) or "true or false"

    def _text(self, value: object) -> str:
        """The value of a text. A float is refused: it comes from a fader and would replace a prompt by "0.216"."""
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
    """A finite number from a number, a switch or their text ("0.5", " 1 ", "on", "False"); None for other values."""
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
    """The value of a text that is a whole number of at most nine digits; None for other texts, also "--5", "²",
    "1.5"."""
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 9 else None


def shorten(value: object, most: int = 60) -> str:
    """A value as Python would write it, at most `most` characters, for a message."""
    try:
        text = f"{value:g}" if isinstance(value, float) else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; thousands of nested lists
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= most else text[: most - 1] + "…"
