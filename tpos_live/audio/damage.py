"""Finds damage in Ogg and MP3 files, which libsndfile skips silently."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tpos_live.audio.decoders import DecodeError, open_container

_MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SHORTEST_PAGE = 1000
"""Smallest gap in samples that counts as a lost Ogg page."""


class DamageCheck:
    """Scans an Ogg or MP3 file ahead of decoding. libsndfile skips damaged parts, so all later audio would be early."""

    def __init__(self, path: Path) -> None:
        """Raises DecodeError for a file that FFmpeg cannot open."""
        import av

        try:
            self._container: Any = open_container(path)
            stream = self._container.streams.audio[0]
        except (av.FFmpegError, OSError, IndexError) as error:
            raise DecodeError(str(error)) from error
        self._ends = self._packet_ends(stream, av.FFmpegError)
        self._checked = 0.0
        self.damage: float | None = None
        """Position of the first damage in seconds, None while none is found."""

    def scan(self, until: float) -> None:
        """Scan up to `until` seconds."""
        while self.damage is None and self._checked < until:
            self._checked = next(self._ends, float("inf"))

    def close(self) -> None:
        self._container.close()

    def _packet_ends(self, stream: Any, failure: type[Exception]) -> Iterator[float]:
        """The end of each packet in seconds, up to the first damage."""
        is_mp3 = stream.codec_context.name.startswith("mp3")
        origin = float((stream.start_time or 0) * stream.time_base)
        end = None
        try:
            for packet in self._container.demux(stream):
                if packet.pts is None or packet.duration is None:
                    continue
                start = float(packet.pts * packet.time_base) - origin
                # Where short Vorbis blocks meet long ones, FFmpeg's durations are up to 960 samples short.
                lost = end is not None and start - end > _SHORTEST_PAGE / stream.rate
                if lost or (is_mp3 and end is not None and mp3_length(bytes(packet)[:4]) != packet.size):
                    self.damage = end
                    return
                end = start + float(packet.duration * packet.time_base)
                yield end
        except failure:
            return


def mp3_length(header: bytes) -> int:
    """Bytes of the MPEG layer III frame with this header of 4 bytes, 0 if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0 or header[1] & 0x06 != 0x02:
        return 0
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    first = version == 3  # MPEG-1; 2 and 2.5 have half the samples a frame and lower rates
    kbits = (_MPEG1_KBITS if first else _MPEG2_KBITS)[bits]
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if first else 72_000) * kbits // hertz + (header[2] >> 1 & 1)
