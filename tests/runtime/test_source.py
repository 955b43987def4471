"""A source from the command line to the frames: reproducible, with one process or two, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes.clips import number_of, write_clip
from fakes.tiny_engine import make_tiny_engine

from tpos_live.audio.source import RATE
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.image_source.reader import SourceError
from tpos_live.runtime.offline import render_frames
from tpos_live.runtime.parallel_offline import render_with_workers

SECONDS = 0.6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 10, fps=25, size=(256, 128))


def frames(folder: Path, source: str, workers: int = 1, amount: float = 1.0) -> list[np.ndarray]:
    settings = load_settings(
        {
            "engine.name": str(make_tiny_engine(folder, "flow", metadata={"size": [64, 32], "multiple": 32})),
            "engine.threads": 1,
            "engine.accelerator": "eager",
            "parameters.seed": 1,
            "parameters.source": source,
            "parameters.source.amount": amount,
        },
        here=Path("/nowhere"),
    )
    snapshot = ParameterStore({**settings.start_values(), "out.inbetween": False}).snapshot()
    sound = np.zeros((round(SECONDS * RATE), 2), np.float32)
    if workers > 1:
        found = render_with_workers(settings, snapshot, sound, 25, workers, segment=4)
        return [frame.pixels.copy() for _, frame in found]
    return [frame.pixels.copy() for _, frame in render_frames(settings, snapshot, sound, 25) if frame is not None]


def test_a_render_shows_the_clip_picture_by_picture_round_and_round(tmp_path: Path, clip: Path) -> None:
    numbers = [number_of(pixels) for pixels in frames(tmp_path, str(clip))]
    assert len(numbers) == round(SECONDS * 25)
    assert numbers == [(numbers[0] + n) % 10 for n in range(len(numbers))]


@pytest.mark.slow
def test_a_render_with_a_source_repeats_itself_by_one_process_and_by_two(tmp_path: Path, clip: Path) -> None:
    once, again, apart = (frames(tmp_path / str(n), str(clip), workers, 0.5) for n, workers in enumerate((1, 1, 2)))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(once, apart, strict=True))


@pytest.mark.parametrize("name", ["camera", "/nowhere/clip.mp4"])
def test_a_render_without_its_source_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="source "):
        frames(tmp_path, name)
