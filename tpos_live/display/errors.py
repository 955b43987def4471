"""The exception of the package `display`."""


class DisplayError(Exception):
    """A part of the display or an output file cannot be used: what, where and the remedy, in one line."""
