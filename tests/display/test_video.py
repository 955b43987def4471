"""Files that play: in sync, at every size, even after a kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from fakes.full_disk import full_disk
from images import field, flat

from tpos_live.display import recorder, stream_output
from tpos_live.display.av_writer import LIVE, AvWriter
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import check_image, save_image
from tpos_live.display.recorder import Recorder
from tpos_live.display.stream_output import StreamOutput
from tpos_live.display.stream_writer import StreamWriter
from tpos_live.display.video import VideoWriter


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as file:
        return [(float(p.time or 0), p.to_ndarray(format="rgb24")) for p in file.decode(video=0)]


def sound_of(path: Path) -> np.ndarray:
    """float32 [n, 2] from time 0."""
    with av.open(str(path)) as file:
        blocks = [(float(b.time or 0), b.to_ndarray()) for b in file.decode(audio=0)]
    start = round(blocks[0][0] * 48000)
    return np.concatenate([block for _, block in blocks], 1).T[max(0, -start) :]


def write(path: Path, size: tuple[int, int] = (160, 90), count: int = 60, fps: float = 30, **options: object) -> None:
    with VideoWriter(path, size, fps, threads=1, **options) as writer:  # type: ignore[arg-type]
        for k in range(count):
            flash = k == count // 2
            writer.write_frame(np.full((size[1], size[0], 3), 240 if flash else 20, np.uint8))
            sound = np.zeros((round(48000 / fps), 2), np.float32)
            sound[:200] = 0.9 * flash
            writer.write_sound(sound)


@pytest.mark.parametrize("live", [False, True])
def test_count_rate_length_and_sync(tmp_path: Path, live: bool) -> None:
    path = tmp_path / "a.mp4"
    write(path, live=live)
    shown, sound = frames_of(path), sound_of(path)
    assert len(shown) == 60 and shown[0][0] == 0
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        assert video.average_rate == 30 and video.codec_context.name == "h264"
        assert video.codec_context.pix_fmt == "yuv420p"
        assert (video.codec_context.colorspace, video.codec_context.color_trc) == (1, 1)
        assert file.streams.audio[0].codec_context.name == "aac"
        assert (file.duration or 0) / 1e6 == pytest.approx(2, abs=0.05)
    flash = next(at for at, frame in shown if frame.mean() > 150)
    click = np.argmax(np.abs(sound[:, 0]) > 0.3) / 48000
    assert flash == pytest.approx(1.0, abs=0.001)
    assert abs(click - flash) < 0.005
    assert not list(tmp_path.glob("*.part*"))


def test_colours_survive(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    pixels = np.zeros((96, 192, 3), np.uint8)
    pixels[:, :64], pixels[:, 64:128], pixels[:, 128:] = (200, 40, 30), (30, 180, 60), (40, 60, 210)
    with VideoWriter(path, (192, 96), 30, sound=False) as writer:
        for _ in range(5):
            writer.write_frame(pixels)
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        rgb = frame.reformat(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU709").to_ndarray()
    for x in (32, 96, 160):
        assert np.abs(rgb[48, x].astype(int) - pixels[48, x]).max() <= 6


@pytest.mark.parametrize("size", [(161, 91), (2, 2), (3, 64)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.mp4"
    write(path, size, 4)
    shape = frames_of(path)[0][1].shape
    assert shape == (size[1] - size[1] % 2, size[0] - size[0] % 2, 3)


@pytest.mark.parametrize("fps", [24, 25, 29.97, 60])
def test_rates(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "a.mp4"
    write(path, count=20, fps=fps)
    times = [at for at, _ in frames_of(path)]
    assert np.diff(times) == pytest.approx(1 / fps, rel=0.02)


@pytest.mark.parametrize("size", [(160, 90), (160, 96), (320, 180)])
def test_the_same_frames_give_the_same_file(tmp_path: Path, size: tuple[int, int]) -> None:
    shown, files = [field(k, size) for k in range(3)], set()
    for run in range(4):
        path = tmp_path / f"{run}.mp4"
        with VideoWriter(path, size, 30, threads=2) as writer:
            for k in range(20):
                writer.write_frame(shown[k % 3])
                writer.write_sound(np.full((1600, 2), 0.1 * (k % 2), np.float32))
        files.add(path.read_bytes())
        frames_of(path)  # Fills memory that the next run reuses.
    assert len(files) == 1


def test_sound_of_any_block_size_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    tone = np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000).astype(np.float32)[:, None].repeat(2, 1)
    with VideoWriter(path, (64, 64), 30) as writer:
        for k in range(30):
            writer.write_frame(flat(k))
        for start in range(0, 48000, 777):
            writer.write_sound(tone[start : start + 777])
        writer.write_sound(np.zeros((0, 2), np.float32))
    heard = sound_of(path)
    assert len(heard) >= 47900
    assert np.corrcoef(heard[2000:46000, 0], tone[2000:46000, 0])[0, 1] > 0.99


_KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from tpos_live.display.video import VideoWriter
with VideoWriter(Path(sys.argv[1]), (160, 90), 30, threads=1) as writer:
    for k in range(150):
        writer.write_frame(np.full((90, 160, 3), k, np.uint8))
        writer.write_sound(np.zeros((1600, 2), np.float32))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_leaves_a_playable_part(tmp_path: Path) -> None:
    path = tmp_path / "show.mp4"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    shown = frames_of(tmp_path / "show.part.mp4")
    assert 60 <= len(shown) <= 150
    assert len(sound_of(tmp_path / "show.part.mp4")) > 48000


def test_after_an_exception_the_part_keeps_its_name_and_plays(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("an older film")
    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(tmp_path / "a.mp4", (64, 64), 30) as writer,
    ):
        for k in range(10):
            writer.write_frame(flat(k))
        raise KeyboardInterrupt
    assert (tmp_path / "a.mp4").read_text() == "an older film" and not (tmp_path / "a-2.mp4").exists()
    assert len(frames_of(tmp_path / "a-2.part.mp4")) == 10


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_written_is_no_file(tmp_path: Path, fails: bool) -> None:
    (tmp_path / "a.mp4").write_text("good")
    with contextlib.suppress(ValueError), VideoWriter(tmp_path / "a.mp4", (64, 64), 30):
        if fails:
            raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_text() == "good"


@pytest.mark.parametrize("hz", [55, 440, 2354])
def test_a_loud_pure_tone_keeps_its_amplitude(tmp_path: Path, hz: int) -> None:
    """FFmpeg's fast coder clips it."""
    tone = 0.9 * np.sin(2 * np.pi * hz * np.arange(2 * 48000) / 48000)
    with VideoWriter(tmp_path / "a.mp4", (64, 64), 30, live=True, preset="ultrafast") as writer:
        writer.write_frame(flat(1, (64, 64)))
        for start in range(0, len(tone), 240):
            writer.write_sound(np.repeat(tone[start : start + 240, None], 2, 1).astype(np.float32))
    heard = sound_of(tmp_path / "a.mp4")[24000:72000]
    assert np.sqrt(2 * np.square(heard).mean()) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_does_not_end_the_file(tmp_path: Path, bad: float) -> None:
    sound = np.full((4800, 2), 0.1, np.float32)
    sound[2000:2003] = bad
    with VideoWriter(tmp_path / "x.mp4", (64, 64), 30) as writer:
        writer.write_frame(np.zeros((64, 64, 3), np.uint8))
        writer.write_sound(sound)
    assert writer.samples == 4800 and writer.path.is_file()


def test_frames_that_are_left_out_keep_the_length(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    places = [0, 1, 2, 30, 31, 75, 119]
    with VideoWriter(path, (64, 64), 30, live=True, preset="superfast") as writer:
        for place_image in places:
            writer.write_frame(flat(place_image * 2), place_image)
        writer.write_sound(np.zeros((4 * 48000, 2), np.float32))
    shown = frames_of(path)
    assert [round(at * 30) for at, _ in shown] == places
    assert all(abs(frame.mean() - 2 * place_image) < 3 for (_, frame), place_image in zip(shown, places, strict=True))
    with av.open(str(path)) as file:
        assert (file.duration or 0) / 1e6 == pytest.approx(4.0, abs=0.05)
    assert len(sound_of(path)) >= 4 * 48000


@pytest.mark.parametrize("size", [(160, 90), (1280, 720), (1920, 1080)])
def test_one_file_holds_both_presets(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.mp4"
    first, second = LIVE
    with VideoWriter(path, size, 30, live=True, preset=first, threads=1) as writer:
        for k in range(6):
            if k in (2, 4):
                assert writer.change_preset(second if k == 2 else first)
            writer.write_frame(flat(20 + 30 * k, size))
    shown = frames_of(path)
    assert [round(at * 30) for at, _ in shown] == list(range(6))
    assert all(abs(frame.mean() - 20 - 30 * k) < 4 for k, (_, frame) in enumerate(shown))


def test_a_stream_is_as_accurate_as_a_recording(tmp_path: Path) -> None:
    """Its encoder takes 55 % of the processor time; the same quality is seen in each frame's error."""
    size, rng = (320, 192), np.random.default_rng(3)
    y, x = np.mgrid[: size[1], : size[0]]
    frames = []
    for n in range(20):
        light = 70 + 60 * np.sin((x + 3 * n) / 23) * np.cos((y - n) / 17) + rng.normal(0, 3, x.shape)
        frames.append(np.repeat(light.clip(0, 255)[..., None], 3, 2).astype(np.uint8))
    errors = []
    for name, output in (("file", Recorder), ("stream", StreamOutput)):
        options = {"preset": output.presets[0], "crf": (recorder if output is Recorder else stream_output).CRF}
        with VideoWriter(tmp_path / f"{name}.mp4", size, 30, sound=False, live=True, threads=1, **options) as writer:
            writer.live_options = (AvWriter if output is Recorder else StreamWriter).live_options
            for frame in frames:
                writer.write_frame(frame)
        found = [frame.astype(float) for _, frame in frames_of(tmp_path / f"{name}.mp4")]
        errors.append(np.mean([np.square(a - b).mean() for a, b in zip(found, frames, strict=True)]))
    assert errors[1] < 1.1 * errors[0]


def test_there_is_a_key_frame_every_second_also_of_a_slow_encoder(tmp_path: Path) -> None:
    """A viewer who joins a stream sees it from the next key frame on."""
    pixels = field(1, (160, 96))
    with VideoWriter(tmp_path / "a.mp4", (160, 96), 30, sound=False, live=True, preset="ultrafast") as writer:
        for place in range(0, 180, 5):  # 6 frames per second, among them one that repeats
            writer.write_frame(pixels if place % 10 else field(place, (160, 96)), place)
    with av.open(str(tmp_path / "a.mp4")) as file:
        keys = [
            round(30 * float(packet.pts * packet.time_base)) for packet in file.demux(video=0) if packet.is_keyframe
        ]
    assert max(b - a for a, b in pairwise([*keys, 180])) <= 30 and len(keys) <= 8


def test_bad_places_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no" / "a.mp4", tmp_path / "file" / "a.mp4"):
        with pytest.raises(DisplayError) as caught, VideoWriter(path, (64, 64), 30):
            pass
        assert "\n" not in str(caught.value) and path.name.removesuffix(".mp4") in str(caught.value)
    with pytest.raises(DisplayError, match="too small"), VideoWriter(tmp_path / "a.mp4", (1, 40), 30):
        pass


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DisplayError, match="64x64"), VideoWriter(tmp_path / "a.mp4", (64, 64), 30) as writer:
        writer.write_frame(flat(1, (65, 64)))


def test_a_file_that_was_removed_is_said_to_be_gone_at_the_end_too(tmp_path: Path) -> None:
    gone = pytest.raises(DisplayError, match=r"a\.part\.mp4 is gone")
    with gone, VideoWriter(tmp_path / "a.mp4", (64, 64), 30) as writer:
        writer.write_frame(np.zeros((64, 64, 3), np.uint8))
        writer.part.unlink()


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    size = (160, 90)
    with pytest.raises(DisplayError) as caught, VideoWriter(tmp_path / "a.mp4", size, 30, threads=1) as writer:
        writer.write_frame(field(0, size))
        full_disk(writer)
        for k in range(120):
            writer.write_frame(field(k, size))
    assert "No space left" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "a.mp4").exists() and (tmp_path / "a.part.mp4").exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.webp", "WEBP")]
)
def test_an_image_is_what_its_name_says(tmp_path: Path, name: str, kind: str) -> None:
    from PIL import Image

    pixels = field(1)
    path = check_image(tmp_path / name)
    assert save_image(path, pixels) == tmp_path / name
    with Image.open(tmp_path / name) as image:
        assert image.format == kind
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < (0.1 if kind == "PNG" else 5)
    again = save_image(path, pixels)
    assert again.stem == "a-2" and sorted(tmp_path.iterdir()) == sorted([again, tmp_path / name])
    with pytest.raises(DisplayError, match="cannot save"):
        save_image(tmp_path / "no" / name, pixels)


def test_an_unknown_kind_of_image_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DisplayError, match=r"\.tga.*\.png, \.jpg"):
        check_image(tmp_path / "a.tga")
    assert check_image(tmp_path / "a").name == "a.png"
