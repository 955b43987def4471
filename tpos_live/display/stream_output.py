"""An output that sends a stream."""

from __future__ import annotations

import numpy as np

from tpos_live.core.output_names import masked
from tpos_live.display.encoded_output import EncodedOutput
from tpos_live.display.output_transform import FrameTransform
from tpos_live.display.stream_writer import StreamWriter

CRF = 21.5
"""Quality of x264. With "ultrafast" the images are as accurate as a recording's (38.9 and 39.0 dB at 640x360 with
Ember's grain) for 55 % of its processor time (1.6 of 3.0 ms a frame) and up to 30 % more bytes: the show needs the
cores, and a stream is not stored."""


class StreamOutput(EncodedOutput):
    """An EncodedOutput to an address. Until it is connected no frame is read back from the GPU, and none encoded."""

    presets = ("ultrafast",)

    def __init__(
        self,
        url: str,
        fps: float = 30.0,
        *,
        kbits: int = 6000,
        transform: FrameTransform | None = None,
    ) -> None:
        """url: see `parse_output`; it is shown without the key. kbits: limit of the image's kbit/s. transform:
        applied to each frame."""
        super().__init__(masked(url), fps, transform=transform)
        self._url, self._kbits = url, kbits
        self._writer: StreamWriter | None = None

    @property
    def connected(self) -> bool:
        """Whether the server accepts the stream; with UDP, whether a socket could be opened."""
        return self._writer is not None and self._writer.connected

    @property
    def line(self) -> str:
        return super().line if self.connected else f"{self.name} connecting"

    def wants(self, now: float) -> bool:
        return self.connected and super().wants(now)

    def sound(self, stereo: np.ndarray, captured_at: float) -> None:
        if self.connected:
            super().sound(stereo, captured_at)

    def close(self, patience: float = 1.0) -> None:
        super().close(patience)

    def _new_writer(self, size: tuple[int, int]) -> StreamWriter:
        self._writer = StreamWriter(
            self._url,
            size,
            self.fps,
            rate=self._rate,
            preset=self._steps.preset,
            crf=CRF,
            threads=1,
            live=True,
            kbits=self._kbits,
        )
        return self._writer
