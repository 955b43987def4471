"""Writes frames and audio to an MP4 that is playable even if the process is killed."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.core.errors import reason
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import OutputFile, check_folder

AAC_FRAME = 1024
LIVE = {
    "superfast": "rc-lookahead=4:bframes=0:sync-lookahead=0",
    # Options that change the stream's headers are as in superfast, so that one file can contain both.
    "ultrafast": "rc-lookahead=0:bframes=0:sync-lookahead=0:cabac=1:8x8dct=1:weightp=1",
}
"""x264 options by preset for low latency. Measured at 720p on one core of an AVX-512 Xeon: 12.3 and 5.4 ms per frame
(plus 4 ms to convert it), 7.2 and 2.9 Mbit/s at the same crf."""


class VideoWriter:
    """H.264 (yuv420p, BT.709) and AAC in fragmented MP4, one fragment per quarter of a second.

    Written as `NAME.part.mp4` and renamed at a clean end, with a number where such a file exists. After an exception
    the part keeps its name, finished as far as possible; the part of a killed process plays up to its last fragment. No
    file is created before the first frame or sample. A context manager. One thread at a time.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        *,
        sound: bool = True,
        rate: int = RATE,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int = 0,
        live: bool = False,
    ) -> None:
        """size: (width, height) of the frames; an odd row or column is left out (H.264 needs even sizes). threads: of
        the encoder, 0 = one per core; with a fixed number the file is reproducible. live: low latency, so that closing
        is fast; a written frame is not modified afterwards."""
        self.output = OutputFile(Path(path))
        self.size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        self.fps = Fraction(fps).limit_denominator(1001)
        self.preset = preset
        self.frames_written = 0
        """Frames written."""
        self.frames = 0
        """Length so far in frames: the place of the last frame plus one."""
        self.samples = 0
        """Samples written, per channel."""
        self._given = size
        self._rate, self._with_sound, self._live = rate, sound, live
        self._crf, self._threads = crf, threads
        self._rest = np.zeros((0, 2), np.float32)
        self._container: Any = None
        self._video: Any = None
        self._encoder: Any = None
        self._pixels: np.ndarray | None = None
        self._converted: Any = None
        self._audio: Any = None
        self._file: _File | None = None

    @property
    def path(self) -> Path:
        """The final name; fixed once something was written."""
        return self.output.path

    @property
    def part(self) -> Path:
        """The name until then."""
        return self.output.part

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._file.written if self._file is not None else 0

    def __enter__(self) -> Self:
        """Check that a file can be written there. Raises DisplayError with the reason and the remedy."""
        if min(self.size) < 2:
            raise DisplayError(f"a video of {self._given[0]}x{self._given[1]} pixels is too small; take 2x2 or more")
        check_folder(self.output.wanted.parent)
        try:
            import av
        except ImportError as error:
            raise DisplayError("video needs PyAV: pip install av") from error
        self._av = av
        return self

    def _open(self) -> None:
        with self._speaking():
            self._file = _File(self.output.open())
            self._container = self._av.open(
                self._file,
                "w",
                format="mp4",
                options={
                    "movflags": "frag_keyframe+delay_moov+default_base_moof",
                    "frag_duration": "250000",
                    "flush_packets": "1",
                    "fflags": "+bitexact",
                },
            )
            self._video = self._container.add_stream("libx264", rate=self.fps)
            self._video.time_base = 1 / self.fps
            self._encoder = self._prepare(self._video.codec_context, self.preset)
            self._audio = self._open_audio() if self._with_sound else None
            self._container.start_encoding()

    def _prepare(self, context: Any, preset: str) -> Any:
        context.width, context.height = self.size
        context.pix_fmt = "yuv420p"
        context.time_base, context.framerate = 1 / self.fps, self.fps
        context.gop_size = max(1, round(self.fps))
        context.color_range, context.colorspace = 1, 1  # Limited range; BT.709 matrix ...
        context.color_primaries, context.color_trc = 1, 1  # ... primaries and curve.
        options = {"crf": str(self._crf), "preset": preset, "threads": str(self._threads)}
        if self._live:
            options["x264-params"] = LIVE.get(preset, LIVE["superfast"])
        elif self._threads:
            # With its macroblock tree x264 was measured to depend on what memory held before, on
            # CPUs with AVX-512 and widths such as 160; without the tree it never did.
            options["x264-params"] = "no-mbtree=1"
        context.options = options
        return context

    def change_preset(self, preset: str) -> bool:
        """Continue in the same file with another preset of LIVE. False, without any change, if the stream's headers
        would differ. Raises DisplayError."""
        if self._container is None or not self._live:
            return False
        with self._speaking():
            other = self._prepare(self._av.CodecContext.create("libx264", "w"), preset)
            other.flags |= self._av.codec.context.Flags.global_header
            other.open()
            if other.extradata != self._video.codec_context.extradata:
                return False
            self._mux_video(None)
            self._encoder, self.preset = other, preset
        return True

    def _open_audio(self) -> Any:
        stream = self._container.add_stream("aac", rate=self._rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.format = "fltp"
        stream.bit_rate = 192_000
        return stream

    def write_frame(self, pixels: np.ndarray, place: int | None = None) -> None:
        """A frame: uint8 [height, width, 3]. Raises DisplayError, also for another size.

        place: frame index at which it begins, above the earlier ones; None = the next one. A frame stays until the next
        one begins, so left-out frames cost nothing.
        """
        height, width = pixels.shape[:2]
        if (width, height) != self._given:
            raise DisplayError(
                f"{self.path.name} was begun with {self._given[0]}x{self._given[1]} pixels, "
                f"a frame of {width}x{height} does not fit; start another recording"
            )
        if self._container is None:
            self._open()
        with self._speaking():
            if not self._live or pixels is not self._pixels:  # a live frame is not modified: it may repeat
                self._pixels, self._converted = pixels, self._convert(pixels)
            frame = self._converted
            frame.pts, frame.time_base = self.frames if place is None else place, 1 / self.fps
            self._mux_video(frame)
            self.frames = frame.pts + 1
        self.frames_written += 1

    def _convert(self, pixels: np.ndarray) -> Any:
        frame = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(pixels[: self.size[1], : self.size[0]]), format="rgb24"
        )
        return frame.reformat(format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709")

    def _mux_video(self, frame: Any) -> None:
        for packet in self._encoder.encode(frame):
            packet.stream = self._video
            self._container.mux(packet)

    def write_sound(self, stereo: np.ndarray) -> None:
        """The next samples: float32 [n, 2], -1 to 1. Raises DisplayError."""
        if not self._with_sound or not len(stereo):
            return
        if self._container is None:
            self._open()
        self._rest = np.concatenate([self._rest, np.asarray(stereo, np.float32)])
        whole = len(self._rest) - len(self._rest) % AAC_FRAME
        for start in range(0, whole, AAC_FRAME):
            self._encode_sound(self._rest[start : start + AAC_FRAME])
        self._rest = self._rest[whole:]

    def _encode_sound(self, stereo: np.ndarray) -> None:
        with self._speaking():
            planes = np.ascontiguousarray(np.clip(stereo, -1, 1).T)
            sound = self._av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
            sound.sample_rate = self._rate
            sound.pts, sound.time_base = self.samples, Fraction(1, self._rate)
            for packet in self._audio.encode(sound):
                self._container.mux(packet)
        self.samples += len(stereo)

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Finish the file, and rename it unless there was an exception. Raises DisplayError if that fails."""
        if self._container is None:
            if self._file is not None:
                self._file.close()
                self.output.discard()
            return
        try:
            with contextlib.suppress(Exception) if kind is not None else self._speaking():
                if len(self._rest):
                    self._encode_sound(self._rest)
                self._mux_video(None)
                if self._audio is not None:
                    self._container.mux(self._audio.encode(None))
        finally:
            with contextlib.suppress(Exception) if kind is not None else self._speaking():
                self._container.close()
            self._container = None
            assert self._file is not None
            self._file.close()
        if kind is not None:
            if not self.frames_written:
                self.output.discard()
            return
        with self._speaking():
            if self._file.error is not None:
                raise self._file.error
            self.output.finish()

    @contextlib.contextmanager
    def _speaking(self) -> Any:
        """Convert errors of PyAV and the system to one line."""
        try:
            yield
        except DisplayError:
            raise
        except (OSError, ValueError, self._av.FFmpegError) as error:
            why = reason(error)
            if "libx264" in str(error):
                why = "this PyAV has no H.264 encoder; pip install --force-reinstall av"
            raise DisplayError(f"cannot write {self.part}: {why}; choose another folder or make room") from error


def fit(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`pixels`, uint8 [height, width, 3], scaled to fit `size` (width, height), centred on black."""
    import av

    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(scale * width), 1), max(round(scale * height), 1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    small = frame.reformat(width=inner[0], height=inner[1]).to_ndarray()
    out = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    out[y : y + inner[1], x : x + inner[0]] = small
    return out


class _File:
    """A file that keeps its first error: the muxer loses some, above all at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self.written = 0
        self._file = file

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        self.written += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
