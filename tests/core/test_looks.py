"""Finding a look: by name in any spelling, and by number if no look has a number as its name."""

from __future__ import annotations

import pytest

from tpos_live.core.looks import LONGEST_NAME, Cue, Look, Show, capture
from tpos_live.core.parameter_store import ParameterStore


def show(*names: str) -> Show:
    return Show(tuple(Look(name, {"seed": n}) for n, name in enumerate(names)))


def called(looks: Show, name: str) -> str:
    look = looks.find(name)
    return look.name if look is not None else ""


def test_a_number_means_a_place_where_no_look_is_called_by_one() -> None:
    looks = show("a", "b", "2049")
    assert [called(looks, name) for name in ("1", " 02 ", "3", "2049", "4", "0", "-1")] == [
        "a",
        "b",
        *2 * ["2049"],
        *3 * [""],
    ]
    looks = show("3", "1", "b")
    assert [called(looks, name) for name in ("1", "2", "3")] == ["1", "", "3"]


def test_a_deleted_number_is_no_other_look() -> None:
    looks = show("1", "2", "3", "b")
    for name in ("2", "1", "3"):
        look = looks.find(name)
        assert look is not None
        looks = looks.without(look)
        assert not called(looks, name)
    assert called(looks, "b") == "b" and not called(looks, "1")


def test_a_name_of_a_cue_is_never_a_number() -> None:
    looks = Show(show("a", "b").looks, (Cue("2"),))
    assert looks.named("2") is None and looks.listed == ()
    assert looks.without(looks.looks[1]).cues == (Cue("2"),)


@pytest.mark.parametrize(
    "name",
    ["x" * 200, "a  b\n", "Grün", "Gru\u0308n", "👩\u200d🚀", "../../etc/passwd", "İstanbul", "\u202eevil"],
    ids=ascii,
)  # fmt: skip
def test_a_look_is_found_by_the_name_by_which_it_was_stored(name: str) -> None:
    look = capture(name, ParameterStore().snapshot().values)
    looks = show("a").with_look(look)
    assert looks.find(name) is look and looks.find(look.name) is look and len(look.name) <= LONGEST_NAME


@pytest.mark.parametrize("name", ["👩\u200d🚀", "می\u200cخواهم"], ids=ascii)
def test_a_name_keeps_the_joiners_that_shape_its_letters(name: str) -> None:
    values = ParameterStore().snapshot().values
    assert capture(f"\u200d{name} \u200c", values).name == name and capture("\u200c\u200d", values).name == ""
    assert not capture(name * 40, values).name.endswith(("\u200c", "\u200d"))


def test_cues_follow_a_look_that_is_stored_in_another_case() -> None:
    looks = Show(show("Sea", "b").looks, (Cue("Sea"), Cue("b"))).with_look(Look("SEA", {}))
    assert [look.name for look in looks.looks] == ["SEA", "b"] and [cue.look for cue in looks.cues] == ["SEA", "b"]
