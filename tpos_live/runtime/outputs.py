"""Outputs besides window and recorder: opened when frames come, and tried again when they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tpos_live.core.messages import NOTICE
from tpos_live.core.setting_values import parse_output
from tpos_live.display.errors import DisplayError
from tpos_live.display.ndi_output import NdiOutput
from tpos_live.display.output import Output

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds until an output that has failed is tried again; the last one from then on."""
STEADY = 5.0
"""Seconds without a failure after which an output works: the next failure is told, and tried again soon."""


@dataclass
class _Place:
    """An output by its name; `running` while it takes frames. failures: in a row. moment: when it was opened, or is to
    be tried again."""

    name: str
    running: NdiOutput | None = None
    failures: int = 0
    moment: float = -1.0


class ExtraOutputs:
    """Keeps the outputs of the settings running. Belongs to the display's thread; `line` may be read from anywhere."""

    def __init__(self, names: Sequence[str], fps: float, keyed: Callable[[], bool]) -> None:
        """names: see `parse_output`. keyed: whether dark places are transparent."""
        self._places = [_Place(name) for name in names]
        self._fps, self._keyed = fps, keyed

    @property
    def line(self) -> str:
        """For the status; "" for none."""
        return " · ".join(
            place.running.line if place.running is not None else f"{place.name} failed" for place in self._places
        )

    def look(self, now: float, size: tuple[int, int], outputs: list[Output]) -> None:
        """Open what is to run, and take out what has failed. now: perf_counter seconds. size: (width, height) of the
        frames, (0, 0) while there are none."""
        for place in self._places:
            running = place.running
            if running is not None and running.error:
                outputs.remove(running)
                running.end()
                self._fail(place, now, running.error)
            elif running is not None and place.failures and now - place.moment > STEADY:
                place.failures = 0
                log.log(NOTICE, f"{place.name}: works again")
            if place.running is None and size[0] > 0 and now >= place.moment:
                self._open(place, now, size, outputs)

    def close(self, outputs: list[Output]) -> None:
        """End them all, within a second."""
        running = [place.running for place in self._places if place.running is not None]
        for output in running:
            output.end()
        for output in running:
            outputs.remove(output)
            output.close()
        self._places = []

    def _open(self, place: _Place, now: float, size: tuple[int, int], outputs: list[Output]) -> None:
        output = NdiOutput(parse_output(place.name)[1], self._keyed)
        try:
            output.open(size, self._fps)
        except DisplayError as error:
            self._fail(place, now, str(error))
            return
        place.running, place.moment = output, now
        outputs.append(output)

    def _fail(self, place: _Place, now: float, why: str) -> None:
        place.running = None
        if not place.failures:
            log.warning(f"{why}; the show goes on without it")
        place.moment = now + PAUSES[min(place.failures, len(PAUSES) - 1)]
        place.failures += 1
