"""Groups of commands whose help has the whole first sentence of each command; click cuts it off at the line's end."""

from __future__ import annotations

import click

_LONGEST = 200
"""Letters of a sentence; the formatter wraps it."""


class Group(click.Group):
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, one.get_short_help_str(_LONGEST)) for name, one in commands if one and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
