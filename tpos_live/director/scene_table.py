"""The director's scenes: which images suit which kind of music, and at what energy.

A scene's text is a prompt that every engine can draw. For Ember it is a phrase of one of its families, so scenes of
families that Ember does not offer can be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Scene:
    """text: the prompt. kin: a group of similar scenes, for Ember a family. energy: of the music that it suits, 0 to 1.
    light: 0 dark to 1 bright."""

    text: str
    kin: str
    energy: float
    light: float


SCENES: tuple[Scene, ...] = (
    Scene("a glowing jellyfish", "underwater", 0.25, 0.35),
    Scene("deep sea", "underwater", 0.1, 0.1),
    Scene("northern lights", "aurora", 0.3, 0.5),
    Scene("arctic night sky", "aurora", 0.15, 0.3),
    Scene("misty mountains", "mountains", 0.15, 0.5),
    Scene("a mountain sunset", "mountains", 0.45, 0.7),
    Scene("the sea", "ocean", 0.3, 0.5),
    Scene("breaking waves", "ocean", 0.65, 0.6),
    Scene("cosmic clouds", "nebula", 0.35, 0.35),
    Scene("a stellar nursery", "nebula", 0.55, 0.5),
    Scene("afterglow", "sunset", 0.2, 0.6),
    Scene("a burning sky", "sunset", 0.6, 0.8),
    Scene("city lights", "city", 0.45, 0.4),
    Scene("neon city", "city", 0.7, 0.55),
    Scene("a synthwave landscape", "neon_grid", 0.55, 0.5),
    Scene("a neon grid", "neon_grid", 0.8, 0.6),
    Scene("wormhole", "tunnel", 0.7, 0.4),
    Scene("a neon tunnel", "tunnel", 0.9, 0.6),
    Scene("a plasma globe", "plasma", 0.7, 0.5),
    Scene("electric plasma", "plasma", 0.95, 0.7),
    Scene("a campfire", "fire", 0.5, 0.5),
    Scene("blazing flames", "fire", 0.9, 0.8),
    Scene("a river of lava", "lava", 0.8, 0.6),
    Scene("a laser show", "lasers", 0.95, 0.7),
    Scene("lasers in fog", "lasers", 0.75, 0.5),
    Scene("fireworks", "fireworks", 1.0, 0.7),
    Scene("thunderstorm", "storm", 0.85, 0.2),
    Scene("a kaleidoscope", "kaleidoscope", 0.7, 0.8),
    Scene("a golden mandala", "mandala", 0.35, 0.7),
    Scene("fractal spirals", "fractal", 0.6, 0.6),
    Scene("flowing chrome", "metal", 0.75, 0.6),
    Scene("crystals", "crystal", 0.4, 0.7),
    Scene("swirling ink", "ink", 0.2, 0.5),
    Scene("a deep forest", "forest", 0.2, 0.4),
    Scene("light through the trees", "forest", 0.4, 0.8),
    Scene("a starry sky", "stars", 0.15, 0.15),
    Scene("a spiral of stars", "galaxy", 0.4, 0.4),
    Scene("sand dunes", "desert", 0.25, 0.8),
    Scene("morning mist", "fog", 0.1, 0.7),
    Scene("falling snow", "snow", 0.2, 0.7),
    Scene("flowers", "flowers", 0.35, 0.9),
    Scene("solar eclipse", "eclipse", 0.3, 0.2),
    Scene("rising smoke", "smoke", 0.25, 0.2),
    Scene("floating bubbles", "bubbles", 0.35, 0.6),
)

ALONE = frozenset(("underwater", "mountains", "neon_grid", "plasma", "galaxy", "eclipse", "storm", "stars", "smoke"))
"""Kins that are shown only without a prompt: beside a prompt, their part of the image is a grey shadow. In the tenth of
the image that they change most (Ember, 14 other prompts, weight 0.45), 4 to 44 % of the pixels become lighter; with the
other kins that Ember draws, 51 to 98 %. Stars and smoke are as dark."""

OPENING = "plasma"
"""Kin of what music shows by itself until its kind is clear: Ember's image of electronic and of house music, nearest to
most. Without a prompt a set begins with it, so it rests afterwards like a scene that was chosen."""

_CLUB = ("neon_grid", "plasma", "tunnel", "city", "nebula", "aurora", "underwater", "lasers", "fractal", "metal",
         "kaleidoscope", "lava")  # fmt: skip
_SLOW = ("underwater", "aurora", "mountains", "ocean", "nebula", "sunset", "ink", "stars", "galaxy", "fog", "mandala",
         "snow", "eclipse", "smoke", "bubbles", "fire")  # fmt: skip
_LOUD = ("fire", "lava", "storm", "city", "sunset", "ocean", "plasma", "mountains", "fireworks", "metal")
_ACOUSTIC = ("sunset", "mountains", "ocean", "aurora", "forest", "flowers", "fire", "nebula", "desert", "crystal",
             "snow")  # fmt: skip
_URBAN = ("city", "neon_grid", "sunset", "plasma", "fire", "kaleidoscope", "ink", "tunnel", "ocean", "smoke")
_RETRO = ("neon_grid", "city", "sunset", "nebula", "plasma", "tunnel", "ocean", "lasers", "stars")
_EPIC = ("mountains", "sunset", "fire", "nebula", "storm", "ocean", "aurora", "galaxy", "lava", "eclipse")
_ANY = ("nebula", "aurora", "neon_grid", "ocean", "plasma", "underwater", "city", "sunset", "fire", "mountains",
        "tunnel", "fractal", "crystal", "galaxy")  # fmt: skip

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("electronic music", "house music", "techno music", "trance music", "drum and bass music", "synthesizer",
             "drum machine"), _CLUB,
        ),
        **dict.fromkeys(
            ("ambient music", "chillout music", "dark ambient music", "relaxing", "singing bowl", "theremin", "sad"),
            _SLOW,
        ),
        **dict.fromkeys(("rock music", "heavy metal music"), _LOUD),
        **dict.fromkeys(
            ("classical string music", "acoustic guitar music", "acoustic music", "choir music", "piano music",
             "orchestra", "harp", "flute", "harpsichord", "organ", "mallet percussion", "glockenspiel",
             "wind instrument, woodwind instrument", "keyboard (musical)", "music for children", "chant", "mantra"),
            _ACOUSTIC,
        ),
        **dict.fromkeys(("hip hop music", "funk music", "jazz music"), _URBAN),
        **dict.fromkeys(("synthwave music", "chiptune music"), _RETRO),
        "epic orchestral music": _EPIC,
        **dict.fromkeys(
            ("music", "musical instrument", "exciting", "singing", "percussion", "drum", "drums", "cymbal"), _ANY
        ),
    }
)  # fmt: skip
"""Kins of scenes by the label of the sound. Sounds with any other label are no music, and show their own scene."""

TYPICAL: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "techno music": ("tunnel", "plasma", "lasers"),
        "house music": ("plasma", "tunnel", "kaleidoscope"),
        "trance music": ("tunnel", "aurora", "fractal"),
        "drum and bass music": ("tunnel", "lava", "metal"),
        "ambient music": ("nebula", "galaxy", "fog"),
        "dark ambient music": ("eclipse", "nebula", "smoke"),
        **dict.fromkeys(("chillout music", "relaxing"), ("ocean", "underwater", "bubbles")),
        "rock music": ("fire", "lava", "fireworks"),
        "heavy metal music": ("lava", "storm", "metal"),
        **dict.fromkeys(("classical string music", "orchestra"), ("mountains", "ocean", "flowers")),
        "piano music": ("ocean", "aurora", "snow"),
        "choir music": ("aurora", "mountains", "crystal"),
        **dict.fromkeys(("acoustic guitar music", "acoustic music"), ("sunset", "forest", "desert")),
        "hip hop music": ("city", "kaleidoscope"),
        "funk music": ("plasma", "kaleidoscope", "sunset"),
        "jazz music": ("sunset", "smoke", "ink"),
        **dict.fromkeys(("synthwave music", "chiptune music"), ("neon_grid", "city", "lasers")),
        "epic orchestral music": ("storm", "eclipse", "aurora"),
    }
)
"""The kins that are most typical of a kind of music, and are shown first, so that kinds of music look different. Labels
for many kinds of music, such as "electronic music", have none."""


PACES: Mapping[str, float] = MappingProxyType({"tunnel": 0.75, "nebula": 0.8, "aurora": 0.85})
"""Factor on the speed of the noise trajectory while such a kin is the image: at the same speed these of Ember's images
change most in a second (correlation 0.67, 0.72 and 0.76; the others 0.80 to 0.99)."""

_KIN = {scene.text: scene.kin for scene in SCENES}


def pace_of(text: str) -> float:
    """The factor for a scene's text."""
    return PACES.get(_KIN.get(text, ""), 1.0)


_GROUND = frozenset(("fire", "lava", "ocean", "flowers", "city", "forest", "neon_grid", "desert", "metal", "mountains"))
_SKY = frozenset(("aurora", "sunset", "storm", "stars", "galaxy", "snow", "fireworks", "lasers", "fog", "nebula"))


def places_beside(text: str) -> tuple[str, ...]:
    """Places of a scene beside a prompt, names of `framing.PLACES`: ground below, sky above, and any scene at a
    side."""
    kin = _KIN.get(text, "")
    return ("below",) * (kin in _GROUND) + ("above",) * (kin in _SKY) + ("left", "right", "sides")


def suits_a_prompt(text: str) -> bool:
    """Whether a scene may be shown beside a prompt."""
    return not any(scene.text == text and scene.kin in ALONE for scene in SCENES)
