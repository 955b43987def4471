"""Clips, pictures and cameras give one picture at a time, and errors are reported in one line."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.clips import number_of, numbered, write_clip
from PIL import Image

from tpos_live.core.settings_file import SettingsError
from tpos_live.display.errors import DisplayError
from tpos_live.display.logo import Logo
from tpos_live.image_source import clip as clip_module
from tpos_live.image_source import pictures
from tpos_live.image_source.camera import PATIENCE, STALLED, Attempt, Camera, address_of
from tpos_live.image_source.clip import LONGEST_REST, Clip
from tpos_live.image_source.open import open_source, why_refused
from tpos_live.image_source.pictures import Pictures
from tpos_live.image_source.reader import Reader, SourceError
from tpos_live.runtime.show_keeper import check_show_file


def number(reader: Reader, seconds: float) -> int:
    frame = reader.at(seconds)
    assert frame is not None
    return number_of(frame.to_ndarray(format="rgb24"))


def test_every_picture_of_a_clip_has_its_time_round_after_round(tmp_path: Path) -> None:
    clip = Clip(write_clip(tmp_path / "clip.mp4", 50))
    assert clip.seconds == pytest.approx(2.0, abs=0.05)
    for n in range(200):
        assert number(clip, (n + 0.5) / 25 % 2.0) == n % 50
    clip.close()


def test_any_place_of_a_clip_can_be_had(tmp_path: Path) -> None:
    clip = Clip(write_clip(tmp_path / "clip.mp4", 200, keyframes=40))
    rng = random.Random(4)
    for _ in range(60):
        n = rng.randrange(200)
        assert number(clip, (n + rng.uniform(0.05, 0.95)) / 25) == n


def test_a_far_place_is_reached_without_the_pictures_that_no_other_needs(tmp_path: Path) -> None:
    clip = Clip(write_clip(tmp_path / "clip.mp4", 200, keyframes=250))
    decoded, decode = [], clip._decoded
    clip._decoded = lambda: decoded.append(1) or decode()  # type: ignore[method-assign]
    assert number(clip, 199.5 / 25) == 199
    assert len(decoded) < 150
    assert [number(clip, (n + 0.5) / 25) for n in range(100, 120)] == list(range(100, 120))


def test_a_gentle_clip_rests_between_pictures_that_nobody_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(clip_module.time, "sleep", rests.append)
    clip = Clip(write_clip(tmp_path / "clip.mp4", 100, keyframes=250))
    assert number(clip, 90.5 / 25) == 90 and not rests
    clip.gentle = True
    assert number(clip, 80.5 / 25) == 80
    assert len(rests) > 10 and max(rests) <= LONGEST_REST
    rests.clear()
    assert [number(clip, (n + 0.5) / 25) for n in range(81, 95)] == list(range(81, 95))
    assert not rests, "each of them is seen"


def test_pictures_of_a_variable_rate_stay_until_the_next_one(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 0.6, 1.5]
    clip = Clip(write_clip(tmp_path / "clip.mkv", 6, times=times))
    for n, begin in enumerate(times[:-1]):
        for at in (begin + 0.001, (begin + times[n + 1]) / 2, times[n + 1] - 0.002):
            assert number(clip, at) == n
    assert number(clip, 1.55) == 5


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.webm", "libvpx-vp9", "yuv420p"), ("a.mov", "prores_ks", "yuva444p10le"), ("a.mkv", "libx265", "yuv420p10le"),
     ("a.avi", "mpeg4", "yuv420p"), ("a.mov", "qtrle", "rgb24"), ("no-times.h264", "libx264", "yuv420p")],
)  # fmt: skip
def test_kinds_of_clips(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    clip = Clip(write_clip(tmp_path / name, 30, codec=codec, pix_fmt=pix_fmt))
    assert [number(clip, (n + 0.5) / 25) for n in (0, 7, 29, 3)] == [0, 7, 29, 3]


def test_damage_within_a_clip_does_not_end_it(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", 100, keyframes=10)
    data = bytearray(path.read_bytes())
    rng = random.Random(1)
    for _ in range(20):
        data[rng.randrange(len(data) // 3, 2 * len(data) // 3)] ^= 0xFF
    path.write_bytes(data)
    clip = Clip(path)
    for n in range(150):
        assert clip.at(n / 25 % max(clip.seconds, 0.1)) is not None
    assert number(clip, 0.1) == 2


@pytest.mark.parametrize("content", [b"", b"this is not a video\n" * 50, bytes(range(256)) * 40])
def test_what_is_no_clip_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        open_source(str(path), 4.0)
    assert "clip.mp4" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_no_clip_is_said_in_the_words_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a clip")
    with pytest.raises(SourceError) as raised:
        open_source(str(tmp_path / "notes.mp4"), 4.0)
    assert str(raised.value).startswith("source notes.mp4: cannot be read (Invalid data found when processing input); ")


def test_a_sound_is_no_clip(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(4800, np.float32), 48000)
    with pytest.raises(SourceError, match="has no video"):
        open_source(str(tmp_path / "a.wav"), 4.0)


@pytest.mark.parametrize("name", ["nothing.mp4", "/dev/null", "\0", "a" * 5000, "~nobody/clip.mp4", "scene:fire"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(name, 4.0)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 250


def test_a_folder_goes_round_in_the_order_of_names(tmp_path: Path) -> None:
    for n, name in enumerate(["a.png", "b.jpg", "c.webp", "d.bmp"], 3):
        Image.fromarray(numbered(n)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    source = open_source(str(tmp_path), 0.5)
    assert isinstance(source, Pictures) and source.seconds == 2.0
    assert [number(source, at) for at in (0.0, 0.49, 0.5, 1.2, 1.99, 0.1)] == [3, 3, 4, 5, 6, 3]


def test_a_broken_picture_is_left_out_whichever_comes_first(tmp_path: Path, messages: list[str]) -> None:
    for n in range(4):
        Image.fromarray(numbered(n)).save(tmp_path / f"{n}.png")
    (tmp_path / "2.png").write_bytes(b"broken")
    forwards, at_once = Pictures(tmp_path, 1.0), Pictures(tmp_path, 1.0)
    assert [number(forwards, n + 0.5) for n in range(4)] == [0, 1, 1, 3]
    assert number(at_once, 2.5) == 1
    assert len(messages) == 2 and all("2.png" in line for line in messages)


def test_a_picture_that_is_deleted_while_it_is_opened_is_no_broken_one(
    tmp_path: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        Image.fromarray(numbered(n)).save(tmp_path / f"{n}.png")
    source, kept = Pictures(tmp_path, 1.0), (tmp_path / "1.png").read_bytes()
    read = pictures.read_picture

    def delete_and_read(path: Path) -> av.VideoFrame:
        if path.name == "1.png":
            path.unlink()
        return read(path)

    monkeypatch.setattr(pictures, "read_picture", delete_and_read)
    assert number(source, 1.5) == 0 and messages == []
    monkeypatch.setattr(pictures, "read_picture", read)
    (tmp_path / "1.png").write_bytes(kept)
    assert [number(source, n + 0.5) for n in (2, 1)] == [2, 1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_picture_and_is_never_opened(tmp_path: Path) -> None:
    """Without a program that writes into it, opening it waits for ever."""
    os.mkfifo(tmp_path / "a.png")
    for name, words in ((tmp_path, "has no pictures"), (tmp_path / "a.png", "device or a pipe"), ("/dev/zero", "pipe")):
        with pytest.raises(SourceError, match=words):
            open_source(str(name), 4.0)
    with pytest.raises(DisplayError, match="a device or a pipe"):
        Logo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(SettingsError, match="a device or a pipe"):
        check_show_file(tmp_path / "a.toml")


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no pictures"):
        open_source(str(tmp_path), 4.0)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="none of its 2 pictures"):
        open_source(str(tmp_path), 4.0)


def test_a_still_stays(tmp_path: Path) -> None:
    Image.fromarray(numbered(9)).save(tmp_path / "a.png")
    still = open_source(str(tmp_path / "a.png"), 4.0)
    assert still.seconds == 0.0 and still.at(0.0) is still.at(1000.0)


def test_a_camera_gives_its_newest_picture() -> None:
    camera = Camera("lavfi:testsrc2=size=160x120:rate=30")
    seen, begin = set(), time.monotonic()
    while time.monotonic() - begin < 1.0:
        frame = camera.at(0.0)
        assert frame is not None and (frame.width, frame.height) == (160, 120)
        seen.add(frame.pts)
        time.sleep(0.005)
    camera.close()
    assert 15 <= len(seen) <= 45  # 30 a second, neither fewer nor as fast as they can be made


@pytest.mark.parametrize("name", ["lavfi:no_such_filter", "camera:/dev/null", "camera:77", "tcp://127.0.0.1:9"])
def test_a_camera_that_is_not_there(name: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(name, 4.0)
    assert "check the camera" in str(raised.value) and "\n" not in str(raised.value)


def test_a_stream_by_srt_says_how_it_is_passed_on() -> None:
    with pytest.raises(SourceError, match="take udp://"):
        open_source("srt://127.0.0.1:9", 4.0)


@pytest.mark.parametrize(
    "name",
    [
        "tcp://admin:geheim@127.0.0.1:9/geheim?token=geheim",
        "rtsp://geheim:geheim@127.0.0.1:9/geheim",
        "rtmp://127.0.0.1:9/live/geheim",
        "tcp://u:geheim@no-such-host.invalid:9",
        "https://u:geheim@127.0.0.1/geheim.mjpg",
    ],
)
def test_no_line_shows_the_password_of_a_camera(name: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(name, 4.0)
    assert "geheim" not in str(raised.value)
    assert "geheim" not in why_refused(name, "", Path("/nowhere"))


def test_names_of_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address_of("rtsp://10.0.0.7/live") == ("rtsp://10.0.0.7/live", None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert address_of("camera") == ("/dev/video0", "v4l2") and address_of("camera:2") == ("/dev/video2", "v4l2")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert address_of("camera:FaceTime HD") == ("FaceTime HD", "avfoundation")
    monkeypatch.setattr(sys, "platform", "win32")
    assert address_of("camera:OBS Virtual Camera") == ("video=OBS Virtual Camera", "dshow")
    with pytest.raises(SourceError, match="camera:NAME"):
        address_of("camera:0")


class Sender:
    """A network camera: another process that sends pictures by UDP and can be killed."""

    SCRIPT = """
import sys, time
import av, numpy

with av.open(sys.argv[1], "w", format="mpegts") as out:
    stream = out.add_stream("mpeg2video", rate=25, options={"g": "5"})
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    for n in range(25 * 60):
        pixels = numpy.full((120, 160, 3), n % 200, numpy.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        time.sleep(0.04)
"""

    def __init__(self, port: int) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", self.SCRIPT, f"udp://127.0.0.1:{port}"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def test_a_camera_that_stalls_is_opened_again_and_the_last_picture_stays(messages: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sender = Sender(port)
    try:
        camera = Camera(f"udp://127.0.0.1:{port}")
        last = camera.at(0.0)
        assert last is not None and not camera.trouble
        sender.kill()
        _wait(lambda: camera.at(0.0) is not None and "last picture stays" in camera.trouble)
        sender = Sender(port)
        _wait(lambda: bool(camera.at(0.0) and not camera.trouble))
        camera.close()
    finally:
        sender.kill()
    told = [line for line in messages if "udp://" in line]
    assert "last picture stays" in told[0] and "is back" in told[-1]


def test_an_attempt_that_is_still_being_opened_is_not_disturbed() -> None:
    """It holds the port of the UDP stream, so another attempt could only fail."""

    class Opening(Attempt):
        def _read(self) -> str:
            begun.append(self)
            if len(begun) == 1:
                self._put(av.VideoFrame(16, 16, "rgb24"))
                return "has ended"
            self.opening = True
            self._stop.wait(20.0)
            return ""

    begun, now = list[Opening](), 0.0
    camera = Camera("fake", lambda: now, Opening)
    assert camera.at(0.0) is not None
    now = 1.0
    camera.at(0.0)
    assert camera.trouble
    _wait(lambda: len(begun) == 2 and begun[1].opening)
    for _ in range(100):  # 10 s
        now += 0.1
        camera.at(0.0)
    assert len(begun) == 2
    now += PATIENCE + STALLED  # it hangs
    camera.at(0.0)
    _wait(lambda: len(begun) == 3)
    camera.close()


def _wait(happened, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)
