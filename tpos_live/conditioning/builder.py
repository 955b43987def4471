"""The mixer: prompt and sound into one set of tokens of a fixed shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import torch

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import AudioConditioner
from tpos_live.conditioning.edit_directions import EditDirections
from tpos_live.conditioning.prompt_bank import Part, PromptBank, fold, slerp
from tpos_live.conditioning.regions import MAX_REGIONS, Regions
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import AudioMode

MODES: tuple[str, ...] = get_args(AudioMode)
AUTO = "auto"
"""The engine's own of MODES."""
MODE_FADE = 1.0
"""Seconds in which a change of `audio.mode` is faded, and that from a prompt to none."""
ALONE = 0.3
"""Strength from which a sound has the whole picture where there is no prompt: nothing else says what to draw."""
FULL_MOOD = 0.35
"""Weight from which a mood, where the sound grows, is told wholly: told less, it is not seen."""
_SMALL = 1e-3
"""Of the picture: less is not seen, and costs a row all the same."""


class ConditioningBuilder:
    """Mixes [rows, dim] from the prompt bank and the sound. Belongs to the render thread.

    append: the sound's tokens stand beside the prompt's. blend: the prompt's tokens turn towards the sound's.
    semantic: the prompt's tokens stay, and `directions` says where the sound leads. grow: the sound is a scene of its
    own, which shares the picture with the prompt's in `scenes`, and its mood is told beside both; `tokens` are as in
    append, for who can draw but one. All by drive.audio_weight times the strength of the sound.
    The shape never changes, so that nothing has to be compiled anew, and at weight 0 the result does not depend on the
    sound at all: an engine that was trained to hear then gets zeros, as in its training; any other gets the prompt's
    own last rows again, which it knows.
    """

    def __init__(
        self,
        bank: PromptBank,
        sound: AudioConditioner | None,
        rows: int,
        hears: bool = True,
        mode: str = "append",
        follow: Callable[[str], None] = lambda prompt: None,
    ) -> None:
        """rows: the painter's `token_rows`. hears: the engine's `hears`. mode: of MODES, what AUTO is.
        follow: told the prompt of each frame, live and offline alike; returns at once."""
        self._follow = follow
        self._hears = hears
        self._own_mode = mode
        self._bank = bank
        self._sound = sound
        self._rows = rows
        self._mixed: torch.Tensor | None = None
        self._heard: torch.Tensor | None = None
        self._modes: dict[str, float] = {}
        self._now: float | None = None
        self._without = 0.0
        self.directions: EditDirections | None = None
        """Of the newest `tokens`; None where semantic guidance is off or nothing is heard."""
        self.regions: Regions | None = None
        """What the newest `tokens` are a mixture of, where they are one and prompts grow (`prompt.between`)."""
        self._parts: torch.Tensor | None = None

    @property
    def prompt(self) -> str:
        return self._bank.prompt

    def mode(self, snapshot: Snapshot) -> str:
        """How the sound enters, of MODES."""
        asked = str(snapshot["audio.mode"])
        return self._own_mode if asked == AUTO else asked

    def tokens(
        self, now: float, snapshot: Snapshot, params: FrameParams, embedding: AudioEmbedding | None
    ) -> torch.Tensor | None:
        """Tokens [rows, dim] at `now`, seconds on the show's clock: a buffer, valid until the next call.

        None only before the first prompt is encoded. Never waits.
        """
        text = self._bank.tokens(now, snapshot)
        self._follow(self._bank.prompt)
        unsaid = self._promptless(now)
        modes = self._mode(now, snapshot)
        self.directions = self.regions = None
        if self._sound is not None:
            self._sound.follow(embedding, now)
        if text is None:
            return None
        if self._mixed is None:
            self._mixed = text.new_empty(self._rows, text.shape[1])
        share = grown = told = 0.0
        scene: torch.Tensor | None = None
        if self._sound is not None and params.audio_weight > 0:
            strength = self._sound.strength()
            strength += (min(strength / ALONE, 1.0) - strength) * unsaid
            share = min(params.audio_weight * strength, 1.0)
            if modes["grow"] > 0:
                scene, seen = self._sound.scene()
                grown = area(share) * seen
                grown = (grown + (1.0 - grown) * unsaid * min(strength / ALONE, 1.0)) * modes["grow"]
                told = strength * min(params.audio_weight / FULL_MOOD, 1.0) * modes["grow"]
        turned, appended = share * modes["blend"], share * modes["append"]
        self._mix(self._mixed, text, turned, appended + share * modes["grow"])
        parts = self._bank.parts if snapshot["prompt.between"] == "grow" else [(text, 1.0)]
        if len(parts) > 1 or told > 0:
            self.regions = self._scenes(parts, turned, appended, scene, grown, told)
        if share * modes["semantic"] > 0 and self._sound is not None:
            found = self._sound.directions(int(snapshot["audio.guidance.directions"]))
            self.directions = self._directions(found, share * modes["semantic"])
        return self._mixed

    def _mix(self, rows: torch.Tensor, text: torch.Tensor, turned: float, appended: float) -> None:
        """A text's states and the sound into `rows`: the text turned towards the sound, and the sound beside it."""
        if turned > 0 and self._sound is not None:
            text = slerp(text, self._sound.sentence().to(text), turned)
        self._fill(rows, text)
        if len(rows) > len(text) and appended > 0 and self._sound is not None:
            rest = rows[len(text) :]
            heard = self._sound.tokens().to(text)
            rest.copy_(heard * appended if self._hears else slerp(rest, heard, appended))

    def _scenes(
        self, parts: list[Part], turned: float, appended: float, scene: torch.Tensor | None, grown: float, told: float
    ) -> Regions | None:
        """Each of the prompts, and the sound's `scene`, by itself; None where one is left: the tokens are it.

        grown: the sound's share. told: how much of its mood is told to each.
        """
        assert self._mixed is not None
        if self._parts is None:
            self._parts = self._mixed.new_empty(MAX_REGIONS, *self._mixed.shape)
        shares: list[float] = []
        if grown < 1.0 - _SMALL:
            for states, weight in parts if grown <= _SMALL else fold(parts, MAX_REGIONS - 1):
                self._mix(self._parts[len(shares)], states, turned, appended)
                shares.append(weight * (1.0 - grown))
        if grown > _SMALL and scene is not None:
            self._fill(self._parts[len(shares)], scene.to(self._mixed))
            shares.append(grown)
        self._tell_mood(self._parts[: len(shares)], told)
        if len(shares) == 1:
            self._mixed.copy_(self._parts[0])
            return None
        total = sum(shares)
        return Regions(self._parts[: len(shares)], tuple(share / total for share in shares))

    def _tell_mood(self, scenes: torch.Tensor, told: float) -> None:
        """Into the audio tokens of `scenes` [K, rows, dim], which an engine that hears learned to take a mood from."""
        if self._sound is None or not self._hears or told <= 0:
            return
        mood, sure = self._sound.mood()
        if sure > 0 and len(mood):
            scenes[:, -len(mood) :] += mood.to(scenes) * (told * sure)

    def _fill(self, rows: torch.Tensor, text: torch.Tensor) -> None:
        """A text's states in the first of `rows`, and in the rest what stands there in silence."""
        rows[: len(text)] = text
        rest = rows[len(text) :]
        if len(rest):
            rest.zero_() if self._hears else rest.copy_(text[len(text) - len(rest) :])

    def _directions(self, found: list[tuple[torch.Tensor, float]], share: float) -> EditDirections:
        assert self._mixed is not None
        if self._heard is None or len(self._heard) != len(found):
            self._heard = self._mixed.new_empty(len(found), *self._mixed.shape)
        for rows, (states, _) in zip(self._heard, found, strict=True):
            self._fill(rows, states.to(rows))
        return EditDirections(self._heard, tuple(weight for _, weight in found), share)

    def _promptless(self, now: float) -> float:
        """How much there is no prompt: 0 or 1, and between them for a moment after a change. Before `_mode`."""
        wanted = float(not self._bank.prompt.strip())
        step = math.inf if self._now is None else max(now - self._now, 0.0) / MODE_FADE
        self._without += min(max(wanted - self._without, -step), step)
        return self._without

    def _mode(self, now: float, snapshot: Snapshot) -> dict[str, float]:
        """How much of each mode there is: all of one, and between them for a moment after a change."""
        asked = self.mode(snapshot)
        wanted = {mode: float(mode == asked) for mode in MODES}
        if self._now is None:
            self._modes = wanted
        else:
            step = max(now - self._now, 0.0) / MODE_FADE
            for mode, goal in wanted.items():
                self._modes[mode] += min(max(goal - self._modes[mode], -step), step)
        self._now = now
        return self._modes


def area(share: float) -> float:
    """How much of the picture a sound grows over, 0 to 1, by its weight times its strength, 0 to 1.

    More than that: a third is a corner, and the growth makes little of little on top
    (`diffusion/sampling/region_blend.py`).
    """
    return share**0.75
