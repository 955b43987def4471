"""NDI: the frames to other programs and machines, by the extra `ndi` (cyndilib and the NDI runtime in it).

The NDI runtime is proprietary and has a licence of its own (https://ndi.video); NDI is a trademark of Vizrt NDI AB.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec

import numpy as np

from tpos_live.core.errors import first_line
from tpos_live.core.luminance import luminance_key
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.optional_library import optional_library
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_transform import FrameTransform
from tpos_live.display.pacing import FrameGrid
from tpos_live.display.video import fit

DARK, BRIGHT = 0.04, 0.35
"""Luminance up to which the key is transparent, and from which on it is opaque."""
_LOOK = 0.2
"""Longest wait in seconds before the stop flag is checked."""


def with_alpha(pixels: np.ndarray, keyed: bool) -> np.ndarray:
    """RGBA, uint8 [height, width, 4], of pixels, uint8 [height, width, 3]. keyed: dark places are transparent;
    otherwise all is opaque. The colours are not premultiplied."""
    out = np.empty((*pixels.shape[:2], 4), np.uint8)
    out[..., :3] = pixels
    out[..., 3] = luminance_key(pixels, DARK, BRIGHT) if keyed else 255
    return out


class NdiOutput:
    """An Output that sends frames as an NDI source.

    Thread contract: as `Output`; converting and sending happen on a thread of its own, which takes the newest frame.
    Without a receiver nothing is converted. A frame of another size than at first is fitted in.
    """

    fixed_size = False

    def __init__(
        self,
        name: str,
        keyed: Callable[[], bool] = lambda: False,
        transform: FrameTransform | None = None,
    ) -> None:
        """name: of the source, as receivers list it behind the machine's. keyed: whether dark places are transparent
        (see `with_alpha`); asked for each frame. transform: of each frame."""
        self.name, self.error = f"ndi:{name}", ""
        self._source, self._keyed, self._transform = name, keyed, transform or FrameTransform()
        self._frames: Mailbox[np.ndarray] = Mailbox()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._grid = FrameGrid(30.0)
        self.receivers = 0
        """Connected receivers."""
        self.sent = 0
        """Frames sent."""

    @property
    def dropped(self) -> int:
        """Frames that came while the one before was still being sent."""
        return self._frames.replaced

    @property
    def line(self) -> str:
        """What it does, for the status."""
        return f"{self.name} to {self.receivers}"

    def is_available(self) -> str:
        # Not imported: this runs on the display's thread.
        return "" if find_spec("cyndilib") else "this needs cyndilib: pip install 'tpos-live[ndi]'"

    def open(self, size: tuple[int, int], fps: float) -> None:
        if reason := self.is_available():
            raise DisplayError(f"{self.name}: {reason}")
        self._grid = FrameGrid(fps)
        self._thread = threading.Thread(target=self._run, args=(size, fps), name="ndi", daemon=True)
        self._thread.start()

    def wants(self, now: float) -> bool:
        return self.receivers > 0 and self._grid.due(now)

    def send(self, pixels: np.ndarray, shown_at: float) -> None:
        self._frames.put(pixels)

    def end(self) -> None:
        """Let it end, without waiting for it."""
        self._stop.set()

    def close(self) -> None:
        self.end()
        if self._thread is not None:
            self._thread.join(1.0)

    def _run(self, size: tuple[int, int], fps: float) -> None:
        try:
            frame = optional_library("cyndilib.video_frame", "ndi").VideoSendFrame()
            frame.set_resolution(*self._transform.size(size))
            frame.set_frame_rate(Fraction(fps).limit_denominator(1001))
            frame.set_fourcc(optional_library("cyndilib.wrapper.ndi_structs", "ndi").FourCC.RGBA)
            sender = optional_library("cyndilib.sender", "ndi").Sender(self._source, clock_video=False)
            sender.set_video_frame(frame)
            with sender:
                while not self._stop.is_set():
                    self.receivers = sender.get_num_connections(0)
                    if not self._frames.wait(_LOOK) or (pixels := self._frames.take()) is None:
                        continue
                    if (pixels.shape[1], pixels.shape[0]) != size:
                        pixels = fit(pixels, size)
                    sender.write_video(with_alpha(self._transform(pixels), self._keyed()).ravel())
                    self.sent += 1
        except Exception as error:  # whatever the runtime says; the show goes on without this output
            self.error = f"{self.name}: {first_line(error, 120)}"
        self.receivers = 0
