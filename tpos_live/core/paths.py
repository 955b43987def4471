"""Where things are: shipped engines and config, and the user's own cache and data folders."""

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
    """The path with the home folder in place of ~; as it is where there is no such user."""
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError):  # no such user, or a name that none can have
        return Path(name)


def renamed(path: Path, old: Path) -> Path:
    """`path`, or `old`, its name in earlier versions, where only that exists."""
    return old if old.exists() and not path.exists() else path


def cache_dir() -> Path:
    """Where converted engines lie: $TPOS_LIVE_CACHE, or the user's cache folder. Not made here: that may fail."""
    if chosen := os.environ.get("TPOS_LIVE_CACHE"):
        return expanded(chosen)
    return Path(platformdirs.user_cache_dir("tpos-live", appauthor=False))


def state_dir() -> Path:
    """Where the state of running shows lies: $TPOS_LIVE_STATE, or the user's folder for states. Not made here."""
    if chosen := os.environ.get("TPOS_LIVE_STATE"):
        return expanded(chosen)
    return Path(platformdirs.user_state_dir("tpos-live", appauthor=False))


def projections_dir() -> Path:
    """Where mappings of `tpos-live train mapping` lie: a folder of the user's data. Not made here."""
    return Path(platformdirs.user_data_dir("tpos-live", appauthor=False)) / "mappings"


def engines_dir() -> Path:
    """Where fetched engines lie: $TPOS_LIVE_ENGINES, or a folder of the user's data. Not made here."""
    if chosen := os.environ.get("TPOS_LIVE_ENGINES"):
        return expanded(chosen)
    return Path(platformdirs.user_data_dir("tpos-live", appauthor=False)) / "engines"
