"""Stricter option types than click's, and options that training and evaluation share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A number in a range. Refuses "nan", which click accepts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as click does, and refuse such a value."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class PathName(click.Path):
    """A path. Refuses "", as from "$FILE" with an unset FILE, which click takes for the current folder."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert as click does, and refuse such a value."""
        if value == "":
            self.fail("it is empty; give it a value, or leave it out.", param, ctx)
        return super().convert(value, param, ctx)


SEED = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Seed of the random generators.",
)
THREADS = click.option("--threads", type=click.IntRange(1, 256), default=None, help="CPU threads; default: all cores.")
