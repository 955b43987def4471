"""The mixer: prompt and sound into one set of tokens of a fixed shape."""

from __future__ import annotations

import math

import torch

from tpos_live.analysis.encoder import Meaning
from tpos_live.conditioning.audio_tokens import AudioMap
from tpos_live.conditioning.directions import Directions
from tpos_live.conditioning.drive import Drive
from tpos_live.conditioning.prompts import PromptBank, slerp
from tpos_live.conditioning.scenes import MOST_SCENES, Scenes
from tpos_live.parameters import Snapshot

MODES = ("append", "blend", "semantic")
MODE_FADE = 1.0
"""Seconds in which a change of `audio.mode` is faded, and that from a prompt to none."""
ALONE = 0.3
"""Strength from which a sound has the whole picture where there is no prompt: nothing else says what to draw."""


class Mixer:
    """Mixes [rows, dim] from the prompt bank and the sound. Belongs to the render thread.

    append: the sound's tokens stand beside the prompt's. blend: the prompt's tokens turn towards the
    sound's. semantic: the prompt's tokens stay, and `directions` says where the sound leads. All by
    drive.audio_weight times the strength of the sound. The shape never changes, so that
    nothing has to be compiled anew, and at weight 0 the result does not depend on the sound at all: an engine
    that was trained to hear then gets zeros, as in its training; any other gets the prompt's own last
    rows again, which it knows.
    """

    def __init__(self, bank: PromptBank, sound: AudioMap | None, rows: int, hears: bool = True) -> None:
        """rows: the painter's `token_rows`. hears: the engine's `hears`."""
        self._hears = hears
        self._bank = bank
        self._sound = sound
        self._rows = rows
        self._mixed: torch.Tensor | None = None
        self._heard: torch.Tensor | None = None
        self._modes: dict[str, float] = {}
        self._now: float | None = None
        self._without = 0.0
        self.directions: Directions | None = None
        """Of the newest `tokens`; None where semantic guidance is off or nothing is heard."""
        self.scenes: Scenes | None = None
        """What the newest `tokens` are a mixture of, where they are one and prompts grow (`prompt.between`)."""
        self._parts: torch.Tensor | None = None

    @property
    def prompt(self) -> str:
        return self._bank.prompt

    def tokens(self, now: float, snapshot: Snapshot, drive: Drive, meaning: Meaning | None) -> torch.Tensor | None:
        """Tokens [rows, dim] at `now`, seconds on the show's clock: a buffer, valid until the next call.

        None only before the first prompt is encoded. Never waits.
        """
        text = self._bank.tokens(now, snapshot)
        unsaid = self._unsaid(now)
        modes = self._mode(now, snapshot)
        self.directions = self.scenes = None
        if self._sound is not None:
            self._sound.follow(meaning, now)
        if text is None:
            return None
        if self._mixed is None:
            self._mixed = text.new_empty(self._rows, text.shape[1])
        share = 0.0
        if self._sound is not None and drive.audio_weight > 0:
            strength = self._sound.strength()
            strength += (min(strength / ALONE, 1.0) - strength) * unsaid
            share = min(drive.audio_weight * strength, 1.0)
        self._mix(self._mixed, text, share * modes["blend"], share * modes["append"])
        if len(parts := self._bank.parts) > 1 and snapshot["prompt.between"] == "grow":
            if self._parts is None:
                self._parts = text.new_empty(MOST_SCENES, *self._mixed.shape)
            for rows, (states, _) in zip(self._parts, parts, strict=False):
                self._mix(rows, states, share * modes["blend"], share * modes["append"])
            self.scenes = Scenes(self._parts[: len(parts)], tuple(weight for _, weight in parts))
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

    def _fill(self, rows: torch.Tensor, text: torch.Tensor) -> None:
        """A text's states in the first of `rows`, and in the rest what stands there in silence."""
        rows[: len(text)] = text
        rest = rows[len(text) :]
        if len(rest):
            rest.zero_() if self._hears else rest.copy_(text[len(text) - len(rest) :])

    def _directions(self, found: list[tuple[torch.Tensor, float]], share: float) -> Directions:
        assert self._mixed is not None
        if self._heard is None or len(self._heard) != len(found):
            self._heard = self._mixed.new_empty(len(found), *self._mixed.shape)
        for rows, (states, _) in zip(self._heard, found, strict=True):
            self._fill(rows, states.to(rows))
        return Directions(self._heard, tuple(weight for _, weight in found), share)

    def _unsaid(self, now: float) -> float:
        """How much there is no prompt: 0 or 1, and between them for a moment after a change. Before `_mode`."""
        wanted = float(not self._bank.prompt.strip())
        step = math.inf if self._now is None else max(now - self._now, 0.0) / MODE_FADE
        self._without += min(max(wanted - self._without, -step), step)
        return self._without

    def _mode(self, now: float, snapshot: Snapshot) -> dict[str, float]:
        """How much of each mode there is: all of one, and between them for a moment after a change."""
        wanted = {mode: float(mode == snapshot["audio.mode"]) for mode in MODES}
        if self._now is None:
            self._modes = wanted
        else:
            step = max(now - self._now, 0.0) / MODE_FADE
            for mode, goal in wanted.items():
                self._modes[mode] += min(max(goal - self._modes[mode], -step), step)
        self._now = now
        return self._modes
