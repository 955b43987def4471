"""Encodes frames and audio into a container that a subclass opens: a file or a stream."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Self

import numpy as np

from tpos_live.audio.source import RATE
from tpos_live.core.cores import use_heavy_nice
from tpos_live.core.errors import reason
from tpos_live.display.errors import DisplayError
from tpos_live.display.yuv_converter import YuvConverter

AAC_FRAME = 1024
AAC_BITS = 256_000
"""Bits per second. FFmpeg's encoder finds the quantisation by trial: a lower bit rate takes more attempts."""
AAC_OPTIONS = {"aac_ms": "0", "aac_is": "0", "aac_pns": "0", "aac_tns": "0"}
"""Coding tools that are off: mid/side stereo, intensity stereo, noise substitution, temporal noise shaping. 15 pieces
of music take 0.45 ms of processor time a frame; with all tools, at 192 kbit/s, they took 0.65 ms. The noise of five
pieces is 1 to 5 dB further below the masking threshold. The mid/side search alone takes 56 ms in place of 0.4 for a
frame where a tone follows digital silence. FFmpeg's fast coder (0.2 ms) clips: a bass at full scale comes out at 70 %
of its amplitude."""
LIVE_OPTIONS = "rc-lookahead=0:bframes=0:sync-lookahead=0:no-dct-decimate=1"
"""x264 options for low latency. no-dct-decimate: grain fills nearly all blocks, so x264 does not search for blocks with
few coefficients. This saves 0.2 to 0.35 ms a frame at 640x360, and adds no byte at the same error."""
LIVE = {
    "superfast": LIVE_OPTIONS,
    # Options that change the stream's headers are as in superfast, so that one file can contain both.
    "ultrafast": f"{LIVE_OPTIONS}:cabac=1:8x8dct=1:weightp=1:deblock=1,0,0",
}
"""x264 options by preset. Measured at 720p on one core of an AVX-512 Xeon: 12.3 and 5.4 ms per frame, 7.2 and 2.9
Mbit/s at the same crf."""


class AvWriter(ABC):
    """H.264 (yuv420p, BT.709) and AAC. The container is opened with the first frame or sample.

    A context manager of the subclass. One thread at a time.
    """

    live_options: Mapping[str, str] = LIVE

    def __init__(
        self,
        size: tuple[int, int],
        fps: float,
        *,
        sound: bool = True,
        rate: int = RATE,
        crf: float = 18,
        preset: str = "veryfast",
        threads: int = 0,
        live: bool = False,
        kbits: int = 0,
    ) -> None:
        """size: (width, height) of the frames; an odd row or column is left out (H.264 needs even sizes). threads: of
        the encoder, 0 = one per core; with a fixed number the file is reproducible. live: low latency, so that closing
        is fast; a written frame is not modified afterwards. kbits: limit of the image's kbit/s, 0 = none."""
        self.size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        self.fps = Fraction(fps).limit_denominator(1001)
        self.preset = preset
        self.frames_written = 0
        """Frames written."""
        self.frames = 0
        """Length so far in frames: the place of the last frame plus one."""
        self.samples = 0
        """Samples written, per channel."""
        self._frame_size = size
        self._rate, self._with_sound, self._live = rate, sound, live
        self._crf, self._threads, self._kbits = crf, threads, kbits
        self._rest: list[np.ndarray] = []
        """Samples that do not fill an AAC frame yet."""
        self._container: Any = None
        self._video: Any = None
        self._encoder: Any = None
        self._pixels: np.ndarray | None = None
        self._converted: Any = None
        self._key_at = 0
        """Index of the last forced key frame; frame 0 is a key frame anyway."""
        self._convert: YuvConverter | None = None
        self._audio: Any = None

    def __enter__(self) -> Self:
        """Raises DisplayError for frames that are too small, and without PyAV."""
        if min(self.size) < 2:
            raise DisplayError(
                f"a video of {self._frame_size[0]}x{self._frame_size[1]} pixels is too small; take 2x2 or more"
            )
        try:
            import av
        except ImportError as error:
            raise DisplayError("video needs PyAV: pip install av") from error
        self._av = av
        use_heavy_nice()  # before the encoder starts its threads, which inherit it
        return self

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        """Finish what is written."""

    @property
    @abstractmethod
    def target(self) -> str:
        """The file or address that is written, for messages."""

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return 0

    @abstractmethod
    def _open_container(self) -> Any:
        """A PyAV container for writing."""

    @abstractmethod
    def _failure(self, why: str) -> DisplayError:
        """The DisplayError for a failure of the system or of PyAV. why: the reason, one line."""

    def _open(self) -> None:
        with self._display_errors():
            self._container = self._open_container()
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
        if self._kbits:
            options |= {"maxrate": f"{self._kbits}k", "bufsize": f"{self._kbits}k"}
        if self._live:
            options["x264-params"] = self.live_options.get(preset, LIVE["superfast"])
        elif self._threads:
            # With its macroblock tree x264's output depended on the previous content of the memory, on
            # CPUs with AVX-512 and widths such as 160; without the tree it never did.
            options["x264-params"] = "no-mbtree=1"
        context.options = options
        return context

    def change_preset(self, preset: str) -> bool:
        """Continue in the same file with another preset of LIVE. False, without any change, if the stream's headers
        would differ. Raises DisplayError."""
        if self._container is None or not self._live:
            return False
        with self._display_errors():
            other = self._prepare(self._av.CodecContext.create("libx264", "w"), preset)
            if headers := self._video.codec_context.extradata:  # else each key frame has its own
                other.flags |= self._av.codec.context.Flags.global_header
            other.open()
            if headers and other.extradata != headers:
                return False
            self._mux_video(None)
            self._encoder, self.preset = other, preset
        return True

    def _open_audio(self) -> Any:
        stream = self._container.add_stream("aac", rate=self._rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.format = "fltp"
        stream.bit_rate = AAC_BITS
        stream.codec_context.options = AAC_OPTIONS
        return stream

    def write_frame(self, pixels: np.ndarray, place: int | None = None) -> None:
        """A frame: uint8 [height, width, 3]. Raises DisplayError, also for another size.

        place: index of the frame, above all earlier ones; None = the next index. A frame is shown until the next one,
        so left-out frames cost nothing.
        """
        height, width = pixels.shape[:2]
        if (width, height) != self._frame_size:
            raise DisplayError(
                f"{self.target} was begun with {self._frame_size[0]}x{self._frame_size[1]} pixels, "
                f"a frame of {width}x{height} does not fit; start another recording"
            )
        if self._container is None:
            self._open()
        with self._display_errors():
            if not self._live or pixels is not self._pixels:  # a live frame is not modified: the same array repeats
                self._convert = self._convert or YuvConverter(self.size)
                self._pixels = pixels
                self._converted = self._convert(pixels[: self.size[1], : self.size[0]])
            frame = self._converted
            frame.pts, frame.time_base = self.frames if place is None else place, 1 / self.fps
            if self._live:  # x264 counts frames, and a slow encoder gets few: force a key frame once a second
                key = frame.pts - self._key_at >= round(self.fps)
                self._key_at = frame.pts if key else self._key_at
                frame.pict_type = 1 if key else 0  # an I frame, or x264's choice
            self._mux_video(frame)
            self.frames = frame.pts + 1
        self.frames_written += 1

    def _mux_video(self, frame: Any) -> None:
        for packet in self._encoder.encode(frame):
            packet.stream = self._video
            self._container.mux(packet)

    def write_sound(self, stereo: np.ndarray) -> None:
        """The next samples: float32 [n, 2], -1 to 1; NaN becomes silence. Raises DisplayError."""
        if not self._with_sound or not len(stereo):
            return
        if self._container is None:
            self._open()
        self._rest.append(stereo)
        if sum(map(len, self._rest)) >= AAC_FRAME:
            self._encode_sound()

    def _encode_sound(self, *, all: bool = False) -> None:
        """Encode the waiting samples that fill AAC frames. all: also those of an incomplete last frame."""
        sound = np.concatenate(self._rest, dtype=np.float32).clip(-1, 1)
        if not np.isfinite(sound.sum()):  # a driver's NaN would be an error of the encoder, and the end of a recording
            sound = np.nan_to_num(sound)
        end = len(sound) - (0 if all else len(sound) % AAC_FRAME)
        with self._display_errors():
            for start in range(0, end, AAC_FRAME):
                planes = np.ascontiguousarray(sound[start : min(start + AAC_FRAME, end)].T)
                frame = self._av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
                frame.sample_rate = self._rate
                frame.pts, frame.time_base = self.samples, Fraction(1, self._rate)
                for packet in self._audio.encode(frame):
                    self._container.mux(packet)
                self.samples += planes.shape[1]
        self._rest = [sound[end:]]

    def _flush(self) -> None:
        """Encode the remaining audio, and flush both encoders."""
        if sum(map(len, self._rest)):
            self._encode_sound(all=True)
        self._mux_video(None)
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))

    @contextlib.contextmanager
    def _display_errors(self) -> Any:
        """Convert errors of PyAV and the system to one line."""
        try:
            yield
        except DisplayError:
            raise
        except (OSError, ValueError, self._av.FFmpegError) as error:
            if "libx264" in str(error):
                raise DisplayError("this PyAV has no H.264 encoder; pip install --force-reinstall av") from error
            raise self._failure(reason(error)) from error
