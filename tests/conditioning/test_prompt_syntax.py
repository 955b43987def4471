"""Brackets and other syntax in prompts are removed, and never raise."""

from __future__ import annotations

import random

import pytest

from tpos_live.conditioning.prompt_report import PromptReport
from tpos_live.conditioning.vocabulary import rewritten
from tpos_live.conditioning.words import without_syntax


@pytest.mark.parametrize(
    ("prompt", "text", "unused"),
    [
        ("neon jellyfish", "neon jellyfish", ()),
        ("fire: a study, 3:2", "fire: a study, 3:2", ()),
        ("(fire:1.5)", "fire", ("weights in brackets",)),
        ("((fire)) and [ice]", "fire and ice", ("weights in brackets",)),
        ("(neon (fire:1.2):.8), [[sea]]", "neon fire, sea", ("weights in brackets",)),
        ("a AND b", "a, b", ("AND",)),
        ("a BREAK b AND c", "a, b, c", ("BREAK", "AND")),
        ("fire and ANDROMEDA", "fire and ANDROMEDA", ()),
        ("fire <lora:x:1>", "fire", ("<lora:…>, see docs/engines.md",)),
        (r"smile \(face\)", "smile (face)", ()),
        ("", "", ()),
    ],
)
def test_the_words_are_left_and_the_rest_is_named(prompt: str, text: str, unused: tuple[str, ...]) -> None:
    found = without_syntax(prompt)
    assert (found.text, found.unused) == (text, unused)
    assert found.line == (f"not used: {', '.join(unused)}" if unused else "")


def test_malformed_brackets_never_raise() -> None:
    dice = random.Random(1)
    for _ in range(3000):
        text = "".join(dice.choice("()[]:<>\\ 1.5aAND lora\n🔥") for _ in range(dice.randrange(40)))
        found = without_syntax(text)
        assert len(found.text) <= len(text) + text.count("AND") and found.line.count("\n") == 0
    assert without_syntax("(" * 50_000 + "fire").text == "fire"


def test_engines_hear_the_words_and_the_performer_the_rest() -> None:
    assert rewritten("(fire:1.5) AND [ice]", None) == "fire, ice"
    with PromptReport(lambda: None, synchronous=True) as interpreter:
        interpreter.follow("(fire:1.5)")
        assert interpreter.line == "not used: weights in brackets"
