"""The demo: prompts that change with the parts of the built-in track."""

from __future__ import annotations

from tpos_live.audio.demo import BAR, BARS
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.parameters import TABLE
from tpos_live.core.settings import Settings
from tpos_live.core.shown import is_prompt

PROMPTS = ((0, "sunset"), (3, "aurora"), (5, "nebula"), (7, "fire"), (15, "ocean"), (19, "fire"))
"""First bar and prompt, of families that Ember draws well. A change takes about a bar: it begins one before
the part of the track that it is for. The first 20 s hold four prompts."""

WEIGHT = 0.15
"""Weight of the sound's scene beside the prompts. With the default weight the scenes of the track, which are darker,
would make flames and northern lights grey."""


def prompt_at(seconds: float) -> str:
    """The prompt at this time of the track, which is repeated without end."""
    bar = seconds / BAR % BARS
    return next(text for first, text in reversed(PROMPTS) if first <= bar)


class DemoPrompts:
    """Sets the prompt as the track plays, until somebody else changes what is shown. One thread."""

    def __init__(self, store: ParameterStore) -> None:
        self._store = store
        self._set = ""
        self.running = True

    @classmethod
    def wanted(cls, settings: Settings) -> bool:
        """Whether the settings leave the prompt to the demo."""
        return not any(is_prompt(name) for name in settings.parameters)

    def update(self, seconds: float) -> None:
        """Set the prompt for the moment. seconds: audio processed so far, 0 or more."""
        now = self._store.snapshot()
        weighted = any(now[f"prompt.{slot}.weight"] > 0 for slot in range(1, 9))
        if self._set and (now["prompt"] != self._set or now["prompt.select"] or weighted):
            self.running = False
        text = prompt_at(seconds)
        if self.running and text != self._set:
            quiet = not self._set and now["audio.weight"] == TABLE["audio.weight"].default
            self._set = text
            self._store.update({"prompt": text} | ({"audio.weight": WEIGHT} if quiet else {}), at_once=True)
