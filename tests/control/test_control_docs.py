"""The generated pages agree with the program."""

import re
from pathlib import Path

import pytest

from tpos_live.control.docs import PAGES, list_osc, main
from tpos_live.control.osc_addresses import ALIASES, COMMANDS, find
from tpos_live.control.osc_feedback import NUMBERS, WORDS
from tpos_live.control.osc_targets import Targets
from tpos_live.core.parameters import FEATURES, TABLE, TARGETS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m tpos_live.control.docs"


@pytest.mark.parametrize("text", [list_osc(), PAGES["osc.md"]()], ids=["list", "page"])
def test_every_address_is_there(text):
    for parameter in TABLE.values():
        if not parameter.name.startswith("map."):
            count = 4 if parameter.name.startswith(("lora.", "out.wall.")) else 8
            assert re.sub(r"/[1-8]\b", f"/{{1..{count}}}", parameter.address) in text
    assert all(word in text for word in [*FEATURES, *TARGETS, *ALIASES, *(c.address for c in COMMANDS)])
    of_the_map = [line for line in text.splitlines() if "/tpos/map/" in line]
    assert len(of_the_map) < 30, "the map is a pattern, not a row for each of its 828 parameters"


def test_the_page_says_how_many_senders_are_answered():
    targets = Targets()
    for number in range(100):
        targets.heard(f"10.0.1.{number}", 1.0)
    assert f"of the {len(targets.all())} that sent last" in " ".join((DOCS / "osc.md").read_text("utf-8").split())


def test_pages_are_written(tmp_path):
    main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PAGES)


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_addresses_in_the_pages_exist(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    answered = {f"/tpos/status/{name}" for name in (*NUMBERS, *WORDS, "alive", "applied")} | {
        "/tpos/pong",
        "/tpos/subscribed",
    }
    examples = {"{feature}": "kick", "{target}": "zoom", "{1..8}": "1", "{1..4}": "1", "{slot}": "1"}
    for address in re.findall(r"/tpos/[\w/{}.,*]*[\w}*]", text):
        for placeholder, example in examples.items():
            address = address.replace(placeholder, example)
        assert find(address) or address in answered, f"{page}: {address}"
