"""Outputs besides window and recorder: opened when frames come, and tried again when they fail."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tpos_live.audio.source import Chunk
from tpos_live.core.errors import first_line
from tpos_live.core.guard import Guard
from tpos_live.core.messages import NOTICE
from tpos_live.core.output_names import PROGRAMS, SCREEN, STREAMS, OutputSpec, parse_output
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.settings import OutputSettings
from tpos_live.display.disk_watch import DiskUsage, FolderSearch
from tpos_live.display.encoded_output import EncodedOutput
from tpos_live.display.errors import DisplayError
from tpos_live.display.logo import Logo
from tpos_live.display.output import Output
from tpos_live.display.output_transform import OutputTransform
from tpos_live.display.program_output import ProgramOutput
from tpos_live.display.recorder import Recorder
from tpos_live.display.screen_window import ScreenWindow, ScreenWindows
from tpos_live.display.stream_output import StreamOutput

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Backoff: seconds until a failed output is tried again; the last value repeats. A stream always uses the first value.
"""
STEADY = 5.0
"""Seconds without a failure after which an output counts as working: the backoff starts over, with a log line."""
Running = ProgramOutput | EncodedOutput


@dataclass
class _Place:
    """An output of the settings. running: None while it is closed. failures: in a row. moment: when it was opened, or
    is to be tried again. room: of a file that failed, the search for free space on its disk."""

    spec: OutputSpec
    running: Running | None = None
    failures: int = 0
    moment: float = -1.0
    room: FolderSearch | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pause(self) -> float:
        return PAUSES[0 if self.spec.kind in STREAMS else min(self.failures, len(PAUSES) - 1)]


class ExtraOutputs:
    """Keeps the outputs of the settings running. Belongs to the display's thread; `add_audio` is called on the audio
    thread, and `line` may be read from anywhere."""

    def __init__(
        self,
        settings: OutputSettings,
        snapshot: Callable[[], Snapshot],
        logo: Logo | None = None,
        usage: DiskUsage = shutil.disk_usage,
    ) -> None:
        """usage: gives the free space of a folder's disk."""
        self._usage = usage
        specs = [spec for text in settings.to for spec in parse_output(text)]
        self._places = [_Place(spec) for spec in specs if spec.kind != SCREEN]
        on_screens = [spec for spec in specs if spec.kind == SCREEN]
        self.screens = ScreenWindows(
            [
                ScreenWindow(spec, number, OutputTransform(spec.name, snapshot, logo, spec.view))
                for number, spec in enumerate(on_screens, 1)
            ]
        )
        """Outputs on screens, which the output window opens and closes."""
        self._settings, self._snapshot, self._logo = settings, snapshot, logo

    @property
    def line(self) -> str:
        """State of all outputs, for the status; "" without outputs."""
        # Each is read once: the display's thread may remove one meanwhile.
        found = [(place.name, place.running) for place in self._places]
        lines = [f"{name} failed" if running is None else running.line for name, running in found]
        return " · ".join([*self.screens.lines, *lines])

    def add_audio(self, chunk: Chunk) -> None:
        """Audio for those with sound."""
        for place in self._places:
            running = place.running
            if isinstance(running, EncodedOutput):
                running.sound(chunk.stereo, chunk.captured_at)

    def update(self, now: float, size: tuple[int, int], outputs: list[Output]) -> None:
        """Open outputs that are due, and remove those that have failed. now: perf_counter seconds. size: (width,
        height) of the frames, (0, 0) while there are none."""
        for place in self._places:
            running = place.running
            if running is not None and running.error:
                outputs.remove(running)
                running.end()
                self._fail(place, now, running.error)
            elif running is not None and place.failures and now - place.moment > STEADY:
                place.failures = 0
                log.log(NOTICE, f"{place.name}: works again")
            if place.running is None and size[0] > 0 and now >= place.moment and self._has_room(place, now):
                self._open(place, now, size, outputs)

    def close(self, outputs: list[Output]) -> None:
        """End all outputs: within a second, files once they are complete."""
        running = [place.running for place in self._places if place.running is not None]
        guard = Guard(log, "the end of the outputs")
        for output in running:
            with guard:
                output.end()
        for output in running:
            with guard:
                outputs.remove(output)
                output.close()
        self._places = []

    def _has_room(self, place: _Place, now: float) -> bool:
        """Whether to try: a file on a full disk would leave a short part at each attempt, so its disk is checked
        first."""
        if place.spec.kind != "file" or not place.failures:
            return True
        if place.room is None:
            place.room = FolderSearch((Path(place.spec.address).parent,), self._usage)
        if place.room.searching:
            return False
        found, place.room = place.room.found, None
        if found is None:
            place.moment = now + place.pause
        return found is not None

    def _open(self, place: _Place, now: float, size: tuple[int, int], outputs: list[Output]) -> None:
        try:
            output = self._new(place)
            if reason := output.is_available():
                raise DisplayError(f"{place.name}: {reason}")
            output.open(size, self._settings.fps)
        except DisplayError as error:
            self._fail(place, now, str(error))
            return
        except Exception as error:  # a library may raise any kind
            self._fail(place, now, f"{place.name}: {first_line(error)}")
            return
        place.running, place.moment = output, now
        outputs.append(output)

    def _new(self, place: _Place) -> Running:
        spec = place.spec
        transform = OutputTransform(spec.name, self._snapshot, self._logo, spec.view)
        if spec.kind in PROGRAMS:
            return ProgramOutput(spec.kind, spec.address, lambda: self._snapshot()["out.alpha"] == "luma", transform)
        if spec.kind == "file":
            return Recorder(Path(spec.address), name=spec.name, fixed_size=False, transform=transform)
        return StreamOutput(spec.address, kbits=self._settings.bitrate, transform=transform)

    def _fail(self, place: _Place, now: float, why: str) -> None:
        place.running = None
        if not place.failures:
            log.warning(f"{why}; the show goes on, and it is tried again")
        place.moment = now + place.pause
        place.failures += 1
