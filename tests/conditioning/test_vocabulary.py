"""What an engine understands of a prompt, with Ember's own words and encoder."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.engines import ember_sentences
from fakes.waiting import wait_until

from tpos_live.conditioning.prompt_match import PromptMatch
from tpos_live.conditioning.prompt_report import PromptReport
from tpos_live.conditioning.vocabulary import LONGEST, MOST_WORDS, Vocabulary, load_vocabulary, rewritten
from tpos_live.conditioning.vocabulary_file import ALSO, CLEAR, KINDS, VOCABULARY_FILE
from tpos_live.conditioning.words import SMALL_WORDS, plain_letters, whole_words
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.text.captions import vocabulary as phrases_of
from tpos_live.training.text.near_words import near_words, next_best, words_for

EMBER = Path(__file__).parents[2] / "engines" / "ember"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    made = load_vocabulary(EMBER, ember_sentences())
    assert made is not None
    return made


@cache
def vocabulary_of(*offered: str) -> Vocabulary:
    """The vocabulary of an engine that offers these families, with Ember's encoder."""
    return Vocabulary(phrases_of(offered), ember_sentences(), whole_words(EMBER))


@pytest.fixture(scope="module")
def all_families() -> Vocabulary:
    """The vocabulary of an engine that offers every family."""
    return vocabulary_of(*FAMILIES)


def test_the_engine_in_the_box_lists_all_its_families() -> None:
    import tomllib

    phrases = json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))
    families = tomllib.loads((EMBER / "families.toml").read_text(encoding="utf-8"))["families"]
    assert set(phrases) == {*KINDS, CLEAR, ALSO} and list(phrases["family"]) == list(phrases[ALSO]) == families
    assert phrases == phrases_of(families), "write it again: tpos_live.training.text.families_file.write_families"


def test_the_documentation_says_what_the_engine_offers_and_what_its_line_says(vocabulary: Vocabulary) -> None:
    phrases = json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))
    text = (Path(__file__).parents[2] / "docs" / "perform.md").read_text(encoding="utf-8")
    offered, words = len(phrases["family"]), sum(map(len, phrases[ALSO].values()))
    assert f"Ember offers {offered} kinds of scene" in " ".join(text.split())
    assert f"the scene of {words} more words" in " ".join(text.split())
    rows = re.findall(r"^\| `(.+)` \| `(.+ \(0\.\d\d\).*?)`", text, re.MULTILINE)
    assert len(rows) == 4
    for prompt, line in rows:
        assert re.sub(r"\(.*?\)", "", str(vocabulary.match(prompt))) == re.sub(r"\(.*?\)", "", line)
    about = re.search(r"more words, from (.*?) All others", " ".join(text.split()))
    examples = re.findall(r"\*(.+?)\*", about[1]) if about else []
    assert len(examples) == 6
    assert not [word for word in examples if vocabulary.match(word).missed or vocabulary.match(word).instead]


def test_the_report_has_family_style_and_words_that_are_not_understood(vocabulary: Vocabulary) -> None:
    understood = vocabulary.match("neon samurai in a city at night")
    assert understood.families == ("city_at_night",) and understood.others == ("neon",)
    assert understood.missed == ("samurai",) and 0.5 < understood.near < 1
    assert str(understood) == f"city at night · neon ({understood.near:.2f}); not understood: samurai"


@pytest.mark.parametrize(
    ("prompt", "family", "others"),
    [
        ("an inferno", "fire", ()),
        ("golden city at night", "city_at_night", ("gold",)),
        ("violet nebula, dark", "nebula", ("violet", "dark")),
        ("Watercolour MOUNTAINS!", "mountains", ("watercolour",)),
        ("a picture of the ocean", "ocean", ()),
    ],
)
def test_known_words_are_found_as_written(
    vocabulary: Vocabulary, prompt: str, family: str, others: tuple[str, ...]
) -> None:
    understood = vocabulary.match(prompt)
    assert understood.families[0] == family and understood.others == others and not understood.missed


def test_a_new_word_lands_on_its_neighbour(vocabulary: Vocabulary) -> None:
    assert vocabulary.match("combustion").families[0] == "fire"
    assert vocabulary.match("skyscraper").families[0] == "city_at_night"


@pytest.mark.parametrize(
    ("prompt", "retold"),
    [
        ("neon jellyfish", "neon jellyfish"),  # the engine's own words stay as they are
        ("Watercolour  City at\tNight", "Watercolour  City at\tNight"),
        ("slow watercolour  City at\tNight", "watercolour city at night"),
        ("fire and ocean", "fire and ocean"),
        ("a samurai between fire and ocean", "fire and ocean"),
        ("hot flames dancing", "fire"),
        ("combustion", "fire"),
        ("combustion in neon", "neon fire"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_a_prompt_in_other_words_is_rewritten_in_known_words(vocabulary: Vocabulary, prompt: str, retold: str) -> None:
    assert vocabulary.rewrite(prompt) == retold


def test_rewriting_gives_the_known_words_and_without_a_vocabulary_the_prompt(
    vocabulary: Vocabulary, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert rewritten("combustion", vocabulary) == "fire"
    assert caplog.messages == ["prompt 'combustion' is rewritten as 'fire'"]
    assert rewritten("combustion", None) == "combustion"


def parts_of(text: str) -> list[str]:
    """The text and the parts of it that a vocabulary compares."""
    words = plain_letters(text).split()
    ends = ((start, start + count) for start in range(len(words)) for count in range(1, LONGEST + 1))
    return [" ".join(words), *(" ".join(words[start:end]) for start, end in ends)]


def test_words_that_were_never_taught_are_found_as_they_are_written_and_rewritten(vocabulary: Vocabulary) -> None:
    ten = list(json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))["family"])
    for third, offered in enumerate((ten, [*ten, "tunnel", "storm", "flowers"], list(near_words()))):
        known = vocabulary if offered is ten else vocabulary_of(*offered)
        listed = [(text, name) for name, texts in words_for(offered).items() for text in texts][third::3]
        ember_sentences()([part for text, _ in listed for part in parts_of(text)])  # together, not one by one
        assert not [(text, name) for text, name in listed if known.match(text).families != (name,)]
    assert vocabulary.rewrite("Mount Everest") == "mountains"
    assert vocabulary.rewrite("a samurai over Mount Everest") == "mountains"
    understood = vocabulary.match("golden sharks and a kraken")
    assert understood.families == ("underwater",) and understood.others == ("gold",)


def right_scenes(told: str, offered: Collection[str]) -> set[str]:
    """The families that are right for a row of `typed_prompts.tsv`, or "none", where `offered` are offered."""
    for best in told.split(", "):
        if right := {name for name in best.split("/") if name == "none" or name in offered}:
            return right
    return {"none"}


def typed_prompts(name: str = "typed_prompts.tsv") -> list[tuple[str, str]]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [(prompt, told) for prompt, told in (line.split("\t") for line in lines if not line.startswith("#"))]


def test_what_is_right_for_a_prompt_depends_on_what_is_offered() -> None:
    assert right_scenes("galaxy, nebula", ["galaxy", "nebula"]) == {"galaxy"}
    assert right_scenes("galaxy, nebula", ["fire", "nebula"]) == {"nebula"}
    assert right_scenes("snow/storm", ["fire", "snow", "storm"]) == {"snow", "storm"}
    assert right_scenes("forest", ["fire"]) == right_scenes("none", ["fire"]) == {"none"}
    named = {name for _, told in typed_prompts() for best in told.split(", ") for name in best.split("/")}
    assert named == {*near_words(), "none"}


@pytest.mark.parametrize(
    ("name", "shipped", "scenes", "none"),
    [
        ("typed_prompts.tsv", True, 0.97, 0.83),  # 343 of 348 and 111 of 132
        ("typed_prompts.tsv", False, 0.92, 0.8),
        ("rare_prompts.tsv", True, 0.93, 0.95),  # 362 of 378 and 67 of 68
    ],
)
def test_prompts_as_people_type_them_find_their_family_and_the_others_are_said_to_be_none(
    vocabulary: Vocabulary, name: str, shipped: bool, scenes: float, none: float
) -> None:
    offered = list(json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))["family"])
    if not shipped:
        offered, vocabulary = list(near_words()), vocabulary_of(*near_words())
    found: dict[bool, list[bool]] = {True: [], False: []}
    for prompt, told in typed_prompts(name):
        right, understood = right_scenes(told, offered), vocabulary.match(prompt)
        as_none = understood.instead and "none" in right
        found[right == {"none"}].append(as_none or understood.families[:1] in [(name,) for name in right])
    assert sum(map(len, found.values())) >= 440
    shares = {kind: np.mean(found[kind]) for kind in found}
    assert shares[False] >= scenes and shares[True] >= none, {kind: sum(right) for kind, right in found.items()}


def test_no_word_is_listed_for_two_families() -> None:
    listed = [(text, name) for name, texts in near_words().items() for text in texts]
    words = [text for text, _ in listed]
    assert all(text == text.lower().strip() for text in words)
    assert len({plain_letters(text) for text in words}) == len(words)
    taught = {text.lower() for name in near_words() for text in FAMILIES[name].phrases}
    assert not taught & set(words)
    assert {name for _, name in listed} <= set(FAMILIES)
    owned = {*words, *taught, *(text for name in near_words() for text in FAMILIES[name].held_out)}
    assert {text for texts in next_best().values() for text in texts} <= owned


def test_a_word_leads_to_the_next_best_family_until_its_own_is_offered() -> None:
    ten = list(json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))["family"])
    some = {text: name for name, texts in words_for(["fire", "nebula", "plasma"]).items() for text in texts}
    assert some["milky way"] == some["galaxy"] == "nebula" and some["volcano"] == "fire"
    assert some["lightning"] == some["thor"] == "plasma" and some["vortex"] == "nebula" and "tornado" not in some
    more = words_for(["fire", "nebula", "plasma", "galaxy", "lava", "storm", "tunnel"])
    assert "milky way" in more["galaxy"] and "milky way" not in more["nebula"] and "galaxies" not in more["nebula"]
    assert "tornado" in more["storm"] and not {"lightning", "thor"} & {*more["plasma"]} and "thor" in more["storm"]
    assert "vortex" in words_for(["nebula", "tunnel"])["tunnel"]
    for offered in (ten, list(near_words())):
        words = [text for texts in words_for(offered).values() for text in texts]
        assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("prompt", "family"),
    [
        ("Popocat\u00e9petl at 5 am", "lava"),  # with its accent
        ("popocatepetl", "lava"),
        ("ORCAS!", "underwater"),  # a plural
        ("mineshafts", "tunnel"),
        ("Jacob\u2019s ladder", "plasma"),  # an apostrophe as telephones write it
        ("Fahrenheit 451", "fire"),  # a word without a letter
        ("30 Doradus, deep field", "nebula"),
    ],
)
def test_plurals_accents_capitals_and_numbers_make_no_difference(
    vocabulary: Vocabulary, prompt: str, family: str
) -> None:
    understood = vocabulary.match(prompt)
    assert understood.families == (family,) and not understood.instead


@pytest.mark.parametrize(
    ("prompt", "families"),
    [
        ("orcas and a volcano", {"underwater", "lava"}),
        ("tokyo with thunder", {"city_at_night", "storm"}),
        ("\U0001f525\U0001f30a", {"fire", "ocean"}),  # two emoji are two things
        ("thunder over tokyo", {"storm"}),  # tokyo is the place
        ("sharks and piranhas", {"underwater"}),
    ],
)
def test_two_subjects_with_an_and_between_them_are_two_scenes(
    vocabulary: Vocabulary, prompt: str, families: set[str]
) -> None:
    assert set(vocabulary.match(prompt).families) == families


@pytest.mark.parametrize(
    ("prompt", "named", "drawn"),
    [
        ("orcas and a volcano", "underwater + lava", "jellyfish and lava"),
        ("a volcano and orcas", "lava + underwater", "lava and jellyfish"),
        ("galaxy and jellyfish", "galaxy + underwater", "galaxy and jellyfish"),
        ("\U0001f525\U0001f30a", "fire + ocean", "fire and ocean"),
    ],
)
def test_two_scenes_are_named_and_drawn_in_the_order_of_the_prompt(
    vocabulary: Vocabulary, prompt: str, named: str, drawn: str
) -> None:
    assert str(vocabulary.match(prompt)).startswith(f"{named} (")
    assert vocabulary.rewrite(prompt) == drawn


@pytest.mark.parametrize("word", ["scatter", "withering", "roaster", "sumer"])
def test_a_word_is_no_typing_error_of_a_name(vocabulary: Vocabulary, word: str) -> None:
    assert vocabulary.match(word).instead


def test_two_families_are_both_reported(vocabulary: Vocabulary) -> None:
    assert set(vocabulary.match("fire and ocean").families) == {"fire", "ocean"}


def test_every_phrase_is_understood_as_its_own_family(vocabulary: Vocabulary) -> None:
    phrases = json.loads((EMBER / VOCABULARY_FILE).read_text(encoding="utf-8"))["family"]
    wrong = [
        (text, name) for name, texts in phrases.items() for text in texts if vocabulary.match(text).families[0] != name
    ]
    shared = [text for texts in phrases.values() for text in texts]
    assert not [text for text, _ in wrong if shared.count(text) == 1]


@pytest.mark.parametrize("prompt", ["海と空", "Привет", "שלום", "12345", "火"])
def test_what_is_no_english_is_said_to_be_missed_and_drawn_bright(vocabulary: Vocabulary, prompt: str) -> None:
    """The encoder has no tokens for it: without a substitute the image would be dim and without a subject."""
    understood = vocabulary.match(prompt)
    assert understood.instead and understood.missed == (prompt,) and understood.others == ("bright",)
    assert str(understood).startswith("drawn instead: ") and str(understood).endswith(f"not understood: {prompt}")
    assert vocabulary.rewrite(prompt).startswith("bright ")
    assert vocabulary.match(vocabulary.rewrite(prompt)).families == understood.families


@pytest.mark.parametrize(
    ("prompt", "drawn"),
    [
        ("🔥🔥🔥", "fire"),
        ("🌊", "ocean"),
        ("\U0001fabc", "jellyfish"),
        ("🏔️❄️", "mountains"),
        ("💜 🌆", "violet city at night"),
        ("👩🏽\u200d🚀", "nebula"),
        ("❤️", "red bright plasma"),
        ("☀️", "sunset"),
        ("⭐", "nebula"),
        ("1️⃣🔥", "fire"),
        ("🇧🇷", "bright fire"),
        ("(🔥:1.3) [🌊]", "fire and ocean"),
        ("fire ®", "fire ®"),
    ],
)
def test_emoji_are_read_as_their_names(vocabulary: Vocabulary, prompt: str, drawn: str) -> None:
    assert vocabulary.rewrite(prompt) == drawn
    assert all(word.isascii() for word in vocabulary.match(prompt).missed)


@pytest.mark.parametrize("prompt", ["", "   \n\t", "\x00"])
def test_a_prompt_without_words_gives_no_line(vocabulary: Vocabulary, prompt: str) -> None:
    assert vocabulary.match(prompt).families == ()


def test_a_very_long_prompt_is_read_from_its_beginning(vocabulary: Vocabulary) -> None:
    for prompt in ("x" * 10_000, "sea " * 3000, "a 🔥 of qwzrt " * 3000):
        understood = vocabulary.match(prompt)
        assert len(str(understood)) < 200
        assert understood.cut == (len(prompt.split()) > MOST_WORDS)


def test_many_missed_words_are_counted() -> None:
    assert str(PromptMatch(missed=tuple("abcde"))) == "not understood: a, b, c and 2 more"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"family": {}}', '{"family": {"fire": [3]}}', "\xff"])
def test_an_engine_without_a_sound_vocabulary_tells_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / VOCABULARY_FILE).write_text(content, encoding="latin-1")
    assert load_vocabulary(tmp_path, lambda texts: torch.ones(len(texts), 4)) is None


def test_the_prompt_report_has_a_thread_and_takes_the_newest_prompt(vocabulary: Vocabulary) -> None:
    begins, waited = threading.Event(), list[bool]()

    def slow() -> Vocabulary:
        waited.append(begins.wait(20))
        return vocabulary

    with PromptReport(slow) as interpreter:
        for prompt in ("fire", "fire", "ocean", "samurai nebula"):
            interpreter.follow(prompt)
        assert not waited, "following waits for the reading"
        begins.set()
        assert wait_until(lambda: "nebula" in interpreter.line)
        assert interpreter.line.startswith("nebula") and "samurai" in interpreter.line


def test_the_prompt_report_may_be_synchronous_and_needs_no_vocabulary() -> None:
    with PromptReport(lambda: None, synchronous=True) as interpreter:
        interpreter.follow("fire")
        assert interpreter.line == ""


def test_an_error_of_the_vocabulary_does_not_end_the_show() -> None:
    def broken() -> Vocabulary:
        raise OSError("gone")

    with PromptReport(broken, synchronous=True) as interpreter:
        interpreter.follow("fire")
        assert interpreter.line == ""


FAR = (
    "samurai in cherry blossom storm", "acid house smiley", "dragon made of smoke", "a glass piano", "black cat",
    "bioluminescent glass jungle", "tiger eyes in the dark", "blue sea",
)  # fmt: skip


@pytest.mark.parametrize("prompt", FAR)
def test_the_report_names_the_families_that_are_drawn(vocabulary: Vocabulary, prompt: str) -> None:
    """Every content word is in the rewritten prompt, as its nearest phrase, or listed as not understood."""
    understood, drawn = vocabulary.match(prompt), vocabulary.rewrite(prompt)
    assert drawn == prompt or all(other.split()[0] in drawn for other in understood.others)
    again = vocabulary.match(drawn)
    assert set(again.families) == set(understood.families) and not again.missed
    named = " ".join(understood.missed)
    for word in re.findall(r"[\w']+", prompt):
        one = vocabulary.match(word)
        seen = {*one.families, *one.others} & {*understood.families, *understood.others}
        assert word in SMALL_WORDS or word in named or seen


@pytest.mark.parametrize(
    ("prompt", "retold"),
    [
        ("samurai in cherry blossom storm", "pink bright flowers"),
        ("pink elephant", "pink bright mandala"),
        ("black cat", "monochrome bright fire"),
        ("blue sea", "blue ocean"),
    ],
)
def test_a_prompt_far_from_all_is_drawn_bright_in_its_colours(
    all_families: Vocabulary, prompt: str, retold: str
) -> None:
    assert all_families.rewrite(prompt) == retold


@pytest.mark.parametrize(
    ("prompt", "family"),
    [
        ("bubbles in the evening sun", "bubbles"),
        ("incense in golden light", "smoke"),
        ("slow snowfall over a quiet town", "snow"),
        ("a full moon over old streets", "eclipse"),
    ],
)
def test_a_dim_scene_that_is_written_out_does_not_give_way_to_a_similar_word(
    all_families: Vocabulary, prompt: str, family: str
) -> None:
    assert all_families.match(prompt).families == (family,)


@pytest.mark.parametrize("prompt", ["the passage of time", "hot air balloon"])
def test_a_single_word_that_is_only_similar_makes_no_scene_of_a_prompt(all_families: Vocabulary, prompt: str) -> None:
    assert all_families.match(prompt).instead


@pytest.mark.parametrize(
    ("prompt", "styles"),
    [
        ("aurora over black mountains", ()),
        ("white waves under a nebula", ()),
        ("black and white aurora over mountains", ("monochrome",)),
        ("silver aurora over mountains", ("monochrome",)),
        ("black mountains", ("monochrome",)),
    ],
)
def test_black_beside_two_scenes_does_not_make_the_whole_image_grey(
    vocabulary: Vocabulary, prompt: str, styles: tuple[str, ...]
) -> None:
    understood = vocabulary.match(prompt)
    assert tuple(other for other in understood.others if other == "monochrome") == styles
    assert styles or {"black", "white"} & set(understood.missed)
    assert styles or "monochrome" not in vocabulary.rewrite(prompt)


@pytest.mark.parametrize(
    ("prompt", "drawn"),
    [
        ("a bright galaxy in empty space", "bright galaxy"),
        ("outrun car at sundown", "neon grid"),
        ("mount fuji at dawn", "mountains"),
        ("lightning bolt over the skyline", "storm"),
        ("blue galaxy over mountains, pastel", "blue pastel galaxy and mountains"),
        ("samurai in a burning forest", "bright fire"),
    ],
)
def test_a_scene_before_a_preposition_is_the_subject(vocabulary: Vocabulary, prompt: str, drawn: str) -> None:
    understood = vocabulary.match(vocabulary.rewrite(prompt))
    assert understood.families == vocabulary.match(drawn).families


@pytest.mark.parametrize("where", ["beneath the ocean", "underneath the sea", "the floor of the ocean"])
def test_below_the_sea_is_under_water_in_a_sentence_too(vocabulary: Vocabulary, where: str) -> None:
    assert vocabulary.match(f"strange lights {where}").families[0] == "underwater"


def test_the_report_says_that_something_else_is_drawn(vocabulary: Vocabulary) -> None:
    line = str(vocabulary.match("acid house smiley"))
    assert line.startswith("drawn instead: ") and "green" in line
    assert line.endswith("not understood: acid, house, smiley")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "", "[]", *(json.dumps({k: {"a": a} for k in KINDS}) for a in ([], "abc", [" "]))]
)
def test_a_damaged_vocabulary_is_one_line_and_none(tmp_path: Path, messages: list[str], text: str) -> None:
    (tmp_path / VOCABULARY_FILE).write_text(text)
    assert load_vocabulary(tmp_path, lambda texts: torch.ones(len(texts), 2)) is None
    assert len(messages) == 1 and messages[0].endswith("fetch or install the engine again")
