"""Errors of the data for a training."""


class DataError(Exception):
    """A data folder or a file of one cannot be used: one line that says what and where."""
