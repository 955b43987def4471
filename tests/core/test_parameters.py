"""The parameter table and its store."""

from __future__ import annotations

import contextlib
import math
import threading

import pytest

from tpos_live.core.parameter import Parameter, ParameterError, whole_number
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.setting_values import parse_address, parse_channels, parse_screen


def test_every_default_is_a_legal_value() -> None:
    for parameter in TABLE.values():
        assert parameter.parse(parameter.default) == parameter.default
        assert parameter.text and parameter.address.startswith("/tpos/")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("strength", 7, 1.0),
        ("strength", -1, 0.1),
        ("steps", 2.4, 2),
        ("out.blackout", 0.5, True),
        ("out.blackout", 0.49, False),
        ("out.fit", 1.0, "contain"),
        ("out.fit", "Mirror", "mirror"),
        ("out.fit", 9, "mirror"),
        ("prompt", 3, "3"),
    ],
)
def test_values_are_parsed(name: str, value: object, expected: object) -> None:
    assert TABLE[name].parse(value) == expected


@pytest.mark.parametrize("value", ["x", math.nan, math.inf, None, [1], b"\x00"])
def test_nonsense_is_refused(value: object) -> None:
    store = ParameterStore()
    with pytest.raises(ParameterError):
        store.set("strength", value)
    assert store.snapshot()["strength"] == 1.0


def test_snapshot_is_immutable_and_update_is_one_change() -> None:
    store = ParameterStore({"prompt": "fire"})
    before = store.snapshot()
    store.update({"prompt": "sea", "strength": 0.5})
    assert before["prompt"] == "fire" and before["strength"] == 1.0
    assert store.snapshot().version == before.version + 1
    with pytest.raises(ParameterError):
        store.update({"prompt": "x", "strength": "much"})
    assert store.snapshot()["prompt"] == "sea"
    store.restore()
    assert store.snapshot()["prompt"] == "fire"


def test_same_value_is_no_change() -> None:
    store = ParameterStore()
    version = store.snapshot().version
    store.set("strength", 1.0)
    assert store.snapshot().version == version


def test_triggers_are_counted() -> None:
    store = ParameterStore()
    for _ in range(3):
        store.trigger("tempo.tap")
    assert store.snapshot().fired("tempo.tap") == 3
    assert store.snapshot().fired("reset") == 0
    with pytest.raises(KeyError):
        store.trigger("strength")
    with pytest.raises(ParameterError):
        store.set("tempo.tap", 1)


def test_writers_do_not_lose_each_other() -> None:
    store = ParameterStore()
    names = ["finish.light", "motion.rotate", "motion.zoom", "audio.gain"]

    def write(name: str) -> None:
        for i in range(300):
            store.set(name, i / 1000)
            store.trigger("tempo.tap")

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = store.snapshot()
    assert all(snapshot[name] == 0.299 for name in names)
    assert snapshot.fired("tempo.tap") == 1200


def test_address() -> None:
    assert Parameter("a.b_c", "float", 0.0, "x").address == "/tpos/a/b_c"


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" 12 ", 12), ("-3", -3), ("007", 7), ("9" * 9, 999_999_999)])
def test_a_whole_number_is_read(text: str, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text", ["", " ", "-", "--5", "5-", "+5", "1.5", "²", "٣", "1_000", "1 2", "9" * 10, "9" * 5000]
)
def test_what_only_looks_like_a_whole_number_is_none(text: str) -> None:
    """For each of them int() once raised, or gave another number."""
    assert whole_number(text) is None
    with contextlib.suppress(ValueError):
        assert parse_screen(text) == text.strip()
    for parse in (parse_channels, lambda words: parse_address(f"host:{words}")):
        with pytest.raises(ValueError, match="written"):
            parse(text)
