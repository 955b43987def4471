"""The stage's one error."""


class StageError(Exception):
    """Something of the stage cannot be used: one line that says what, where and what to do."""
