"""The mixer: prompt and sound into one set of tokens of a fixed shape."""

from __future__ import annotations

import torch

from tpos_live.analysis.encoder import Meaning
from tpos_live.conditioning.audio_tokens import AudioMap
from tpos_live.conditioning.drive import Drive
from tpos_live.conditioning.prompts import PromptBank, slerp
from tpos_live.parameters import Snapshot

MODE_FADE = 1.0
"""Seconds in which a change of `audio.mode` is faded."""


class Mixer:
    """Mixes [rows, dim] from the prompt bank and the sound. Belongs to the render thread.

    append: the sound's tokens stand beside the prompt's. blend: the prompt's tokens turn towards the
    sound's. Both by drive.audio_weight times the strength of the sound. The shape never changes, so that
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
        self._blended: float | None = None
        self._now: float | None = None

    @property
    def prompt(self) -> str:
        return self._bank.prompt

    def tokens(self, now: float, snapshot: Snapshot, drive: Drive, meaning: Meaning | None) -> torch.Tensor | None:
        """Tokens [rows, dim] at `now`, seconds on the show's clock: a buffer, valid until the next call.

        None only before the first prompt is encoded. Never waits.
        """
        text = self._bank.tokens(now, snapshot)
        blended = self._mode(now, snapshot)
        if self._sound is not None:
            self._sound.follow(meaning, now)
        if text is None:
            return None
        if self._mixed is None:
            self._mixed = text.new_empty(self._rows, text.shape[1])
        share = 0.0
        if self._sound is not None and drive.audio_weight > 0:
            share = min(drive.audio_weight * self._sound.strength(), 1.0)
        length = len(text)
        appended = self._rows - length
        if share * blended > 0 and self._sound is not None:
            text = slerp(text, self._sound.sentence().to(text), share * blended)
        self._mixed[:length] = text
        if appended:
            rest = self._mixed[length:]
            rest.zero_() if self._hears else rest.copy_(text[length - appended :])
            share *= 1 - blended
            if share > 0 and self._sound is not None:
                heard = self._sound.tokens().to(text)
                rest.copy_(heard * share if self._hears else slerp(rest, heard, share))
        return self._mixed

    def _mode(self, now: float, snapshot: Snapshot) -> float:
        """0 = append, 1 = blend, and between them for a moment after a change."""
        goal = 1.0 if snapshot["audio.mode"] == "blend" else 0.0
        if self._blended is None or self._now is None:
            self._blended = goal
        else:
            step = max(now - self._now, 0.0) / MODE_FADE
            self._blended += min(max(goal - self._blended, -step), step)
        self._now = now
        return self._blended
