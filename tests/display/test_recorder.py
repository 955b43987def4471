"""The recorder: sound and video stay in sync however slow the encoder is, and the show never waits."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes.full_disk import full_disk
from fakes.waiting import wait_until
from images import flat
from test_video import frames_of, sound_of

from tpos_live.display.audio_track import SOUND_SECONDS
from tpos_live.display.disk_watch import DiskWatch
from tpos_live.display.errors import DisplayError
from tpos_live.display.recorder import Recorder
from tpos_live.display.video import VideoWriter

BLOCK = 480


class Made:
    """A recorder on a clock of its own, and an encoder that takes `took` seconds of it for a frame: in place of its
    thread and of the file. While the encoder works the show goes on: 60 refreshes and 48000 samples a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, took: float) -> None:
        self.now, self.took = 100.0, took
        self.written: list[tuple[float, float]] = []
        """(time in the file, time shown) of each frame, seconds since the start."""
        self.samples, self.frames_written, self.bytes, self.preset = 0, 0, 0, "superfast"
        self.output = SimpleNamespace(about_found=lambda: "")
        self.part = Path()
        self.most = 0
        monkeypatch.setattr(Recorder, "recording", True)
        self.recorder = Recorder(Path("a.mp4"), 30.0, clock=lambda: self.now)
        self.recorder._writer = self  # type: ignore[assignment]
        self.recorder._fitter = lambda pixels: pixels  # type: ignore[assignment]
        self._refreshes = self._blocks = 0

    def write_frame(self, pixels: np.ndarray, place_image: int) -> None:
        assert not self.written or place_image > self.written[-1][0] * 30
        self.frames_written += 1
        self.written.append((place_image / 30, float(pixels[0])))
        self.advance(self.took)

    def write_sound(self, stereo: np.ndarray) -> None:
        self.samples += len(stereo)
        self.bytes += 4 * len(stereo)

    def change_preset(self, preset: str) -> bool:
        self.preset = preset
        return True

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.005, end)
            since = self.now - 100.0
            while self._refreshes / 60 <= since:
                at = self._refreshes / 60
                if self.recorder.wants(100.0 + at):
                    self.recorder.send(np.array([at]), 100.0 + at)
                self._refreshes += 1
            while (self._blocks + 1) * 0.01 <= since:
                self._blocks += 1
                self.recorder.sound(np.ones((BLOCK, 2), np.float32), 100.0 + self._blocks * 0.01)
            self.most = max(self.most, len(self.recorder._frames))

    def run(self, seconds: float) -> None:
        while self.now < 100.0 + seconds:
            if not self.recorder._step(self):  # type: ignore[arg-type]
                self.advance(0.005)

    def end(self) -> float:
        """End the recording; the seconds that took."""
        begin = self.now
        self.recorder._ending = True
        self.recorder._finish(self)  # type: ignore[arg-type]
        return self.now - begin


@pytest.mark.parametrize("took", [0.016, 0.032, 0.037, 0.06, 0.15, 0.4])
def test_a_slow_encoder_gets_fewer_frames_evenly_spread(
    monkeypatch: pytest.MonkeyPatch, took: float, messages: list[str]
) -> None:
    made = Made(monkeypatch, took)
    made.run(60.0)
    lag = made.recorder.lag
    closing = made.end()
    length = made.written[-1][0] + 1 / 30
    assert length == pytest.approx(60.0 + (made.now - 100.0 - 60.0 - closing), abs=0.1), "as long as the show"
    assert made.samples == pytest.approx(length * 48000, abs=2400) and made.recorder.sound_lost == 0, "sound whole"
    places = np.array([place_image for place_image, _ in made.written])
    freezes = np.diff([*places, length])
    assert freezes.max() <= 2 * max(took, 1 / 30) + 0.001, "no freeze longer than two frames of the encoder"
    assert len(places) > 0.7 * 60 * min(30, 1 / took), "and the encoder is not idle"
    apart = np.array([place_image - shown for place_image, shown in made.written[:-1]])  # the last one fills up
    assert np.abs(apart).max() < 0.04, "each frame at the time when it was shown"
    assert made.most <= 11 and lag < 0.4 + took and closing < 1.6 + 2 * took
    assert bool(messages) == (took > 1 / 30) and not [line for line in messages if "\n" in line]
    assert made.recorder.disk.minutes_left > 0


def test_a_hiccup_of_the_encoder_costs_frames_only_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 0.016)
    made.run(5.0)
    made.took = 2.0
    made.run(5.1)
    made.took = 0.016
    made.run(20.0)
    made.end()
    freezes = np.diff([place_image for place_image, _ in made.written])
    assert freezes.max() < 2.1 and (freezes > 0.034).sum() < 5
    assert made.samples == pytest.approx(20.0 * 48000, abs=9600)


def test_frames_that_a_stuck_encoder_crowds_out_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, 0.016)
    for k in range(made.recorder.room + 5):  # no sound comes, so nothing is taken out
        made.recorder.send(flat(k, (64, 64)), 100 + k / 30)
    assert made.recorder.dropped == 5


class ThreadClock:
    """The clock of a recorder whose encoder works on its own thread, and of the show beside it. It goes on only while
    that thread waits for it, in the encoder, or for sound: how fast the machine is changes nothing."""

    def __init__(self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.closing = 100.0, False
        self._until = 0.0
        self._working = False
        self._ticked = threading.Condition()
        self._recorder, self._step = recorder, recorder._step
        monkeypatch.setattr(recorder, "_clock", lambda: self.now)
        monkeypatch.setattr(recorder, "_step", self._watched)

    def _watched(self, writer: Any) -> bool:
        self._working = True
        try:
            return self._step(writer)
        finally:
            self._working = False

    def sleep(self, seconds: float) -> None:
        """The encoder takes so long. Nothing else moves the clock while the recorder closes."""
        with self._ticked:
            self._until = self.now + seconds
            assert self._ticked.wait_for(lambda: self.now >= self._until or self.closing, 20)
            self.now = max(self.now, self._until)

    def tick(self, now: float) -> None:
        """Go on to `now`, and wait until the thread has done what it does without time."""
        with self._ticked:
            self.now = now
            self._ticked.notify_all()
        assert wait_until(lambda: self._until > self.now or not (self._working or self._recorder._frame_due()))

    def close(self) -> None:
        with self._ticked:
            self.closing = True
            self._ticked.notify_all()
        self._recorder.close()


@pytest.mark.parametrize("took", [0.032, 0.06])
def test_a_slow_encoder_on_its_own_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took: float) -> None:
    """Up to a file that is read back."""
    recorder = Recorder(tmp_path / "a.mp4")
    clock, write = ThreadClock(recorder, monkeypatch), VideoWriter.write_frame

    def slow(self: VideoWriter, pixels: np.ndarray, place_image: int | None = None) -> None:
        clock.sleep(took)
        write(self, pixels, place_image)

    monkeypatch.setattr(VideoWriter, "write_frame", slow)
    recorder.open((160, 90))
    shown = 0
    for block in range(401):
        now = 100.0 + block * 0.01
        while 100.0 + shown / 60 <= now:
            if recorder.wants(at := 100.0 + shown / 60):
                recorder.send(flat(20 + 8 * (shown % 25), (160, 90)), at)
            shown += 1
        if block:
            recorder.sound(np.full((BLOCK, 2), 0.1, np.float32), now)
        clock.tick(now)
    clock.close()
    assert recorder.error == ""
    times = [at for at, _ in frames_of(tmp_path / "a.mp4")]
    assert np.diff([*times, 4.0]).max() <= 2 * max(took, 1 / 30) + 0.001, "no freeze longer than two frames"
    assert len(times) > 0.7 * 4 * min(30, 1 / took), "and the encoder is not idle"
    heard = sound_of(tmp_path / "a.mp4")
    assert len(heard) / 48000 == pytest.approx(4.0, abs=0.1) and times[-1] == pytest.approx(4.0, abs=0.04)
    assert min(np.abs(heard[k : k + 2400, 0]).max() for k in range(4800, 180_000, 2400)) > 0.05, "never silent"


def feed(recorder: Recorder, seconds: float, start: float = 100.0, flash: float = -1) -> None:
    """Blocks of 10 ms and 60 frames a second on a simulated clock, faster than real time."""
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
        full = recorder.room - 1
        while (recorder._audio.samples > 12000 or len(recorder._frames) >= full) and recorder.recording:
            assert time.monotonic() < end
            time.sleep(0.001)


def test_flash_and_click_are_together_in_the_file(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    assert recorder.recording
    feed(recorder, 3.0, flash=1.5)
    recorder.close()
    assert recorder.error == "" and not recorder.recording
    shown = frames_of(tmp_path / "a.mp4")
    flash = next(at for at, frame in shown if frame.mean() > 120)
    click = np.argmax(np.abs(sound_of(tmp_path / "a.mp4")[:, 0]) > 0.3) / 48000
    assert abs(flash - click) < 0.04
    assert abs(len(shown) / 30 - 3.0) < 0.1
    assert recorder.seconds == pytest.approx(len(shown) / 30)
    assert recorder.dropped <= 3


def test_the_encoder_is_woken_once_a_frame_however_short_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waking it for every block of 5 ms took a quarter of its processor time."""
    monkeypatch.setattr(Recorder, "recording", True)
    recorder, woken = Recorder(Path("a.mp4"), 30.0), [0]
    monkeypatch.setattr(recorder._lock, "notify", lambda: woken.__setitem__(0, woken[0] + 1))
    recorder._track.see(100.0)
    for block in range(1, 401):
        before = woken[0]
        recorder.sound(np.zeros((240, 2), np.float32), 100.0 + 0.005 * block)
        if woken[0] > before:
            recorder._take_sound()
    assert 45 <= woken[0] <= 60
    assert recorder._audio.seconds < 0.15 + 1 / 30 + 0.005


def test_a_stuck_encoder_cannot_slow_the_show_or_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, written, write = threading.Event(), list[int | None](), VideoWriter.write_frame

    def stuck(self: VideoWriter, pixels: np.ndarray, place_image: int | None = None) -> None:
        free.wait(20)
        write(self, pixels, place_image)
        written.append(place_image)

    monkeypatch.setattr(VideoWriter, "write_frame", stuck)
    import av  # noqa: F401  # as a show does while it loads; the import takes a quarter of a second

    recorder = Recorder(tmp_path / "a.mp4", fps=5.0)
    recorder.open((160, 90))
    for block in range(1, int(SOUND_SECONDS) + 20):  # a second each, to be written
        recorder.send(flat(1, (160, 90)), 100 + block)
        for _ in range(10):
            recorder.sound(np.ones((10 * BLOCK, 2), np.float32), 100 + block)
        time.sleep(0.0005)
    assert not written, "the show waited for the encoder"
    assert len(recorder._frames) <= recorder.room
    assert recorder._audio.samples <= SOUND_SECONDS * 48000
    assert recorder.sound_lost > 0
    free.set()
    recorder.close(60)
    assert recorder.error == ""
    assert frames_of(tmp_path / "a.mp4")


def test_a_full_disk_stops_the_recording_and_nothing_else(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    for k in range(300):
        recorder.send(np.random.default_rng(k).integers(0, 255, (90, 160, 3), np.uint8), 100 + k / 30)
        recorder.sound(np.zeros((1600, 2), np.float32), 100 + k / 30)
        if k == 60 and recorder._writer is not None:
            full_disk(recorder._writer)
        if recorder.error:
            break
        time.sleep(0.02)
    assert "No space left" in recorder.error and "a.part.mp4" in recorder.error and "\n" not in recorder.error
    assert not recorder.recording and not recorder.wants(1e9)
    recorder.close()
    assert not (tmp_path / "a.mp4").exists() and frames_of(tmp_path / "a.part.mp4")


def test_a_window_that_changes_its_size_is_fitted_into_the_file(tmp_path: Path, messages: list[str]) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    for k in range(12):
        recorder.send(flat(200, (160, 90) if k < 4 else (200, 200)), 100 + k / 30)
        recorder.sound(np.zeros((1600, 2), np.float32), 100 + (k + 1) / 30)
        time.sleep(0.02)
    recorder.close()
    shown = [frame for _, frame in frames_of(tmp_path / "a.mp4")]
    assert recorder.error == "" and shown[0].shape == shown[-1].shape == (90, 160, 3)
    assert shown[0][45, 5].mean() > 180 and shown[-1][45, 5].mean() < 20 < 180 < shown[-1][45, 80].mean()
    assert len(messages) == 1 and "200x200" in messages[0] and "160x90" in messages[0]


def test_a_place_that_cannot_be_written_is_one_line_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    for name in ("no/a.mp4", "folder.mp4", "a.avi"):
        with pytest.raises(DisplayError, match="wall cannot be written: ") as caught:
            Recorder(tmp_path / name, name="wall").open((64, 64))
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]


def test_without_sound_there_is_no_file_and_an_older_one_stays(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("good")
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((64, 64))
    for k in range(20):
        recorder.send(flat(k), 100 + k / 30)
    recorder.close()
    assert recorder.error == "" and recorder.seconds == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_text() == "good"


def test_a_found_part_is_kept_and_said(tmp_path: Path, messages: list[str]) -> None:
    (tmp_path / "a.part.mp4").write_bytes(b"of a show that was killed")
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    feed(recorder, 0.5)
    recorder.close()
    assert recorder.path.name == "a-2.mp4" and frames_of(recorder.path)
    assert (tmp_path / "a.part.mp4").read_bytes() == b"of a show that was killed"
    assert len(messages) == 1 and "a.part.mp4" in messages[0] and "a-2.mp4" in messages[0]


def test_a_disk_that_does_not_answer_at_the_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    write = VideoWriter.write_frame

    def stuck(self: VideoWriter, pixels: np.ndarray, place_image: int | None = None) -> None:
        write(self, pixels, place_image)
        answers.wait(20)

    monkeypatch.setattr(VideoWriter, "write_frame", stuck)
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open((160, 90))
    recorder.send(flat(1, (160, 90)), 100.0)
    for k in range(30):
        recorder.sound(np.zeros((480, 2), np.float32), 100 + k / 100)
    end = time.monotonic() + 20
    while not (tmp_path / "a.part.mp4").exists() and time.monotonic() < end:
        time.sleep(0.01)
    recorder.close(patience=0.2)
    assert "not answered" in recorder.error and not recorder.recording
    answers.set()
    recorder._thread.join(20)  # type: ignore[union-attr]


def test_little_disk_is_said_before_it_is_full(monkeypatch: pytest.MonkeyPatch, messages: list[str]) -> None:
    free = [5.1e9]
    made = Made(monkeypatch, 0.016)
    watch = made.recorder.disk = DiskWatch(lambda folder: SimpleNamespace(free=free[0]))
    made.run(10.0)
    assert watch.minutes_left == pytest.approx(5.1e9 / (4 * 48000) / 60, rel=0.1) and messages == []
    minute = 60 * 4 * 48000.0
    for seconds, left in ((20.0, 4.9e9), (30.0, 4.8e9), (40.0, 5 * minute), (50.0, minute), (60.0, minute / 2)):
        free[0] = left
        made.run(seconds)
    assert [word in line for word, line in zip(("4.9 GB", "full in 5", "full in 1"), messages, strict=True)] == 3 * [
        True
    ]


def test_a_disk_that_does_not_tell_how_much_is_free_ends_no_recording(tmp_path: Path) -> None:
    def unknown(folder: Path) -> Any:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    recorder = Recorder(tmp_path / "a.mp4", disk=DiskWatch(unknown))
    recorder.open((64, 64))
    feed(recorder, 3.0)
    assert wait_until(lambda: recorder.seconds > 2.5)
    recorder.disk._checked_at = 0.0
    feed(recorder, 1.0, 103.0)
    recorder.close()
    assert recorder.error == "" and (tmp_path / "a.mp4").exists() and recorder.disk.minutes_left == 0.0


def test_a_disk_with_all_warnings_at_once_says_one_line(tmp_path: Path, messages: list[str]) -> None:
    free = [1e9]
    watch = DiskWatch(lambda folder: SimpleNamespace(free=free[0]))
    for second in range(10, 100, 10):
        watch.check(second, tmp_path, 60.0, 200_000_000)  # 3.3 MB a second: 5 minutes
    assert len(messages) == 1 and "1.0 GB" in messages[0] and "5.0 minutes" in messages[0] and not watch.full
    free[0] = 2e7
    watch.check(200.0, tmp_path, 60.0, 200_000_000)
    assert watch.full and len(messages) == 2 and "20 MB are free" in messages[1]


def test_a_file_that_is_removed_while_it_is_written_fails_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4", clock=lambda: 20 * time.perf_counter())  # `feed` is faster than real time
    recorder.open((160, 90))
    feed(recorder, 3.0)
    (tmp_path / "a.part.mp4").unlink()
    feed(recorder, 3.0, start=103.0)
    recorder.close()
    assert "a.part.mp4 is gone" in recorder.error and "\n" not in recorder.error and not list(tmp_path.iterdir())


def test_a_disk_that_answers_with_errors_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example one that was unplugged; the status must not say that the recording continues."""
    recorder, stat = Recorder(tmp_path / "a.mp4"), os.stat

    def unplugged(path: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return stat(path, **options)

    recorder.open((64, 64))
    feed(recorder, 3.0)
    assert wait_until(lambda: recorder.seconds > 2.5)
    monkeypatch.setattr(os, "stat", unplugged)
    recorder.disk._checked_at = 0.0
    feed(recorder, 1.0, 103.0)
    assert wait_until(lambda: recorder.error) and "is gone" in recorder.error
    recorder.close()


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
    assert frames_of(tmp_path / "a.mp4")
