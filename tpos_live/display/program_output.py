"""Outputs that hand frames to other programs: NDI, Spout, Syphon, a virtual camera (`program_senders.py`)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from tpos_live.core.errors import first_line
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.srgb import luminance_key
from tpos_live.core.timing import FrameGrid
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_transform import FrameTransform, fit
from tpos_live.display.program_senders import SENDERS

DARK, BRIGHT = 0.04, 0.35
"""Luminance up to which the key is transparent, and from which on it is opaque."""
_STOP_CHECK = 0.2
"""Longest wait in seconds before the stop flag is checked."""


def with_alpha(pixels: np.ndarray, keyed: bool) -> np.ndarray:
    """RGBA, uint8 [height, width, 4], of pixels, uint8 [height, width, 3]. keyed: dark places are transparent;
    otherwise all is opaque. The colours are not premultiplied."""
    out = np.empty((*pixels.shape[:2], 4), np.uint8)
    for channel in range(3):  # NumPy takes five times as long to copy three bytes at a time
        out[..., channel] = pixels[..., channel]
    out[..., 3] = luminance_key(pixels, DARK, BRIGHT) if keyed else 255
    return out


class ProgramOutput:
    """An Output that sends frames to other programs.

    Thread contract: as `Output`; converting and sending happen on a thread of its own, which takes the newest frame.
    While there is no receiver, as far as the library tells, nothing is converted. A frame of another size than the
    first one is scaled to fit.
    """

    fixed_size = False

    def __init__(
        self,
        kind: str,
        address: str,
        keyed: Callable[[], bool] = lambda: False,
        transform: FrameTransform | None = None,
    ) -> None:
        """kind: a key of SENDERS. address: the name that receivers see, or the camera's device; "" for the first one.
        keyed: whether dark places are transparent (see `with_alpha`); called for each frame. transform: applied to each
        frame."""
        self.name, self.error = f"{kind}:{address}" if address else kind, ""
        self._kind, self._address = SENDERS[kind], address
        self._keyed, self._transform = keyed, transform or FrameTransform()
        self._frames: Mailbox[np.ndarray] = Mailbox()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._grid = FrameGrid(30.0)
        self.receivers: int | None = 0
        """Connected receivers; None where the library does not tell."""
        self.sent = 0
        """Frames sent."""

    @property
    def dropped(self) -> int:
        """Frames that came while the one before was still being sent."""
        return self._frames.replaced

    @property
    def line(self) -> str:
        """For the status: name, and number of receivers."""
        return self.name if self.receivers is None else f"{self.name} to {self.receivers}"

    def is_available(self) -> str:
        kind = self._kind
        if kind.systems and sys.platform not in kind.systems:
            return f"{kind.title} is for {' and '.join(kind.systems.values())}; take ndi:NAME here"
        # Not imported: this runs on the display's thread.
        return "" if find_spec(kind.library) else f'this needs {kind.library}: pip install "tpos-live[{kind.extra}]"'

    def open(self, size: tuple[int, int], fps: float) -> None:
        if reason := self.is_available():
            raise DisplayError(f"{self.name}: {reason}")
        self._grid = FrameGrid(fps)
        self._thread = threading.Thread(target=self._run, args=(size, fps), name=self._kind.extra, daemon=True)
        self._thread.start()

    def wants(self, now: float) -> bool:
        return self.receivers != 0 and self._grid.due(now)

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        self._frames.put(pixels)

    def end(self) -> None:
        """Ask the output to end, without waiting for it."""
        self._stop.set()
        self._frames.end()

    def close(self) -> None:
        self.end()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self, size: tuple[int, int], fps: float) -> None:
        try:
            with self._kind.open(self._address, self._transform.size(size), fps) as sender:
                while not self._stop.is_set():
                    self.receivers = sender.receivers()
                    if not self._frames.wait(_STOP_CHECK) or (pixels := self._frames.take()) is None:
                        continue
                    if (pixels.shape[1], pixels.shape[0]) != size:
                        pixels = fit(pixels, size)
                    pixels = self._transform(pixels)
                    sender.send(with_alpha(pixels, self._keyed()) if self._kind.alpha else pixels)
                    self.sent += 1
        except Exception as error:  # a library raises any kind; the show goes on without this output
            self.error = f"{self.name}: {first_line(error, 120)}"
        self.receivers = 0
