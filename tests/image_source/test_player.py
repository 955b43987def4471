"""Which picture a frame gets: offline the one at the frame's time, live the newest, without a gap at a change."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.clips import number_of, numbered, write_clip
from fakes.waiting import wait_until
from PIL import Image

from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.messages import LineHandler, handling
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.features.features import HOP_SECONDS, Features
from tpos_live.image_source import fitting, live_source
from tpos_live.image_source.live_source import NICE, LiveSource, pause_before
from tpos_live.image_source.player import OfflineSource, SourcePlayer, Wanted
from tpos_live.image_source.reader import Reader, SourceError
from tpos_live.modulation.integrator import ModulationIntegrator

SIZE = (128, 64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 50)


def at(seconds: float, **fields: float) -> FrameParams:
    return FrameParams(time=seconds, source_time=seconds, **fields)


def shown(player: OfflineSource, params: FrameParams, **values: object) -> int:
    image = player.image(params, ParameterStore(values).snapshot(), SIZE)
    assert image is not None
    return number_of(image.pixels)


def test_offline_a_picture_follows_from_the_time_alone(clip: Path) -> None:
    with OfflineSource() as forwards, OfflineSource() as backwards:
        one = [shown(forwards, at(n / 30), source=str(clip)) for n in range(100)]
        other = [shown(backwards, at(n / 30), source=str(clip)) for n in reversed(range(100))]
    assert one == other[::-1] and one[:5] == [0, 0, 1, 2, 3]
    assert one == [int(n / 30 * 25 + 1e-6) % 50 for n in range(100)]


def test_a_source_makes_one_scaler_for_all_its_pictures(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = fitting.VideoReformatter
    monkeypatch.setattr(fitting, "VideoReformatter", lambda: made.append(real()) or made[-1])
    with OfflineSource() as source:
        assert [shown(source, at(n / 25 + 0.01), source=str(clip)) for n in range(10)] == list(range(10))
    assert len(made) == 1


def test_position_delay_and_rounds_shift_the_clip(clip: Path) -> None:
    values = {"source": str(clip)}
    with OfflineSource() as source:
        assert shown(source, at(0.02), **values) == 0
        assert shown(source, at(0.02), **values, **{"source.position": 0.5}) == 25
        assert shown(source, at(1.02), **values, **{"source.delay": 400.0}) == 15
        assert shown(source, at(0.02, source_rounds=10.25), **values) == 13


def test_a_clip_of_n_beats_lasts_n_beats() -> None:
    store = ParameterStore({"source.beats": 8.0})
    integrator = ModulationIntegrator()
    for hop in range(800):
        params = integrator.step(Features(time=hop * HOP_SECONDS, tempo=120.0), store.snapshot(), 0.0)
    assert params.source_rounds == pytest.approx(2.0)  # 8 s of 120 BPM are 16 beats
    assert params.source_time == 0.0


def test_speed_and_pause() -> None:
    store = ParameterStore({"source.speed": 2.0})
    integrator = ModulationIntegrator()
    for _ in range(100):
        params = integrator.step(Features(tempo=120.0), store.snapshot(), 0.0)
    assert params.source_time == pytest.approx(100 * HOP_SECONDS * 2.0) and params.source_rounds == 0.0
    store.set("pause", True)
    held = integrator.step(Features(tempo=120.0), store.snapshot(), 0.0)
    assert held.source_time == params.source_time


def test_the_amount_follows_the_map() -> None:
    store = ParameterStore({"source.amount": 0.4, "map.kick.source": 0.5, "map.kick.source.release": 0.0})
    integrator = ModulationIntegrator()
    quiet = integrator.step(Features(), store.snapshot(), 0.0)
    hit = integrator.step(replace(Features(), kick=1.0), store.snapshot(), 0.0)
    assert quiet.source_amount == pytest.approx(0.4) and hit.source_amount == pytest.approx(0.9)


def test_the_same_picture_is_the_same_object(clip: Path) -> None:
    snapshot = ParameterStore({"source": str(clip)}).snapshot()
    with OfflineSource() as source:
        first = source.image(at(0.01), snapshot, SIZE)
        assert source.image(at(0.02), snapshot, SIZE) is first
        assert source.image(at(0.02), snapshot, (64, 64)) is not first
        assert source.image(at(0.06), snapshot, SIZE) is not first


@pytest.mark.parametrize("name", ["camera", "camera:0", "lavfi:testsrc", "rtsp://u:geheim@127.0.0.1/a"])
def test_offline_refuses_what_has_no_time(name: str) -> None:
    with OfflineSource() as source, pytest.raises(SourceError, match="no time of its own") as raised:
        source.image(at(0.0), ParameterStore({"source": name}).snapshot(), SIZE)
    assert "geheim" not in str(raised.value)


class Numbers(Reader):
    """A camera whose picture is the number of the call."""

    live = True

    def __init__(self) -> None:
        self.calls, self.closed = 0, False

    def close(self) -> None:
        self.closed = True

    def at(self, seconds: float):
        import av

        self.calls += 1
        return av.VideoFrame.from_ndarray(numbered(self.calls), format="rgb24")


def test_the_delay_of_a_camera_is_kept_and_bounded() -> None:
    player = SourcePlayer("camera", Numbers())
    snapshot = ParameterStore({"source.delay": 500.0}).snapshot()
    seen = []
    for n in range(60):
        image = player.image(Wanted(FrameParams(), snapshot, SIZE), n / 30)
        assert image is not None
        seen.append(number_of(image.pixels))
    assert seen[-1] == 60 - 15 and len(player._past) == 16
    for n in range(60, 400):
        player.image(Wanted(FrameParams(), ParameterStore({"source.delay": 2000.0}).snapshot(), SIZE), n / 240)
    assert len(player._past) <= 90


def test_a_camera_is_looked_at_shortly_before_the_next_frame() -> None:
    assert pause_before(0.050, 0.005) == pytest.approx(0.035)
    assert pause_before(0.010, 0.020) == 0.0  # slower than the frames: at once
    assert pause_before(5.0, 0.0) <= 0.2  # frames that begin again after a pause


@pytest.mark.real_time
def test_the_picture_that_a_frame_gets_of_a_camera_is_younger_than_a_frame() -> None:
    class Clock(Numbers):
        def at(self, seconds: float):
            looks.append(time.perf_counter())
            return super().at(seconds)

    looks: list[float] = []
    ages, interval = [], 0.06
    with LiveSource(opener=lambda name, each: Clock()) as source:
        show = Show(source, "camera")
        show.until(lambda image: image is not None)
        for _ in range(25):
            ages.append(time.perf_counter() - looks[-1])
            show.image()
            time.sleep(interval)
    assert statistics.median(ages[5:]) < 0.7 * interval  # looked at when the frame before began, it were all of it


class Show:
    """Asks a LiveSource for images as the render thread does."""

    def __init__(self, source: LiveSource, name: str, **values: object) -> None:
        self.source, self.store = source, ParameterStore({"source": name, **values})
        self.begin = time.monotonic()
        self.stopped_at: float | None = None
        """Time in seconds at which the show stands still; None: it goes on."""

    def image(self) -> SourceImage | None:
        now = time.monotonic() - self.begin if self.stopped_at is None else self.stopped_at
        return self.source.image(at(now), self.store.snapshot(), SIZE)

    def until(self, wanted: Callable[[SourceImage | None], bool], seconds: float = 40.0) -> SourceImage | None:
        while not wanted(image := self.image()):
            assert time.monotonic() - self.begin < seconds, self.source.line
            time.sleep(0.005)
        self.begin = time.monotonic()
        return image


def test_live_a_source_is_changed_without_a_gap(clip: Path, tmp_path: Path) -> None:
    Image.fromarray(numbered(77)).save(tmp_path / "still.png")
    with LiveSource() as source:
        show = Show(source, str(clip))
        show.until(lambda image: image is not None)
        for name in ("lavfi:color=white:size=128x64:rate=30", str(tmp_path / "still.png"), str(clip)):
            show.store.set("source", name)
            slowest = 0.0
            before = time.monotonic()
            while time.monotonic() - before < 0.6:
                began = time.perf_counter()
                assert show.image() is not None
                slowest = max(slowest, time.perf_counter() - began)
                time.sleep(0.005)
            assert slowest < 0.05  # the render thread never waits
        assert "clip.mp4" in source.line
        show.store.set("source", "none")
        show.until(lambda image: image is None)
        assert source.line == ""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have their own priorities on Linux")
def test_live_sources_leave_the_cores_to_the_engine() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    class Priorities(Numbers):
        def at(self, seconds: float):
            seen.append(nice())
            return super().at(seconds)

    def opened(_name: str, _each: float) -> Priorities:
        seen.append(nice())
        return reader

    reader, seen, before = Priorities(), list[int](), nice()
    with LiveSource(opener=opened) as source:
        Show(source, "camera").until(lambda image: image is not None)
    assert len(seen) >= 2 and min(seen) >= NICE and nice() == before and reader.gentle


def test_live_a_name_of_nothing_keeps_the_source_and_says_so(clip: Path, messages: list[str]) -> None:
    with LiveSource() as source:
        show = Show(source, str(clip))
        first = show.until(lambda image: image is not None)
        for name in ("missing.mp4", "another.mp4", __file__):
            show.store.set("source", name)
            show.until(lambda image, name=name: Path(name).name in source.line)
        assert show.image() is not None and first is not None
        assert len(messages) == 3 and all(line.startswith("source ") for line in messages)
        show.store.set("source", str(clip))
        show.until(lambda image: image is not None and "fps" in source.line)


def test_live_a_source_that_does_not_answer_is_left_for_the_next(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    monkeypatch.setattr(live_source, "PATIENCE", 0.05)
    answer, late = threading.Event(), Numbers()

    def opener(name: str, _each: float) -> Numbers:
        if name == "camera":
            assert answer.wait(20)
            return late
        return Numbers()

    with LiveSource(opener=opener) as source:
        show = Show(source, "camera")
        show.image()
        assert wait_until(lambda: source._opening is not None)
        show.store.set("source", "film.mp4")
        show.until(lambda image: image is not None)
        assert messages == ["source camera: does not answer; left for another one"]
        answer.set()
        assert wait_until(lambda: late.closed), "what comes too late is closed"


def test_live_without_a_source_nothing_runs() -> None:
    with LiveSource() as source:
        assert Show(source, "").image() is None and Show(source, "none").image() is None
        assert source._wanted.latest() is None


def test_live_a_reader_that_fails_leaves_its_last_picture(clip: Path, messages: list[str]) -> None:
    with LiveSource() as source:
        show = Show(source, str(clip))
        show.until(lambda image: image is not None)
        assert source._player is not None
        source._player.reader.at = lambda seconds: 1 // 0  # type: ignore[method-assign,assignment,return-value]
        show.until(lambda image: "division" in source.line)
        assert show.image() is not None and len(messages) == 1


def test_live_a_folder_that_goes_and_comes_back_is_shown_again(tmp_path: Path, messages: list[str]) -> None:
    """Twice, as when a USB stick is removed; each time it returns with other pictures."""
    folder, away = tmp_path / "stick", tmp_path / "away"
    folder.mkdir()
    for n in (10, 20, 30):
        Image.fromarray(numbered(n)).save(folder / f"{n}.png")
    with LiveSource() as source:
        show = Show(source, str(folder), **{"source.seconds": 10.0})
        show.stopped_at = 15.0
        show.until(lambda image: image is not None and number_of(image.pixels) == 20)
        for n in (40, 50):
            folder.rename(away)
            show.stopped_at = 5.0
            show.until(lambda image: "can be read" in source.line)
            assert show.image() is not None  # the last picture stays
            Image.fromarray(numbered(n)).save(away / f"{n}.png")
            away.rename(folder)
            show.stopped_at = n - 5.0  # of the last picture
            show.until(lambda image, n=n: image is not None and number_of(image.pixels) == n)
            assert "stick, " in source.line
    lost, back = "source stick: none of its", "source stick: is back"
    assert [line[: len(lost)] for line in messages if lost in line] == 2 * [lost]
    assert [line for line in messages if "is back" in line] == 2 * [back] and len(messages) == 4


def test_live_a_folder_that_is_back_as_soon_as_its_loss_is_reported_is_shown_again(tmp_path: Path) -> None:
    folder, away = tmp_path / "stick", tmp_path / "away"
    folder.mkdir()
    for n in (10, 20, 30):
        Image.fromarray(numbered(n)).save(folder / f"{n}.png")

    def bring_back(line: str) -> None:
        if "can be read" in line:
            Image.fromarray(numbered(40)).save(away / "40.png")
            away.rename(folder)

    with LiveSource() as source, handling(LineHandler(bring_back, logging.WARNING)):
        show = Show(source, str(folder), **{"source.seconds": 10.0})
        show.stopped_at = 15.0
        show.until(lambda image: image is not None)
        folder.rename(away)
        show.stopped_at = 35.0  # the first picture; the new one, once that is there
        show.until(lambda image: image is not None and number_of(image.pixels) == 40)


def test_live_a_reader_that_cannot_be_closed_gives_way_all_the_same(
    clip: Path, tmp_path: Path, messages: list[str]
) -> None:
    Image.fromarray(numbered(77)).save(tmp_path / "still.png")
    with LiveSource() as source:
        show = Show(source, str(clip))
        show.until(lambda image: image is not None)
        assert source._player is not None
        source._player.reader.close = lambda: 1 // 0  # type: ignore[method-assign,assignment,return-value]
        show.store.set("source", str(tmp_path / "still.png"))
        show.until(lambda image: "still.png" in source.line)
        assert [line for line in messages if "cannot be closed" in line]


def test_leaving_waits_for_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A show without a source used to wait 0.1 s for this thread at its end, half of the time that ending took."""
    monkeypatch.setattr(live_source, "_STOP_CHECK", 60.0)
    with LiveSource() as source:
        pass
    # A busy machine may take longer than the patience of leaving, and not 60 s, to run a thread of low priority.
    assert wait_until(lambda: not source._thread.is_alive())
