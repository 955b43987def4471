"""Stills, videos and shows are drawn at the same size, in the output's shape."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tpos_live.core.paths import shipped
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.model.metadata import EngineMetadata, read_metadata
from tpos_live.runtime import pipeline

ENGINE = EngineMetadata(size=(256, 256), sizes=[(256, 256), (320, 192), (448, 256), (512, 288)], multiple=32)


def size(cores: int, live: bool, patch: pytest.MonkeyPatch, device: str = "cpu") -> tuple[int, int]:
    patch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    silent: Any = SimpleNamespace(name="none")
    made = pipeline.Pipeline(Settings(), live=live, encoder=silent, output=(1280, 720))
    made.engine = SimpleNamespace(device=torch.device(device), metadata=ENGINE)
    return made._own_size()


@pytest.mark.parametrize(("cores", "expected"), [(1, (320, 192)), (2, (320, 192)), (4, (448, 256)), (64, (448, 256))])
def test_live_and_offline_draw_one_size_in_the_output_s_shape(
    cores: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {size(cores, live, monkeypatch) for live in (True, False)}
    assert drawn == {expected}
    assert abs(expected[0] / expected[1] / (16 / 9) - 1) < 0.07, "little is cropped away"


def test_ember_on_few_cores_draws_the_smallest_size_that_it_was_trained_at() -> None:
    assert read_metadata(shipped("engines") / "ember").light_size_for((1280, 720)) == (320, 192)


def test_a_card_does_not_count_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert size(1, True, monkeypatch, "cuda") == (448, 256)


@pytest.mark.parametrize(
    ("values", "live", "cores", "threads"),
    [
        ({"window.headless": True, "output.to": ["a.mp4"]}, True, 2, 1),
        ({"window.headless": True, "record.file": "a.mp4"}, True, 2, 1),
        ({"window.headless": True, "record.file": "a.mp4"}, True, 8, 0),  # not measured: the engine's own choice
        ({"window.headless": True, "record.file": "a.mp4"}, False, 2, 0),  # `render` has composers of its own
        ({"window.headless": True}, True, 2, 0),
        ({"record.file": "a.mp4"}, True, 2, 0),
    ],
)
def test_one_of_two_cores_is_left_to_what_composes_frames(
    values: dict[str, Any], live: bool, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    silent: Any = SimpleNamespace(name="none")
    made = pipeline.Pipeline(load_settings(values, here=tmp_path), live=live, encoder=silent)
    assert made._threads() == threads
