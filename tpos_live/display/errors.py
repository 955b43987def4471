"""The stage's one error."""


class DisplayError(Exception):
    """Something of the stage cannot be used: one line that says what, where and what to do."""
