"""The recorder: writes composed frames and audio to a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from tpos_live.audio.source import RATE
from tpos_live.core.messages import NOTICE
from tpos_live.core.output_names import VIDEO
from tpos_live.core.timing import hms
from tpos_live.display.disk_watch import DiskWatch
from tpos_live.display.encoded_output import CRF, EncodedOutput
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import check_output, is_there
from tpos_live.display.output_transform import FrameTransform
from tpos_live.display.video import VideoWriter

log = logging.getLogger(__name__)


class Recorder(EncodedOutput):
    """An EncodedOutput that writes a file. There is no file before the first frame and its audio."""

    def __init__(
        self,
        path: Path,
        fps: float = 30.0,
        *,
        name: str = "recording",
        fixed_size: bool = True,
        rate: int = RATE,
        clock: Callable[[], float] = time.perf_counter,
        disk: DiskWatch | None = None,
        transform: FrameTransform | None = None,
    ) -> None:
        """fixed_size: see `Output`. The others: see `EncodedOutput`."""
        super().__init__(name, fps, rate=rate, clock=clock, transform=transform)
        self.fixed_size = fixed_size
        self.disk = disk or DiskWatch()
        self._wanted = Path(path)
        self._writer: VideoWriter | None = None

    @property
    def path(self) -> Path:
        """The file; its final number, if any, is known from the first frame on."""
        return self._writer.path if self._writer is not None else self._wanted

    def _new_writer(self, size: tuple[int, int]) -> VideoWriter:
        try:
            path = check_output(self._wanted, VIDEO, try_folder=False)
        except DisplayError as error:
            raise DisplayError(f"{self.name} cannot be written: {error}") from error
        self._writer = VideoWriter(
            path, size, self.fps, rate=self._rate, preset=self._steps.preset, crf=CRF, threads=1, live=True
        )
        return self._writer

    def _frame_written(self, now: float) -> None:
        writer = self._writer
        assert writer is not None
        if writer.frames_written > 1:
            self.disk.check(now, writer.part, self.seconds, writer.bytes)
        elif found := writer.output.about_found():
            log.log(NOTICE, found)

    def _fail(self, why: str) -> None:
        writer = self._writer
        kept = ""
        if writer is not None and writer.frames_written and is_there(writer.part):
            kept = f"; {hms(self.seconds)} of it are in {writer.part}"
        self.error = f"{self.name} lost: {why}{kept}"
