"""The scenes that a frame's own prompts and sound lead to, for the source `scene:prompt`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tpos_live.conditioning.conditioning import ShownText
from tpos_live.conditioning.vocabulary import Vocabulary
from tpos_live.diffusion.sampling.region_blend import shares
from tpos_live.scenes.draw import SceneShare
from tpos_live.scenes.families import FAMILIES
from tpos_live.scenes.finishing import MOODS, STYLES, Mood
from tpos_live.scenes.palettes import HUES

MOST = 3
"""Scenes in an image; each costs about as much time as the first."""


class PromptScenes:
    """Maps the texts that a frame shows to the scenes that Ember draws of them. Belongs to one thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """vocabulary: of the engine, whose families are names of scenes."""
        self._vocabulary = vocabulary

    def __call__(self, texts: Sequence[ShownText]) -> tuple[SceneShare, ...]:
        """At most MOST scenes, in the order of `texts`, in the moods of prompt and sound; () if no text leads to a
        scene.

        They are placed as by Ember: the sound's scenes are apart from the prompts'; without a sound the scene of a
        second prompt is apart from the first.
        """
        found: dict[tuple[object, ...], SceneShare] = {}
        for text, weight, heard, mood in texts:
            for name, scene in (scenes := {} if mood else self._of(text)).items():
                key = (name, *scene[2:], heard)
                before = found[key].weight if key in found else 0.0
                found[key] = scene._replace(weight=before + weight / len(scenes), apart=heard)
        strongest = sorted(found, key=lambda key: found[key].weight, reverse=True)[:MOST]
        kept = [scene for key, scene in found.items() if key in strongest]
        if len(kept) == 2 and kept[0].apart == kept[1].apart:
            kept[1] = kept[1]._replace(apart=True)
        felt = [(self._mood(part.text), part.weight) for part in texts if part.mood]
        return _with_areas([scene._replace(mood=_mixed(scene.mood, felt)) for scene in kept])

    def _of(self, text: str) -> dict[str, SceneShare]:
        """The scenes of one text by their names, of weight 1."""
        match = self._vocabulary.match(text)
        words = [word.replace(" ", "_") for word in match.others]
        style = next((word for word in words if word in STYLES), "natural")
        colour = next((word for word in words if word in HUES), None)
        known = [name for name in match.families if name in FAMILIES]
        return {name: SceneShare(FAMILIES[name], 1.0, colour, style, self._mood(text)) for name in known}

    def _mood(self, text: str) -> Mood:
        """The mean of the moods that a text names."""
        named = [word for word in self._vocabulary.match(text).others if word in MOODS] or ["plain"]
        return _mixed(MOODS["plain"], [(MOODS[word], 1 / len(named)) for word in named])


def _mixed(own: Mood, felt: Sequence[tuple[Mood, float]]) -> Mood:
    """Weighted geometric mean of moods, as in Ember's training. felt: moods with weights of sum 1 at most; `own` has
    the rest."""
    rest = 1.0 - sum(weight for _, weight in felt)
    parts = [(own, rest), *felt]
    exposure, saturation, contrast = (math.prod(mood[k] ** weight for mood, weight in parts) for k in range(3))
    return exposure, saturation, contrast


def _with_areas(scenes: list[SceneShare]) -> tuple[SceneShare, ...]:
    """The scenes, with the share of the area that Ember gives to scenes that are apart (see `shares`) as weight."""
    total = sum(scene.weight for scene in scenes)
    apart = sum(scene.weight for scene in scenes if scene.apart) / total if scenes else 0.0
    if not 0.0 < apart < 1.0:
        return tuple(scenes)
    under, over = shares([1.0 - apart, apart])
    factor = {False: under / (1.0 - apart), True: over / apart}
    return tuple(scene._replace(weight=scene.weight * factor[scene.apart]) for scene in scenes)
