"""What tpos-live says, for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tpos_live.core.messages import LineHandler, handling


@contextmanager
def heard_messages(level: int = logging.INFO) -> Iterator[list[str]]:
    """The text of each message from `level` on, oldest first."""
    lines: list[str] = []
    with handling(LineHandler(lines.append, level)):
        yield lines
