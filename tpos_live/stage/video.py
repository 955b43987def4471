"""Writes pictures and sound to an MP4 that can be played even if the process is killed."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np

from tpos_live.sound.source import RATE
from tpos_live.stage.errors import StageError

AAC_FRAME = 1024


class VideoWriter:
    """H.264 (yuv420p, BT.709) and AAC in fragmented MP4, a fragment every half second.

    It is written beside its place as `NAME.part.mp4` and renamed at a clean end; what a killed process
    leaves in the .part file plays up to its last fragment. A context manager: leaving it by an
    exception finishes the file as well. One thread at a time.
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
        """size: (width, height) of the pictures that come; an odd row or column is left out (H.264
        wants even sizes). threads: of the encoder, 0 = as many as there are cores; with a number the
        file is the same every time.
        live: hold few pictures back, so that the end comes at once.
        """
        self.path = Path(path)
        self.part = self.path.with_name(f"{self.path.stem}.part{self.path.suffix or '.mp4'}")
        self.size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        self.fps = Fraction(fps).limit_denominator(1001)
        self.pictures = 0
        """Pictures written."""
        self.samples = 0
        """Samples written, of each channel."""
        self._given = size
        self._rate, self._with_sound, self._live = rate, sound, live
        self._options = {"crf": str(crf), "preset": preset, "threads": str(threads)}
        self._rest = np.zeros((0, 2), np.float32)
        self._container: Any = None
        self._video: Any = None
        self._audio: Any = None

    def __enter__(self) -> Self:
        """Open the file. Raises StageError with the reason and the remedy."""
        if min(self.size) < 2:
            raise StageError(f"a video of {self._given[0]}x{self._given[1]} pixels is too small; take 2x2 or more")
        try:
            import av
        except ImportError as error:
            raise StageError("video needs PyAV: pip install av") from error
        self._av = av
        with self._speaking():
            self._file = _File(self.part)
            self._container = av.open(
                self._file,
                "w",
                format="mp4",
                options={
                    "movflags": "frag_keyframe+delay_moov+default_base_moof",
                    "frag_duration": "500000",
                    "flush_packets": "1",
                    "fflags": "+bitexact",
                },
            )
            self._video = self._open_video()
            self._audio = self._open_audio() if self._with_sound else None
            self._container.start_encoding()
        return self

    def _open_video(self) -> Any:
        stream = self._container.add_stream("libx264", rate=self.fps)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / self.fps
        context = stream.codec_context
        context.time_base = 1 / self.fps
        context.gop_size = max(1, round(self.fps))
        context.color_range, context.colorspace = 1, 1  # Limited range; BT.709 matrix ...
        context.color_primaries, context.color_trc = 1, 1  # ... primaries and curve.
        options = dict(self._options)
        if self._live:
            options["x264-params"] = "rc-lookahead=4:bframes=0:sync-lookahead=0"
        elif self._options["threads"] != "0":
            # With its macroblock tree x264 was measured to depend on what memory held before, on
            # CPUs with AVX-512 and widths such as 160; without the tree it never did.
            options["x264-params"] = "no-mbtree=1"
        stream.options = options
        return stream

    def _open_audio(self) -> Any:
        stream = self._container.add_stream("aac", rate=self._rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.format = "fltp"
        stream.bit_rate = 192_000
        return stream

    def write_frame(self, pixels: np.ndarray) -> None:
        """The next picture: uint8 [height, width, 3]. Raises StageError, also for another size."""
        height, width = pixels.shape[:2]
        if (width, height) != self._given:
            raise StageError(
                f"{self.path.name} was begun with {self._given[0]}x{self._given[1]} pixels, "
                f"a picture of {width}x{height} does not fit; start another recording"
            )
        with self._speaking():
            picture = self._av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels[: self.size[1], : self.size[0]]), format="rgb24"
            )
            picture = picture.reformat(format="yuv420p", src_colorspace="ITU709", dst_colorspace="ITU709")
            picture.pts, picture.time_base = self.pictures, 1 / self.fps
            for packet in self._video.encode(picture):
                self._container.mux(packet)
        self.pictures += 1

    def write_sound(self, stereo: np.ndarray) -> None:
        """The next samples: float32 [n, 2], -1 to 1. Raises StageError."""
        if self._audio is None:
            return
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
        """Finish the file and give it its name. Raises StageError if that fails."""
        if self._container is None:
            return
        broken = kind is not None and issubclass(kind, StageError)
        try:
            if not broken:
                if len(self._rest):
                    self._encode_sound(self._rest)
                with self._speaking():
                    for stream in (self._video, self._audio):
                        if stream is not None:
                            self._container.mux(stream.encode(None))
        finally:
            with contextlib.suppress(Exception) if broken else self._speaking():
                self._container.close()
            self._container = None
            self._file.close()
        if not broken:
            with self._speaking():
                if self._file.error is not None:
                    raise self._file.error
                self.part.replace(self.path)

    @contextlib.contextmanager
    def _speaking(self) -> Any:
        """Turn what PyAV and the system raise into one line for a person."""
        try:
            yield
        except StageError:
            raise
        except (OSError, ValueError, self._av.FFmpegError) as error:
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            if "libx264" in str(error):
                why = "this PyAV has no H.264 encoder; pip install --force-reinstall av"
            raise StageError(f"cannot write {self.part}: {why}; choose another folder or make room") from error


class _File:
    """A file that remembers what went wrong: the muxer forgets some errors, above all at the end."""

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Save a picture, uint8 [height, width, 3], as PNG: under a temporary name, then renamed.

    Raises StageError with the reason.
    """
    from PIL import Image

    part = Path(path).with_name(f"{Path(path).stem}.part.png")
    try:
        Image.fromarray(pixels).save(part, compress_level=3)
        part.replace(path)
    except OSError as error:
        raise StageError(
            f"cannot save {path}: {error.strerror or error}; choose another folder or make room"
        ) from error
