"""Maps a kind of music to words of kind and mood, as labels for training.

The teacher gives "music" a high score and each kind of music a very low one, and the name of a kind alone is not enough
to choose a scene. So each kind that the teacher or `synth/music.py` names becomes a set of words with shares.
"""

from __future__ import annotations

from collections.abc import Mapping

MUSIC = "music"
SURE = 0.5
"""Score of MUSIC from which a sound is labelled by its kinds of music."""
FAINT = 0.004
"""Smallest score of a kind that counts; above it, only the ratios between kinds matter."""
MOOD_SHARE, TIMBRE_SHARE = 0.5, 0.2
"""Shares of the moods, and of "electronic music" or "acoustic music", in the words for a kind."""

TIMBRES = {
    "electronic music": (
        "ambient music", "dark ambient music", "techno music", "house music", "trance music", "drum and bass music",
        "electronic music", "synthwave music", "chiptune music",
    ),
    "acoustic music": (
        "acoustic guitar music", "piano music", "classical string music", "epic orchestral music", "jazz music",
        "choir music",
    ),
}  # fmt: skip
"""Kinds by timbre; kinds that can be both are not listed."""
PLAIN = ("calm", "energetic", "dark", "bright")
"""Words for the mood where energy and brightness are known numbers."""

KINDS: dict[str, tuple[str, ...]] = {
    # name in YAMNet or `synth/music.py`: its label in the sentence space, and phrases of moods
    "ambient music": ("ambient music", "calm"),
    "new-age music": ("ambient music", "peaceful"),
    "dark ambient music": ("dark ambient music", "dark calm"),
    "techno": ("techno music", "energetic"),
    "techno music": ("techno music", "energetic", "dark"),
    "house music": ("house music", "energetic"),
    "trance music": ("trance music", "bright energetic"),
    "electronic dance music": ("house music", "energetic"),
    "dance music": ("house music", "bright energetic"),
    "disco": ("funk music", "bright energetic"),
    "drum and bass": ("drum and bass music", "intense"),
    "drum and bass music": ("drum and bass music", "intense", "dark"),
    "dubstep": ("drum and bass music", "aggressive", "dark"),
    "electronic music": ("electronic music",),
    "electronica": ("electronic music",),
    "synthwave music": ("synthwave music", "energetic", "dark"),
    "chillout music": ("chillout music", "relaxing"),
    "rhythm and blues": ("chillout music", "calm"),
    "soul music": ("chillout music", "calm"),
    "hip hop music": ("hip hop music", "dark"),
    "rock music": ("rock music", "energetic"),
    "rock and roll": ("rock music", "bright energetic"),
    "progressive rock": ("rock music", "intense"),
    "psychedelic rock": ("rock music", "intense"),
    "grunge": ("rock music", "aggressive"),
    "punk rock": ("rock music", "aggressive"),
    "heavy metal": ("heavy metal music", "aggressive", "dark"),
    "heavy metal music": ("heavy metal music", "aggressive", "dark"),
    "acoustic guitar music": ("acoustic guitar music", "calm", "bright"),
    "folk music": ("acoustic guitar music", "calm", "bright"),
    "country": ("acoustic guitar music", "bright"),
    "bluegrass": ("acoustic guitar music", "bright energetic"),
    "flamenco": ("acoustic guitar music", "energetic"),
    "piano music": ("piano music", "calm"),
    "classical music": ("classical string music", "calm"),
    "classical string music": ("classical string music", "calm"),
    "opera": ("choir music", "intense"),
    "epic orchestral music": ("epic orchestral music", "intense", "dark"),
    "jazz": ("jazz music", "relaxing"),
    "jazz music": ("jazz music", "relaxing"),
    "swing music": ("jazz music", "bright energetic"),
    "blues": ("jazz music", "sad"),
    "funk": ("funk music", "bright energetic"),
    "funk music": ("funk music", "bright energetic"),
    "choir music": ("choir music", "peaceful"),
    "christian music": ("choir music", "peaceful"),
    "gospel music": ("choir music", "joyful"),
    "lullaby": ("piano music", "peaceful"),
    "chiptune music": ("chiptune music", "bright energetic"),
    "reggae": ("funk music", "happy"),
    "ska": ("funk music", "happy"),
    "salsa music": ("funk music", "happy"),
    "happy music": ("happy",),
    "funny music": ("happy",),
    "sad music": ("sad",),
    "tender music": ("peaceful",),
    "exciting music": ("exciting",),
    "angry music": ("aggressive",),
    "scary music": ("dark",),
}


def split_music_labels(labels: Mapping[str, float]) -> dict[str, float]:
    """Replace the label "music" in a teacher's scores by words for its kinds and moods, with the same total score.

    Without a kind above FAINT, "music" stays. Below a score of SURE for "music", labels of its kinds are removed.
    """
    music = labels.get(MUSIC, 0.0)
    kinds = {name: score for name, score in labels.items() if name in KINDS and score >= FAINT}
    total = sum(kinds.values())
    if music < SURE or not kinds:
        return {name: score for name, score in labels.items() if name not in KINDS or KINDS[name][0] == name}
    rest = {name: score for name, score in labels.items() if name not in KINDS}
    del rest[MUSIC]
    for name, score in kinds.items():
        for word, share in in_words(name).items():
            rest[word] = rest.get(word, 0.0) + music * share * score / total
    return rest


def in_words(kind: str, energy: float = 0.0, light: float = 0.0) -> dict[str, float]:
    """Words for a kind of KINDS, with shares that sum to one. energy: -1 calm to 1 energetic; light: -1 dark to 1
    bright; both 0 where unknown, which takes the kind's own moods."""
    name, *moods = KINDS[kind]
    weights = dict.fromkeys(moods, 1.0)
    if energy or light:
        calm, energetic, dark, bright = PLAIN
        weights = {energetic if energy > 0 else calm: abs(energy), bright if light > 0 else dark: abs(light)}
    total = sum(weights.values())
    share = MOOD_SHARE * min(total, 1.0)
    timbre = next((word for word, names in TIMBRES.items() if name in names), name)
    words = {name: 1.0 - share - TIMBRE_SHARE}
    for word, weight in ((timbre, TIMBRE_SHARE), *((mood, share * part / total) for mood, part in weights.items())):
        if weight > 0:
            words[word] = words.get(word, 0.0) + weight
    return words
