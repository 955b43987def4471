"""The prompt bank: the states of eight slots and of the live prompt, blended by weight, with fades between prompts.

A change of the prompt never waits for the text encoder: until the new text is encoded, the old one stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core import envelope
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import TABLE
from tpos_live.core.shown import CLEARED, SLOTS, VISIBLE, selected_text
from tpos_live.core.spherical import TINY, slerp

Part = tuple[torch.Tensor, float]
"""A text's states [tokens, dim], and its weight."""


def blend(parts: list[Part]) -> torch.Tensor:
    """Weighted blend of text states [tokens, dim]; weights are relative and not all zero.

    The weighted mean, with each row scaled to the weighted mean of the lengths. For two texts this is slerp with
    another speed on the arc. The result does not depend on the order.
    """
    total = sum(weight for _, weight in parts)
    if len(parts) == 1:
        return parts[0][0]
    mean = torch.zeros_like(parts[0][0])
    length = torch.zeros_like(mean[..., :1])
    for states, weight in parts:
        mean.add_(states, alpha=weight / total)
        length.add_(states.norm(dim=-1, keepdim=True), alpha=weight / total)
    return mean * (length / mean.norm(dim=-1, keepdim=True).clamp_min(TINY))


def fold(parts: list[Part], most: int) -> list[Part]:
    """`parts` reduced to `most`: the two weakest are blended, repeatedly. Weights sum to 1.

    The order stays, whatever the weights: an engine draws the first and the last part in different areas of the frame,
    so two parts that swapped their order would swap their areas.
    """
    kept: list[Part] = []
    for states, weight in parts:
        same = next((n for n, (other, _) in enumerate(kept) if other is states), None)
        if same is None:
            kept.append((states, weight))
        else:
            kept[same] = states, kept[same][1] + weight
    while len(kept) > most:
        first, second = sorted(sorted(range(len(kept)), key=lambda n: kept[n][1])[:2])
        weakest = [kept[first], kept.pop(second)]
        kept[first] = blend(weakest), weakest[0][1] + weakest[1][1]
    total = sum(weight for _, weight in kept)
    return [(states, weight / total) for states, weight in kept]


@dataclass
class _Fade:
    """A fade from the states at `began` to the current target. parts: the texts that `start` is blended from."""

    start: torch.Tensor
    parts: list[Part]
    began: float
    seconds: float


class PromptBank:
    """States of the prompt for each frame; `tokens` never blocks.

    Slots with a weight above zero and the live prompt are blended; `prompt.select` shows one slot alone. When the
    wanted texts change (another text, another selection), the states fade to the new target in `prompt.fade` seconds;
    a fade in progress continues from its current states. Weights are smoothed with their own time constant, independent
    of the frame rate. When a command clears the weights (`shown.py`), the states fade as for a change of text.

    The live prompt's weight is 1 minus the sum of the slots' weights, at least 0.
    """

    def __init__(self, texts: TextCache) -> None:
        self._texts = texts
        self._shown: torch.Tensor | None = None
        self._goal: list[Part] = []
        self.parts: list[Part] = []
        """The texts in the newest `tokens`: at most MAX_REGIONS parts, with weights above 0.001 and sum 1."""
        self._key: dict[int, str] | None = None
        self._fade: _Fade | None = None
        self._weights: dict[int, float] = {}
        self._last_now: float | None = None
        self._clearings: int | None = None
        self._cleared = False
        self.prompt = ""
        """The prompt that is shown or faded to, for the status."""

    def tokens(self, now: float, snapshot: Snapshot) -> torch.Tensor | None:
        """States [tokens, dim] at `now`, seconds of the session's clock; None only before the first text is encoded.
        The caller must not change the tensor."""
        self._follow(now, snapshot)
        wish, parts = self._wanted(snapshot)
        texts = [text for text, _ in parts]
        bank = [str(snapshot[f"prompt.{n}"]) for n in SLOTS]
        self._texts.want(list(dict.fromkeys([*texts, str(snapshot["prompt"]), *filter(None, bank)])))
        states = [self._texts.get(text) for text in texts]
        if any(state is None for state in states):
            return self._now(now)
        goal = [(s, w) for s, (_, w) in zip(states, parts, strict=True) if s is not None]
        target = blend(goal)
        if wish != self._key or self._cleared:
            if self._shown is not None and self._key is not None and (self._cleared or _changed(self._key, wish)):
                here = self._now(now)
                assert here is not None
                if float((target - here).norm()) > 1e-3 * float(here.norm()):
                    start = fold(self.parts, MAX_REGIONS - 1)  # leave one part for the new text
                    self._fade = _Fade(here, start, now, float(snapshot["prompt.fade"]))
            self._key, self._cleared = wish, False
        self.prompt = " + ".join(filter(None, texts))
        self._shown, self._goal = target, fold(goal, MAX_REGIONS)
        return self._now(now)

    @property
    def texts(self) -> list[tuple[str, float]]:
        """The texts of `parts` and their weights, without parts that `fold` blended from two texts."""
        named = [(self._texts.name(states), weight) for states, weight in self.parts]
        return [(text, weight) for text, weight in named if text]

    def _follow(self, now: float, snapshot: Snapshot) -> None:
        """Smooth the slots' weights. Cleared weights become 0 at once, because a fade of the states follows."""
        clearings = snapshot.fired(CLEARED)
        if self._clearings is not None and clearings != self._clearings:
            self._cleared = True
            self._weights = dict.fromkeys(SLOTS, 0.0)
        self._clearings = clearings
        elapsed = 0.0 if self._last_now is None else max(now - self._last_now, 0.0)
        self._last_now = now
        for n in SLOTS:
            name = f"prompt.{n}.weight"
            goal = float(snapshot[name])
            value = self._weights.get(n, goal)
            value += (goal - value) * envelope.share(TABLE[name].smoothing, elapsed)
            self._weights[n] = goal if abs(goal - value) < VISIBLE else value

    def _wanted(self, snapshot: Snapshot) -> tuple[dict[int, str], list[tuple[str, float]]]:
        """The wanted texts by slot, and each text's weight, none zero. Slot 0 is the prompt, 1 to 8 are slots with a
        weight, -1 is a slot shown alone."""
        if snapshot["prompt.select"]:
            alone = selected_text(snapshot)
            return {-1: alone}, [(alone, 1.0)]
        prompt = str(snapshot["prompt"])
        slots = {n: str(snapshot[f"prompt.{n}"]) for n in SLOTS if self._weights[n] > VISIBLE}
        weights: dict[str, float] = {}
        for n, text in slots.items():
            if text:
                weights[text] = weights.get(text, 0.0) + self._weights[n]
        rest = 1.0 - sum(weights.values())
        if rest > VISIBLE or not weights:
            weights[prompt] = weights.get(prompt, 0.0) + rest
        return {0: prompt} | slots, list(weights.items())

    def _now(self, now: float) -> torch.Tensor | None:
        """The states at `now`, during a fade interpolated; sets `parts`."""
        fade = self._fade
        self.parts = self._goal
        if fade is None or self._shown is None:
            return self._shown
        part = envelope.part_done(fade.began, fade.seconds, now)
        if part >= 1.0:
            self._fade = None
            return self._shown
        new = envelope.fade_weight(part)
        both = [(states, weight * (1 - new)) for states, weight in fade.parts]
        both += [(states, weight * new) for states, weight in self._goal]
        self.parts = fold([part for part in both if part[1] > VISIBLE], MAX_REGIONS)
        return slerp(fade.start, self._shown, part)


def _changed(before: dict[int, str], after: dict[int, str]) -> bool:
    """Whether a text was replaced, which needs a fade, or only a weight changed."""
    alone = -1 in before or -1 in after
    return before != after if alone else any(before[n] != after[n] for n in before.keys() & after.keys())
