"""A render by several processes: the same frames in the same order, and one line if a worker dies."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from fakes.forked import can_fork, context, start
from fakes.tiny_engine import make_tiny_engine

from tpos_live.audio.source import RATE
from tpos_live.core.errors import EngineError
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime import parallel_offline
from tpos_live.runtime.offline import render_frames
from tpos_live.runtime.parallel_offline import render_with_workers, role

SEGMENT = 12


def sound(seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    mono = 0.8 * np.exp(-(t % 0.5) / 0.08) * np.sin(2 * np.pi * 55 * t)
    return np.repeat(mono[:, None], 2, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("engine"), "flow", metadata={"audio_tokens": 2})


def settings(engine: Path, **parameters: object) -> Settings:
    values = {f"parameters.{name}": value for name, value in parameters.items()}
    chosen = {"engine.name": str(engine), "engine.accelerator": "eager", "engine.threads": 1, "engine.size": "64"}
    return load_settings({**chosen, **values}, here=Path("/nowhere"))


def pixels(settings: Settings, seconds: float, count: int) -> list[np.ndarray]:
    snapshot = ParameterStore({**settings.start_values(), "out.inbetween": False}).snapshot()
    heard = sound(seconds)
    several = render_with_workers(settings, snapshot, heard, 30, count, SEGMENT)
    found = []
    for k, (params, frame) in enumerate(render_frames(settings, snapshot, heard, 30) if count == 1 else several):
        assert frame is not None and frame.index == k and frame.time == params.time
        found.append(frame.pixels.copy())  # a generator's own pixels are overwritten
    assert len(found) == round(30 * seconds)
    return found


@pytest.mark.parametrize("crew", [1, 2, 3])
def test_every_frame_has_one_owner_and_every_segment_a_run_up(crew: int) -> None:
    for k in range(100):
        roles = [role(k, rank, crew, segment=12, run_up=5) for rank in range(crew)]
        assert roles.count("draw") == 1
        upcoming = (k // 12 + 1) % crew  # whose segment is next
        runs = k % 12 >= 7 and crew > 1
        assert [rank for rank in range(crew) if roles[rank] == "up"] == ([upcoming] if runs else [])


def test_a_run_up_longer_than_a_segment_reaches_no_further_than_the_one_before() -> None:
    assert [role(k, 1, 2, segment=4, run_up=9) for k in range(8)] == ["up"] * 4 + ["draw"] * 4


@pytest.mark.parametrize(("seconds", "used"), [(0.01, 1), (4.0, 1), (4.1, 2), (60.0, 8)])
def test_no_worker_is_started_that_would_draw_nothing(seconds: float, used: int) -> None:
    """64 of them for 3 frames took 106 s."""
    assert parallel_offline._useful(8, np.zeros((round(seconds * RATE), 2), np.float32), 30, 120) == used


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers as forks, with their libraries imported. The last test starts new interpreters."""
    if can_fork():
        monkeypatch.setattr(parallel_offline.multiprocessing, "get_context", lambda _kind: context())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forking")
def test_the_frames_of_two_workers_are_those_of_one(engine: Path) -> None:
    seconds = 1.0  # both draw, and the first one twice
    one, two = (pixels(settings(engine), seconds, count) for count in (1, 2))
    assert len(one) == len(two) and all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert len({image.tobytes() for image in one}) == 30, "and they move"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forking")
def test_fed_frames_are_forgotten_within_the_run_up(engine: Path) -> None:
    """Below strength 1 the second segment begins from other frames than with one process."""
    seconds = 24 / 30
    one, two = (pixels(settings(engine, strength=0.6), seconds, count) for count in (1, 2))
    first, second = slice(0, SEGMENT), slice(SEGMENT, None)
    assert all(np.array_equal(a, b) for a, b in zip(one[first], two[first], strict=True))
    errors = [float(np.abs(a.astype(float) - b).mean()) for a, b in zip(one[second], two[second], strict=True)]
    jump = float(np.abs(one[SEGMENT].astype(float) - one[SEGMENT - 1]).mean())
    assert max(errors) < max(jump, 2.0), "the seam is no greater than what moves from picture to picture"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forking")
def test_a_worker_that_cannot_go_on_is_one_line(engine: Path) -> None:
    broken = settings(engine).model_copy(update={"engine": settings(engine).engine.model_copy(update={"name": "gone"})})
    with pytest.raises(EngineError, match=r"worker \d: .*gone") as caught:
        pixels(broken, 1.0, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_end_with_a_render_that_is_killed(engine: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sound(60.0), RATE)
    command = ["render", "a.wav", "-o", "a.mp4", "--workers", "2"]
    command += ["--engine", str(engine), "--accelerator", "eager", "--threads", "1", "--resolution", "64x64"]
    process = start(*command, cwd=tmp_path)
    end, crew = time.monotonic() + 120, []
    try:
        while len(list(tmp_path.glob("*.part.mp4"))) == 0:  # both workers draw
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        crew = psutil.Process(process.pid).children(recursive=True)
        assert len(crew) >= 2
    finally:
        process.kill()
        process.wait()
    left = psutil.wait_procs(crew, timeout=10)[1]
    for each in left:
        each.kill()
    assert left == []
