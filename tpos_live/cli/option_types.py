"""Types of options that refuse what click lets through, and the options that training and measuring share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A number in a range. "nan" is none, though it is neither below nor above the range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class PathName(click.Path):
    """A path. An empty one, as of "$FILE" where FILE is not set, would be the current folder."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click does."""
        if value == "":
            self.fail("it is empty; give it a value, or leave it out.", param, ctx)
        return super().convert(value, param, ctx)


SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Seed of what is random.",
)
THREADS = click.option("--threads", type=click.IntRange(1, 256), default=None, help="CPU threads; default: all cores.")
