"""Engine loaders that a show of a test has left behind: a show that ends does not wait for its engine."""

from __future__ import annotations

import threading


def end_loads() -> None:
    """Let them end."""
    for thread in threading.enumerate():
        if thread.name == "loader" and thread is not threading.current_thread():
            thread.join(60.0)
