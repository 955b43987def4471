"""Paths: shipped engines and config, and the user's folders for cache, data and state."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def shipped(name: str) -> Path:
    """Path of `engines` or `config.toml`, in a wheel (inside the package) or in a checkout (above it).

    Raises FileNotFoundError with the remedy if the installation is incomplete.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"{name} is missing from this installation; install tpos-live again")


def expanded(name: str | Path) -> Path:
    """The path with ~ replaced by the home folder; unchanged if there is no such user."""
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError):  # no such user, or an invalid name
        return Path(name)


def renamed(path: Path, old: Path) -> Path:
    """`path`, or `old`, its name in earlier versions, if only `old` exists."""
    return old if old.exists() and not path.exists() else path


def cache_dir() -> Path:
    """Folder of converted engines: $TPOS_LIVE_CACHE, or the user's cache folder. Not created here, because that may
    fail."""
    if chosen := os.environ.get("TPOS_LIVE_CACHE"):
        return expanded(chosen)
    return Path(platformdirs.user_cache_dir("tpos-live", appauthor=False))


def state_dir() -> Path:
    """Folder of the states of running shows: $TPOS_LIVE_STATE, or the user's state folder. Not created here."""
    if chosen := os.environ.get("TPOS_LIVE_STATE"):
        return expanded(chosen)
    return Path(platformdirs.user_state_dir("tpos-live", appauthor=False))


def projections_dir() -> Path:
    """Folder of the results of `tpos-live train mapping`, in the user's data folder. Not created here."""
    return Path(platformdirs.user_data_dir("tpos-live", appauthor=False)) / "mappings"


def engines_dir() -> Path:
    """Folder of fetched engines: $TPOS_LIVE_ENGINES, or in the user's data folder. Not created here."""
    if chosen := os.environ.get("TPOS_LIVE_ENGINES"):
        return expanded(chosen)
    return Path(platformdirs.user_data_dir("tpos-live", appauthor=False)) / "engines"
