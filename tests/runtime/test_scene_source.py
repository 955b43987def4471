"""Scenes as a source: drawn from the frame's own noise and parameters, reproducible, with errors in one line."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from test_source import frames

from tpos_live.core.frame import SourceImage
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.image_source.live_source import LiveSource
from tpos_live.image_source.open import why_refused
from tpos_live.image_source.player import OfflineSource
from tpos_live.image_source.reader import SourceError
from tpos_live.runtime import scene_source
from tpos_live.runtime.scene_source import SceneOpener, SceneReader
from tpos_live.scenes.draw import SceneShare
from tpos_live.scenes.families import FAMILIES

SIZE = (128, 64)


def image(name: str, params: FrameParams, size: tuple[int, int] = SIZE, **values: object) -> np.ndarray:
    with OfflineSource(SceneOpener()) as source:
        found = source.image(params, ParameterStore({"source": f"scene:{name}", **values}).snapshot(), size)
    assert found is not None
    return found.pixels


def moment(**fields: float) -> FrameParams:
    return FrameParams(**{"time": 1.0, "noise_position": 1.3, "intensity": 0.5, **fields})


def test_the_parameters_of_the_sound_move_it() -> None:
    still = image("fire", moment())
    assert np.array_equal(still, image("fire", moment()))
    for moved in (moment(noise_position=1.4), moment(pan_x=0.1), moment(intensity=0.9), moment(cut_index=1)):
        assert not np.array_equal(still, image("fire", moved))
    assert not np.array_equal(still, image("fire", moment(), seed=7))
    assert image("fire", moment(intensity=1.0)).mean() > 1.1 * image("fire", moment(intensity=0.0)).mean()


def test_every_parameter_of_sources_holds() -> None:
    plain = image("nebula", moment())
    assert np.array_equal(image("nebula", moment(), **{"source.mirror": "horizontal"}), plain[:, ::-1])
    assert image("nebula", moment(), **{"source.blur": 1.0}).std() < 0.8 * plain.std()
    assert image("nebula", moment(), (72, 40)).shape == (40, 72, 3)


@pytest.mark.slow
def test_a_render_of_a_scene_repeats_itself_by_one_process_and_by_two(tmp_path: Path) -> None:
    once, apart = (frames(tmp_path / str(workers), "scene:ocean", workers) for workers in (1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(once, apart, strict=True))
    assert not np.array_equal(once[0], once[-1])


def test_a_live_show_gets_another_image_for_another_moment() -> None:
    snapshot = ParameterStore({"source": "scene:Tunnel"}).snapshot()
    with LiveSource(opener=SceneOpener(threads=1)) as source:
        seen: list[SourceImage] = []
        begin = time.monotonic()
        while len(seen) < 3 and time.monotonic() < begin + 20:
            found = source.image(moment(noise_position=time.monotonic()), snapshot, SIZE)
            if found is not None and all(found is not one for one in seen):
                seen.append(found)
            time.sleep(0.01)
        assert len(seen) >= 3 and source.line.startswith("scene:tunnel")


def test_an_unknown_scene_is_told_with_those_there_are() -> None:
    with pytest.raises(SourceError, match=r"scene:fires: there is no such scene; try fire, forest, fireworks; docs/"):
        SceneOpener()("scene:fires", 1.0)
    with pytest.raises(SourceError) as told:
        SceneOpener()("scene:" + "unicorn " * 200, 1.0)
    assert "try prompt, aurora, fire" in str(told.value) and len(str(told.value)) < 200
    with pytest.raises(SourceError, match="scene:prompt: this engine does not say what it draws; choose scene:NAME"):
        SceneOpener()("scene:prompt", 1.0)
    with pytest.raises(SourceError, match="no such file"):
        SceneOpener()("scenes", 1.0)


def test_a_scene_is_taken_where_files_are_not(tmp_path: Path) -> None:
    assert why_refused("scene:fire", "", tmp_path) == ""


def test_a_slow_scene_says_so_once_and_a_fast_one_no_longer(
    monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    now, step = 0.0, 0.1

    def clock() -> float:
        nonlocal now
        now += step
        return now

    monkeypatch.setattr(scene_source.time, "perf_counter", clock)
    reader = SceneReader("plasma", lambda texts: (SceneShare(FAMILIES["plasma"]),))
    snapshot = ParameterStore({}).snapshot()

    def draw(images: int) -> str:
        for _ in range(images):
            reader.prepare(scene_source.Wanted(moment(noise_position=now), snapshot, (32, 32)))
            reader.at(0.0)
        return reader.trouble

    said = "scene:plasma: only 10 images a second on this processor; try another scene, or a smaller --size"
    assert draw(20) == said
    step = 0.01
    assert draw(20) == ""
    step = 0.1
    assert draw(20) == said
    assert [line for line in messages if "10 images" in line] == [said]
    step = 2.5
    assert "only 0.4 images a second" in draw(20)
