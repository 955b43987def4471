"""The seed that a show begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tpos_live.control.triggers import fire
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import Settings
from tpos_live.core.settings_loader import load_settings
from tpos_live.runtime import run_session

ROOT = Path(__file__).parents[2]


class Started(Exception):
    """Raised where the show would begin."""


def begin(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ParameterStore:
    """The store that `run_live_session` gives a show."""
    stores = []

    def show(settings: Settings, **_options: object) -> None:
        stores.append(ParameterStore(settings.start_values()))
        raise Started

    monkeypatch.setattr(run_session, "LiveSession", show)
    monkeypatch.setattr(run_session, "has_display", lambda: True)
    with pytest.raises(Started):
        run_session.run_live_session(settings)
    return stores[0]


def test_each_show_begins_with_another_seed_and_says_which(monkeypatch, capsys) -> None:
    seeds, followers = [], []
    for _ in range(3):
        store = begin(load_settings({}, here=ROOT), monkeypatch)  # config.toml of the project sets none
        seed = store.snapshot()["seed"]
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--seed {seed}" in line
        fire(store, "seed.random")
        seeds.append(seed)
        followers.append(store.snapshot()["seed"])
        fire(store, "reset")
        assert store.snapshot()["seed"] == seed
    assert len(set(seeds)) == len(set(followers)) == 3 and 12345 not in followers


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_that_is_set_comes_again(seed: int, monkeypatch, capsys, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"[parameters]\nseed = {seed}\n")
    for settings in (load_settings({"parameters.seed": seed}, here=ROOT), load_settings({}, here=tmp_path)):
        store = begin(settings, monkeypatch)
        assert store.snapshot()["seed"] == seed and capsys.readouterr().err == ""
        fire(store, "seed.random")
        assert store.snapshot()["seed"] == (1103515245 * seed + 12345) % 2**31


def test_files_keep_the_seed_of_the_table() -> None:
    assert ParameterStore(load_settings({}, here=ROOT).start_values()).snapshot()["seed"] == 0
