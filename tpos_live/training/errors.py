"""The error that training commands raise for data that they cannot use."""


class DataError(Exception):
    """A data folder, or a file in it, cannot be used; the message says in one line what and where."""
