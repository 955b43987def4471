"""Which scene each known sound leads to.

A few sounds have a scene of the same name: rain, fire, thunder. The others are listed by hand, because the nearest
sentence vector is often wrong: for bells it is a circuit board, for a stream a broken television.
"""

from __future__ import annotations

from collections.abc import Sequence

SHOWN: dict[str, tuple[str, str]] = {
    # label of a sound: family, and one of its phrases
    "rain": ("rain", "rain"),
    "wind": ("desert_dunes", "wind over the dunes"),
    "fire": ("fire", "fire"),
    "ocean waves": ("ocean", "ocean waves"),
    "thunder": ("storm", "lightning"),
    "explosion": ("lava", "an erupting volcano"),
    "bubbles under water": ("underwater", "underwater"),
    "engine": ("neon_grid", "neon grid"),
    "bells": ("crystal", "crystal"),
    "drums": ("waveform", "a sound wave"),
    "deep space": ("nebula", "deep space"),
    "warp speed": ("tunnel", "warp speed"),
    "crowd of people": ("city_at_night", "city lights"),
    "applause": ("laser_beams", "concert lights"),
    "birds": ("forest", "forest"),
    "insects at night": ("starfield", "a starry sky"),
    "siren": ("city_at_night", "city at night"),
    "stream": ("ocean", "open water"),
    "electricity": ("plasma", "electricity"),
    "piano music": ("flowers", "flowers"),
    # kinds of music
    "ambient music": ("nebula", "glowing gas in space"),
    "dark ambient music": ("eclipse", "solar eclipse"),
    "techno music": ("laser_beams", "techno party"),
    "house music": ("plasma", "a plasma globe"),
    "electronic music": ("plasma", "energy field"),
    "trance music": ("aurora", "aurora"),
    "drum and bass music": ("circuit", "data flowing through a chip"),
    "synthwave music": ("neon_grid", "a synthwave landscape"),
    "chillout music": ("underwater", "a glowing jellyfish"),
    "hip hop music": ("city_at_night", "downtown"),
    "rock music": ("fire", "bonfire"),
    "heavy metal music": ("lava", "molten rock"),
    "acoustic guitar music": ("sunset", "golden hour"),
    "classical string music": ("mountains", "misty mountains"),
    "epic orchestral music": ("storm", "a thunderhead"),
    "jazz music": ("rain", "a rainy street at night"),
    "funk music": ("laser_beams", "disco lights"),
    "choir music": ("clouds", "heaven"),
    "chiptune music": ("neon_grid", "an eighties video game"),
    # classes of recorded clips
    "baby cry": ("cells", "cells"),
    "chainsaw": ("forest", "forest"),
    "clock tick": ("mandala", "mandala"),
    "dog bark": ("forest", "forest"),
    "fire crackling": ("fire", "burning fire"),
    "helicopter": ("clouds", "above the clouds"),
    "person sneeze": ("glitch", "a glitch"),
    "rooster": ("sunset", "sunrise"),
    "sea waves": ("ocean", "ocean waves"),
}
"""Calm, energetic, dark and bright are not listed: they are moods, which change any scene."""


def shown(texts: Sequence[str], families: Sequence[str]) -> dict[str, str]:
    """For each of `texts` whose scene is among `families`, the phrase of that scene."""
    return {text: SHOWN[text][1] for text in texts if text in SHOWN and SHOWN[text][0] in families}


def bank(scenes: Sequence[str], texts: Sequence[str], families: Sequence[str]) -> list[tuple[str, str]]:
    """The phrase bank of an audio encoder, as pairs: a phrase that the engine draws, and the text whose sentence vector
    is its key.

    scenes: phrases with their own vector as key. texts: labels of sounds; for a label that SHOWN pairs with a scene of
    `families`, the label's vector is the key of that scene's phrase, and a scene phrase equal to the label is left out.
    """
    paired = shown(texts, families)
    own = [(phrase, phrase) for phrase in scenes if phrase not in paired]
    return own + [(phrase, text) for text, phrase in paired.items()]
