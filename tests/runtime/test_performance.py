"""The performer's controls with one lifetime: looks, quantised changes, missing MIDI, a resumed state."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.looks import Look, Show
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.core.show_file import read_show, write_show
from tpos_live.director.memory import DirectorMemory
from tpos_live.features.features import Features
from tpos_live.runtime import performance as performance_module
from tpos_live.runtime.performance import Performance


def test_a_look_is_stored_recalled_on_the_beat_and_kept(tmp_path: Path) -> None:
    path, saved = tmp_path / "show.toml", list[Show]()
    write_show(path, Show((Look("deep", {"prompt": "deep sea"}),)))
    store = ParameterStore({"quantise": "beat"})
    settings = load_settings({"show.file": str(path)}, here=tmp_path)
    with Performance(settings, store, lambda: 0.0, saved.append) as performance:
        performance.step(Features(tempo=120.0, beats=1), 0)
        store.update({"look.recall": "deep", "look.fade": 0.0})
        performance.step(Features(tempo=120.0, beats=1, beat_phase=0.5, bar_phase=0.1), 0)
        assert performance.fields()["waiting"] == "look deep (next beat)"
        performance.step(Features(tempo=120.0, beats=2, bar_phase=0.25), 0)
        nothing = {"cue": 0, "next_cue": 0, "waiting": "", "tempo_source": "", "midi": ""}
        assert performance.fields() == {"look": "deep", **nothing}
        store.set("look.store", "mine")
        performance.step(Features(), 0)
    assert [look.name for look in read_show(path).looks] == ["deep", "mine"] and len(saved) == 1


def test_what_fails_ends_neither_the_show_nor_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    store = ParameterStore({"quantise": "beat"})
    performance, released = Performance(load_settings({}, here=tmp_path), store, lambda: 0.0), list[object]()
    monkeypatch.setattr(performance_module, "release_due", lambda store, grid: released.append(grid))
    monkeypatch.setattr(performance.looks, "step", fail)
    monkeypatch.setattr(performance._mapper, "step", fail)
    for _ in range(3):
        performance.step(Features(), 0)
    assert len(released) == 3 and len(messages) == 2 and all("a fault of ours" in line for line in messages)


def test_a_show_that_dies_in_a_fade_continues_at_its_end(tmp_path: Path) -> None:
    """It once stayed in the middle of the fade for ever, and its prompts kept that fade's time."""
    path = tmp_path / "show.toml"
    deep = {"prompt": "deep sea", "finish.bloom": 2.0, "motion.zoom": 0.5, "prompt.fade": 1.5}
    write_show(path, Show((Look("deep", deep),)))
    store = ParameterStore({"finish.bloom": 0.0, "look.fade": 30.0})
    before = Performance(load_settings({"show.file": str(path)}, here=tmp_path), store, lambda: 0.0)
    store.update({"look.recall": "deep"})
    for now in (0.0, 1.0, 10.0):
        before.looks.step(now, Features())
    store.set("motion.zoom", -0.5)  # by hand, which stays
    before.looks.step(15.0, Features())
    here = store.snapshot()
    assert 0.5 < here["finish.bloom"] < 1.5 and here["prompt.fade"] == 30.0
    saved = before.state(FrameParams(), DirectorMemory()).values
    assert (saved["finish.bloom"], saved["prompt.fade"], saved["motion.zoom"]) == (2.0, 1.5, -0.5)
    before.looks.step(31.0, Features())
    assert {name: store.snapshot()[name] for name in saved} == saved


@pytest.mark.parametrize("file", [False, True])
def test_looks_that_no_file_keeps_continue_in_another_session(tmp_path: Path, file: bool) -> None:
    """Else looks stored during the show would be lost; a show file keeps its own."""
    write_show(tmp_path / "show.toml", Show((Look("deep", {"prompt": "deep sea"}),)))
    settings = load_settings({"show.file": str(tmp_path / "show.toml")} if file else {}, here=tmp_path)
    store, changed = ParameterStore({"prompt": "mine"}), list[Show]()
    before = Performance(settings, store, lambda: 0.0)
    after = Performance(settings, ParameterStore(), lambda: 0.0, changed.append)
    assert before.state(FrameParams(), DirectorMemory()).show is None, "the shipped looks are there anyway"
    store.set("look.store", "mine")
    before.looks.step(0.0, Features())
    state = before.state(FrameParams(), DirectorMemory())
    after.resume(state)
    if file:
        assert state.show is None and not changed
        return
    assert state.show is not None and after.looks.show == state.show and changed == [state.show]
    assert after.looks.show.find("mine") is not None and len(after.looks.show.looks) == 17
    assert after.state(FrameParams(), DirectorMemory()).show == state.show, "and after the next crash"


def test_a_state_continues_in_another_session(tmp_path: Path) -> None:
    settings = load_settings({}, here=tmp_path)
    store, other = ParameterStore({"seed": 5}), ParameterStore()
    before, after = (Performance(settings, one, lambda: 0.0) for one in (store, other))
    store.update({"prompt": "sky", "prompt.2": "two", "prompt.2.weight": 0.5, "quantise": "4 bars"})
    before.looks.shown, before.looks.cue = "deep", 2.5
    directed = DirectorMemory("deep sea", "ambient music", 0.48)
    state = before.state(FrameParams(noise_position=7.5), directed)
    after.resume(state)
    assert after.state(FrameParams(noise_position=7.5), directed) == state and state.motion["noise_position"] == 7.5
    assert (after.looks.shown, after.looks.cue, other.snapshot()["seed"]) == ("deep", 2.5, 5)
