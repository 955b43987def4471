"""The demo's prompts follow its track, until somebody else sets the prompt."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tpos_live.audio.demo import BAR, BARS
from tpos_live.audio.source import RATE
from tpos_live.conditioning.vocabulary_file import VOCABULARY_FILE
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.paths import shipped
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.diffusion.hub.resolve import BUILT_IN
from tpos_live.runtime import offline
from tpos_live.runtime.demo import PROMPTS, WEIGHT, DemoPrompts, prompt_at
from tpos_live.runtime.live_session import LiveSession


def settings(**parameters: object) -> Settings:
    values = {"window.headless": True, "osc.port": 0, "record.resolution": "128x72"}
    given = {f"parameters.{name}": value for name, value in parameters.items()}
    return load_settings({**values, **given}, here=Path("/nowhere"))


def test_the_first_twenty_seconds_hold_three_changes_and_the_track_begins_again() -> None:
    shown = [prompt_at(k / 30) for k in range(round(offline.DEMO_SECONDS * 30))]
    assert sum(a != b for a, b in itertools.pairwise(shown)) == 3
    assert prompt_at(8 * BAR) == "fire" and prompt_at(BARS * BAR + 0.1) == prompt_at(0.1) == PROMPTS[0][1]


def test_the_engine_in_the_box_offers_every_prompt() -> None:
    phrases = json.loads((shipped("engines") / BUILT_IN / VOCABULARY_FILE).read_text(encoding="utf-8"))
    offered = phrases.get("clear", {}).get("family") or list(phrases["family"])
    assert {text for _bar, text in PROMPTS} <= {name.replace("_", " ") for name in offered}


@pytest.mark.parametrize("change", [{"prompt": "marble"}, {"prompt.1": "lava", "prompt.select": 1},
                                    {"prompt.2": "lava", "prompt.2.weight": 1.0}])  # fmt: skip
def test_a_person_has_the_last_word(change: dict[str, object]) -> None:
    store = ParameterStore()
    prompts = DemoPrompts(store)
    for seconds in (0.0, 6.0):
        prompts.update(seconds)
        assert store.snapshot()["prompt"] == prompt_at(seconds)
    store.update(change)
    kept = dict(store.snapshot().values)
    for seconds in (6.1, 15.0, 40.0):
        prompts.update(seconds)
    assert dict(store.snapshot().values) == kept


def test_the_sound_has_less_weight_unless_a_person_has_set_it() -> None:
    for given, found in ((None, WEIGHT), (0.6, 0.6)):
        store = ParameterStore({} if given is None else {"audio.weight": given})
        prompts = DemoPrompts(store)
        prompts.update(0.0)
        assert store.snapshot()["audio.weight"] == found
        store.set("audio.weight", 0.35)
        prompts.update(BAR * 4)
        assert store.snapshot()["audio.weight"] == 0.35 and prompts.running


def test_settings_that_name_a_prompt_keep_it() -> None:
    assert DemoPrompts.wanted(settings(seed=4)) and not DemoPrompts.wanted(settings(prompt="marble"))
    assert not DemoPrompts.wanted(settings(**{"prompt.3": "lava"}))


def test_the_default_prompt_is_kept_too_where_the_command_line_gives_it() -> None:
    given = load_settings({"parameters.prompt": "neon jellyfish"}, here=Path(__file__).parents[2])
    assert given.parameters["prompt"] == "neon jellyfish" and not DemoPrompts.wanted(given)


def test_the_settings_file_of_the_repository_leaves_the_prompts_to_the_demo() -> None:
    assert DemoPrompts.wanted(load_settings({}, here=Path(__file__).parents[2]))


def test_a_live_demo_follows_the_sound_that_it_has_heard() -> None:
    session = LiveSession(settings(), demo=True)
    session.change_prompts()
    assert session.store.snapshot()["prompt"] == PROMPTS[0][1]
    session.audio_processor.params = FrameParams(time=3.1 * BAR)
    session._refresh(0.0)
    assert session.store.snapshot()["prompt"] == PROMPTS[1][1]
    plain = LiveSession(settings(prompt="marble"), demo=True)
    plain.change_prompts()
    plain._refresh(0.0)
    assert plain.store.snapshot()["prompt"] == "marble"


def test_the_demo_without_a_display_draws_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts: list[str] = []

    def drawn(_settings: Settings, _snapshot: Snapshot, sound: np.ndarray, fps: int, _workers: int, shown: object):  # type: ignore[no-untyped-def]
        for k in range(len(sound) * fps // RATE):
            texts.append(shown(k / fps)["prompt"])  # type: ignore[operator]
            yield FrameParams(time=k / fps), Frame(np.zeros((36, 64, 3), np.uint8), k, k / fps, 0.0, k / fps)

    monkeypatch.setattr(offline, "render_frames", drawn)
    monkeypatch.chdir(tmp_path)
    assert offline.render_demo(settings()) == 0
    assert list(dict.fromkeys(texts)) == [text for _bar, text in PROMPTS[:4]]
    assert (tmp_path / "tpos-demo.mp4").exists()
    texts.clear()
    assert offline.render_demo(settings(prompt="marble").model_copy(update={"seconds": 1.0})) == 0
    assert set(texts) == {"marble"}


def test_the_video_of_the_demo_is_small_enough_to_send(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noise = np.random.default_rng(1)

    def drawn(_settings: Settings, _snapshot: Snapshot, sound: np.ndarray, fps: int, _workers: int, _shown: object):  # type: ignore[no-untyped-def]
        for k in range(len(sound) * fps // RATE):
            pixels = noise.integers(100, 156, (36, 64, 3)).astype(np.uint8)
            yield FrameParams(time=k / fps), Frame(pixels, k, k / fps, 0.0, k / fps)

    monkeypatch.setattr(offline, "render_frames", drawn)
    shown, sound = settings(prompt="marble"), np.zeros((RATE // 2, 2), np.float32)
    render, _ = offline.write_video(shown, sound, tmp_path / "render.mp4")
    demo, _ = offline.write_video(shown, sound, tmp_path / "demo.mp4", demo=True)
    assert demo.stat().st_size < 0.7 * render.stat().st_size
