"""The recorder: sound and picture stay together, and the show never waits."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from pictures import flat
from test_video import pictures_of, sound_of

from tpos_live.stage.errors import StageError
from tpos_live.stage.recorder import PICTURES, SOUND_SECONDS, Recorder, Track

BLOCK = 480


def play(
    seconds: float, drift: float = 0.0, jitter: float = 0.0, fps: float = 30.0, show: float = 60.0
) -> tuple[Track, np.ndarray]:
    """A whole recording on a clock of its own: the track, and for each frame how late its picture is (s).

    The sound card gives (1 + drift) * 48000 samples a second; a picture carries the moment it was shown.
    """
    track, pictures = Track(fps), deque[tuple[float, np.ndarray]]()
    random = np.random.default_rng(1)
    shown, apart, block = 0, [], 0
    while block * BLOCK < seconds * 48000:
        block += 1
        at = block * BLOCK / (48000 * (1 + drift))
        # Pictures come as long as sound is held back before it counts.
        while shown / show <= at + 0.15:
            pictures.append((shown / show, np.array([shown / show])))
            shown += 1
        for picture in track.due(BLOCK, at + random.uniform(0, jitter), pictures):
            sounding = (track.frames - 1) / fps / (1 + drift)
            apart.append(float(picture[0]) - sounding)
        # `due` gives several at once only after a stall; blocks are shorter than a frame here.
    return track, np.array(apart)


@pytest.mark.parametrize("drift", [0.0, 0.001, -0.001])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_five_minutes_stay_within_40_ms(drift: float, jitter: float) -> None:
    track, apart = play(300, drift, jitter)
    assert np.abs(apart).max() < 0.04
    assert track.frames == 300 * 30
    assert abs(track.frames / 30 - track.samples / 48000) < 0.04
    assert track.repeated == 0


def test_a_slow_show_repeats_and_counts() -> None:
    track, apart = play(10, show=10)
    assert track.frames == 300 and 195 <= track.repeated <= 205
    assert track.lost == 0, "a repeated picture is no lost one"
    assert np.abs(apart).max() < 0.15


@pytest.mark.parametrize("show", [12.0, 20.0, 29.0, 30.0])
def test_what_was_shown_is_in_the_file(show: float) -> None:
    track, _ = play(20, show=show)
    assert track.lost <= 1 and track.frames - track.repeated == pytest.approx(20 * show, abs=5)


def test_of_two_pictures_for_one_frame_one_is_lost_and_counted() -> None:
    track, _ = play(10, show=45.0)
    assert track.lost == pytest.approx(150, abs=5) and track.repeated == 0


def test_pictures_that_a_stuck_encoder_crowds_out_are_lost(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((64, 64))
    for k in range(PICTURES + 5):  # no sound comes, so nothing is taken out
        recorder.send(flat(k, (64, 64)), 100 + k / 30)
    assert recorder.dropped == 5
    recorder.close()


def test_nothing_is_written_before_the_first_picture() -> None:
    track, pictures = Track(30), deque[tuple[float, np.ndarray]]()
    for block in range(1, 100):
        assert track.due(BLOCK, block * 0.01, pictures) == []
    assert track.samples == 0 and track.frames == 0
    pictures.append((1.0, flat(1)))
    assert len(track.due(BLOCK, 1.0, pictures)) == 1


def test_a_device_that_was_gone_starts_time_anew() -> None:
    track, pictures = Track(30), deque[tuple[float, np.ndarray]]()
    for k in range(1000):
        pictures.append((k / 30, np.array([k / 30])))
    for block in range(1, 101):
        track.due(BLOCK, block * 0.01, pictures)
    late = []
    for block in range(1, 101):  # five seconds without a sample, not even silence
        late += [float(p[0]) for p in track.due(BLOCK, 6 + block * 0.01, pictures)]
    assert late[-1] == pytest.approx(7.0, abs=0.05)


def feed(recorder: Recorder, seconds: float, start: float = 100.0, flash: float = -1) -> None:
    """Ten-millisecond blocks and 60 pictures a second on a made-up clock, faster than real time."""
    shown = 0
    for block in range(1, round(seconds * 100) + 1):
        now = start + block * 0.01
        while start + shown / 60 <= now:
            at = start + shown / 60
            if recorder.wants(at):
                bright = flash >= 0 and at >= start + flash
                recorder.send(flat(230 if bright else 20, (160, 90)), at)
            shown += 1
        sound = np.zeros((BLOCK, 2), np.float32)
        if flash >= 0 and abs(block * 0.01 - 0.01 - flash) < 1e-6:
            sound[:100] = 0.9
        recorder.sound(sound, now)
        # The clock is made up, so it may wait for the encoder of a busy machine.
        end = time.monotonic() + 20
        while recorder._waiting > 0.25 * 48000 and recorder.recording and time.monotonic() < end:
            time.sleep(0.001)


def test_flash_and_click_are_together_in_the_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    assert recorder.recording
    feed(recorder, 3.0, flash=1.5)
    recorder.close()
    assert recorder.error == "" and not recorder.recording
    shown = pictures_of(tmp_path / "a.mp4")
    flash = next(at for at, picture in shown if picture.mean() > 120)
    click = np.argmax(np.abs(sound_of(tmp_path / "a.mp4")[:, 0]) > 0.3) / 48000
    assert abs(flash - click) < 0.04
    assert abs(len(shown) / 30 - 3.0) < 0.1
    assert recorder.seconds == pytest.approx(len(shown) / 30)
    assert recorder.dropped <= 3


def test_a_stuck_encoder_cannot_slow_the_show_or_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tpos_live.stage.video import VideoWriter

    stuck = time.perf_counter() + 1.0
    write = VideoWriter.write_frame

    def slow(self: VideoWriter, pixels: np.ndarray) -> None:
        time.sleep(max(0.0, stuck - time.perf_counter()))
        write(self, pixels)

    monkeypatch.setattr(VideoWriter, "write_frame", slow)
    import av  # noqa: F401  # as a show does while it loads; the import takes a quarter of a second

    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    worst, block = 0.0, 0
    while time.perf_counter() < stuck - 0.2:
        block += 1
        before = time.perf_counter()
        recorder.send(flat(1, (160, 90)), before)
        for _ in range(10):
            recorder.sound(np.ones((BLOCK, 2), np.float32), 100 + block * 0.1)
        worst = max(worst, time.perf_counter() - before)
        time.sleep(0.0005)
    assert worst < 0.05
    assert len(recorder._pictures) <= PICTURES
    assert recorder._waiting <= SOUND_SECONDS * 48000
    assert recorder.sound_lost > 0
    recorder.close()
    assert recorder.error == ""
    assert pictures_of(tmp_path / "a.mp4")


def test_a_failure_stops_the_recording_and_nothing_else(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    for k in range(100):
        recorder.send(flat(1, (64, 64)), 100 + k / 30)  # another size than agreed
        recorder.sound(np.zeros((1600, 2), np.float32), 100 + k / 30)
        if recorder.error:
            break
        time.sleep(0.02)
    assert "160x90" in recorder.error and "\n" not in recorder.error
    assert not recorder.recording and not recorder.wants(1e9)
    recorder.close()
    with pytest.raises(StageError, match="cannot write"):
        Recorder(tmp_path / "no" / "a.mp4").open((64, 64))
    (tmp_path / "b.part.mp4").mkdir()  # a file that cannot be opened is only found out by the thread
    recorder = Recorder(tmp_path / "b.mp4")
    recorder.open((64, 64))
    recorder.close()
    assert "cannot write" in recorder.error and not recorder.recording


def test_it_asks_for_a_constant_rate_whatever_the_display(tmp_path: Path) -> None:
    for display in (60.0, 59.94, 144.0, 30.0, 75.0):
        recorder = Recorder(tmp_path / f"{display}.mp4", fps=30)
        recorder.open((64, 64))
        asked = sum(recorder.wants(k / display) for k in range(int(display * 20)))
        recorder.close()
        assert asked == pytest.approx(600, rel=0.01), display


def test_closing_is_quick_and_leaves_a_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((640, 360))
    for k in range(40):
        recorder.send(flat(k, (640, 360)), 100 + k / 30)
        recorder.sound(np.zeros((1600, 2), np.float32), 100 + (k + 1) / 30)
        time.sleep(0.005)
    before = time.perf_counter()
    recorder.close()
    assert time.perf_counter() - before < 1.0
    assert pictures_of(tmp_path / "a.mp4")
