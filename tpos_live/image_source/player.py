"""Which picture of a source belongs to a frame: by the frame's time, or the newest one of a camera."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Protocol, Self

import av

from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import first_line
from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.output_names import masked
from tpos_live.core.parameter_store import Snapshot
from tpos_live.image_source.fitting import Fitting, Scalers, fitted
from tpos_live.image_source.mask_file import MaskFile
from tpos_live.image_source.open import NOTHING, SCENE, Opener, is_live, open_source
from tpos_live.image_source.reader import Reader, SourceError, Wanted

EXACT = 1e-6
"""Seconds added to a position, so that rounding errors do not select the picture before it."""
KEPT = 90
"""Most pictures of a camera that are kept for `source.delay`."""


class ImageProvider(Protocol):
    """Gives the source's picture for each frame."""

    def image(
        self, params: FrameParams, snapshot: Snapshot, size: tuple[int, int], conditioning: Conditioning | None = None
    ) -> SourceImage | None:
        """The picture for a frame. size: (width, height). conditioning: for drawn scenes. None without a source."""
        ...


class SourcePlayer:
    """Selects and fits the pictures of one reader by the frame's parameters. Belongs to one thread."""

    def __init__(self, name: str, reader: Reader, mask: MaskFile | None = None) -> None:
        """name: the text of `source`. mask: reads `source.mask.file`."""
        self.name, self.reader, self._mask = name, reader, mask or MaskFile()
        self._number, self._scalers = 0, Scalers()
        self._shown: SourceImage | None = None
        self._made_of: tuple[av.VideoFrame, Fitting] | None = None
        self._past: deque[tuple[float, av.VideoFrame]] = deque(maxlen=KEPT)

    @property
    def pictures(self) -> int:
        """Number of pictures so far."""
        return self._number

    def image(self, wanted: Wanted, now: float) -> SourceImage | None:
        """The picture for a frame, the same object until it changes. now: perf_counter. Raises SourceError."""
        snapshot = wanted.snapshot
        self.reader.prepare(wanted)
        delay = 0.001 * float(snapshot["source.delay"])
        frame = self._delayed(now, delay) if self.reader.live else self.reader.at(self._place(wanted, delay))
        if frame is None:
            return None
        made_of = frame, Fitting.of(snapshot, wanted.size, self._mask.mask(snapshot, wanted.size))
        if self._made_of is None or made_of[0] is not self._made_of[0] or made_of[1] != self._made_of[1]:
            self._number += 1
            try:
                self._shown = fitted(*made_of, self._scalers)
            except (av.FFmpegError, ValueError, MemoryError) as error:
                raise SourceError(f"source {self.reader.name}: cannot be scaled ({first_line(error)})") from error
            self._made_of = made_of
        return self._shown

    def _place(self, wanted: Wanted, delay: float) -> float:
        """Position in the loop in seconds, by the time played so far on the sound's clock."""
        length = self.reader.seconds
        if length <= 0:
            return wanted.params.source_time
        begin = float(wanted.snapshot["source.position"]) + wanted.params.source_rounds
        return (begin * length + wanted.params.source_time - delay + EXACT) % length

    def _delayed(self, now: float, delay: float) -> av.VideoFrame | None:
        """The newest picture of a camera that is at least `delay` seconds old, else the oldest that is kept."""
        newest = self.reader.at(0.0)
        if newest is not None and (not self._past or newest is not self._past[-1][1]):
            self._past.append((now, newest))
        while len(self._past) > 1 and self._past[1][0] <= now - delay:
            self._past.popleft()
        return self._past[0][1] if self._past else None


class OfflineSource:
    """Pictures for offline rendering: the same frame always gets the same picture."""

    def __init__(self, opener: Opener = open_source) -> None:
        self._opener = opener
        self._player: SourcePlayer | None = None
        self.line = ""
        """As `LiveSource.line`."""

    def image(
        self, params: FrameParams, snapshot: Snapshot, size: tuple[int, int], conditioning: Conditioning | None = None
    ) -> SourceImage | None:
        """As `ImageProvider.image`. Raises SourceError for a source that cannot be read, or that is live."""
        name = str(snapshot["source"]).strip()
        if name in NOTHING:
            return None
        player = self._player = self._open(name, float(snapshot["source.seconds"]))
        return player.image(Wanted(params, snapshot, size, conditioning), 0.0)

    def check(self, snapshot: Snapshot) -> None:
        """Raise SourceError as `image` would. Scenes are not checked: which scenes exist depends on the engine."""
        name = str(snapshot["source"]).strip()
        if name not in NOTHING and not name.startswith(SCENE):
            self._player = self._open(name, float(snapshot["source.seconds"]))

    def _open(self, name: str, seconds_each: float) -> SourcePlayer:
        if self._player is None or self._player.name != name:
            if is_live(name):
                remedy = "render a file, or record a show"
                raise SourceError(f"source {masked(name)}: what is live has no time of its own; {remedy}")
            self.close()
            return SourcePlayer(name, self._opener(name, seconds_each))
        return self._player

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._player is not None:
            self._player.reader.close()
            self._player = None
