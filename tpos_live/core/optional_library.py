"""Late import of libraries that an extra of the package installs."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingLibraryError(Exception):
    """A library of an extra is not installed: one line with the command that installs it."""


def optional_library(name: str, extra: str) -> Any:
    """Import a module by its full name, for example "scipy.stats". Raises MissingLibraryError."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingLibraryError(f'this needs {error.name or name}: pip install "tpos-live[{extra}]"') from error
