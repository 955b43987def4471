"""A disk that becomes full while a video is written."""

from __future__ import annotations

import errno
import os

from tpos_live.display.video import VideoWriter


def full_disk(writer: VideoWriter) -> None:
    """From now on its disk is full."""

    class Full:
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    assert writer._file is not None
    writer._file._file = Full()  # type: ignore[assignment]
