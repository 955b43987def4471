"""Look-ups of OSC addresses."""

import time

import pytest

from tpos_live.control.osc_addresses import ADDRESSES, ALIASES, COMMANDS, LEAVES, find, find_name
from tpos_live.core.parameters import TABLE


def names(pattern):
    return [p.name for p in find(pattern)]


def test_every_parameter_has_its_address():
    for parameter in TABLE.values():
        assert find(parameter.address) == (parameter,)
    both = [address for address in LEAVES if address.endswith("/value")]
    assert len(LEAVES) == len(TABLE) and len(ADDRESSES) == len(TABLE) + len(COMMANDS) + len(ALIASES) + len(both)


def test_no_leaf_has_an_address_below_it():
    assert not [leaf for leaf in LEAVES for other in LEAVES if other.startswith(f"{leaf}/")]
    assert find("/tpos/prompt/value") == find("/tpos/prompt") and "/tpos/finish/bloom" in LEAVES
    assert names("/tpos/seed/*") == ["seed.walk"], "a pattern finds each parameter once"


def test_commands_and_aliases_hide_no_parameter():
    own = {p.address for p in TABLE.values()}
    assert not own & {c.address for c in COMMANDS} and not own & set(ALIASES)
    assert names("/opacity") == ["out.level"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/tpos/motion/pan_?", ["motion.pan_x", "motion.pan_y"]),
        ("/tpos/prompt/[2-4]", ["prompt.2", "prompt.3", "prompt.4"]),
        ("/tpos/prompt/[!2-8]", ["prompt.1"]),
        ("/tpos/{motion,out}/{zoom,level}", ["motion.zoom", "out.level"]),
        ("/*/seed", ["seed"]),
        ("/tpos/seed/*", ["seed.walk"]),  # not the trigger seed.random
        ("/tpos/*/nothing", []),
        ("/tpos/{seed", []),
        ("/tpos/unknown", []),
        ("", []),
    ],
)
def test_patterns(pattern, found):
    assert sorted(names(pattern)) == sorted(found)


def test_a_wildcard_stays_within_its_segment():
    assert "motion.zoom" not in names("/tpos/*") and "seed" in names("/tpos/*")


@pytest.mark.parametrize(
    "pattern",
    ["/tpos/" + "*a" * 60, "/tpos/" + "{a,b}" * 30, "/tpos/" + "*" * 190, "/" * 199 + "*", "/tpos/[" * 20, "{" * 99],
)
def test_no_pattern_takes_long(pattern):
    start = time.thread_time()
    assert find(pattern) == () or set(names(pattern)) <= set(TABLE)
    assert time.thread_time() - start < 0.3


@pytest.mark.parametrize("name", ["motion.zoom", "motion/zoom", "/tpos/motion/zoom"])
def test_names_and_addresses_are_both_understood(name):
    assert [p.name for p in find_name(name)] == ["motion.zoom"]


def test_names_may_be_patterns():
    assert len(find_name("motion.*")) == 4
    assert find_name("prompt.blend") == ()
