"""Captions for training images: phrases of each family, style, colour and mood, and a grammar that joins them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tpos_live.scenes.families import FAMILIES
from tpos_live.training.text.near_words import words_for
from tpos_live.training.text.synonyms import idle_word, word_for

PHRASES: dict[str, tuple[str, ...]] = {name: family.phrases for name, family in FAMILIES.items()}
HELD_OUT: dict[str, tuple[str, ...]] = {name: family.held_out for name, family in FAMILIES.items()}

COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet", "blood red"),
    "orange": ("orange", "amber", "copper"),
    "gold": ("golden", "yellow", "gold"),
    "green": ("green", "emerald", "lime"),
    "cyan": ("cyan", "turquoise", "teal", "icy"),
    "blue": ("blue", "azure", "sapphire"),
    "violet": ("violet", "purple", "ultraviolet"),
    "pink": ("pink", "magenta", "rose"),
}
"""Words by colour, a key of `scenes.palettes.HUES`."""

STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "natural": ("",),
    "neon": ("neon", "neon lights", "glowing neon", "synthwave", "fluorescent"),
    "pastel": ("pastel", "soft pastel colours", "pale", "delicate pastel"),
    "monochrome": ("monochrome", "black and white", "greyscale", "noir", "silver"),
    "watercolour": ("watercolour", "watercolor painting", "painted on paper", "aquarelle"),
    "infrared": ("infrared", "thermal camera", "heat map", "false colour"),
}

MOOD_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("",),
    "dark": ("dark", "gloomy", "moody", "sombre", "shadowy"),
    "bright": ("bright", "radiant", "luminous", "happy"),
    "calm": ("calm", "peaceful", "gentle", "quiet", "soft"),
    "energetic": ("energetic", "intense", "wild", "powerful", "vivid"),
}
MOOD_PHRASES: dict[str, tuple[str, ...]] = {
    "dark": ("dark calm", "dark", "gloomy", "sad"),
    "bright": ("bright energetic", "bright", "happy", "joyful"),
    "calm": ("calm", "peaceful", "quiet", "relaxing"),
    "energetic": ("energetic", "aggressive", "intense", "exciting"),
}
"""Texts of the audio tokens, by mood."""

_LEADS = ("", "", "", "a picture of ", "a view of ", "an image of ", "cinematic ", "a scene of ", "beautiful ")


CLEAR = (
    "fire", "ocean", "underwater", "aurora", "mountains", "nebula", "tunnel", "city_at_night", "sunset", "desert_dunes",
    "forest", "lava", "neon_grid", "laser_beams", "mandala", "plasma", "crystal", "liquid_metal",
)  # fmt: skip
"""Families that Ember draws bright and with high contrast; a prompt far from all families becomes the nearest of
these."""


def vocabulary(families: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """All phrases by kind and name: the vocabulary file of an engine trained on `families`."""
    return {
        "family": {name: list(PHRASES[name]) for name in families},
        "colour": {name: list(words) for name, words in COLOURS.items()},
        "style": {name: list(words) for name, words in STYLE_WORDS.items() if any(words)},
        "mood": {name: list(words) for name, words in MOOD_WORDS.items() if any(words)},
        "clear": {"family": [name for name in CLEAR if name in families]},
        "also": words_for(families),
    }


def phrase(rng: random.Random, family: str) -> str:
    """A random phrase for a family: its first phrase in 20 % of cases, a listed synonym in 25 %, else any phrase."""
    kind = rng.random()
    if kind < 0.2:
        return PHRASES[family][0]
    word = word_for(rng, family) if kind < 0.45 else ""
    return word or rng.choice(PHRASES[family])


def caption(rng: random.Random, family: str, style: str, mood: str, colour: str | None, second: str | None) -> str:
    """A random caption of an image. colour: a key of COLOURS. second: a family with an equal share of the image."""
    scene = phrase(rng, family)
    if second is not None:
        scene += rng.choice((" and ", " with ", " meets ", ", ")) + phrase(rng, second)
    before: list[str] = []
    after: list[str] = []
    for word in (
        rng.choice(MOOD_WORDS[mood]),
        rng.choice(COLOURS[colour]) if colour else "",
        rng.choice(STYLE_WORDS[style]),
    ):
        if word:
            (before if rng.random() < 0.6 else after).append(word)
    if rng.random() < 0.3:
        rng.shuffle(before)
    text = " ".join([*before, scene])
    if not before:
        text = rng.choice(_LEADS) + text
    if rng.random() < 0.12:
        text = rng.choice((f"{text} {idle_word(rng)}", f"{idle_word(rng)} {text}"))
    return ", ".join([text, *after])
