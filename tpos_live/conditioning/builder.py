"""The conditioning builder: combines prompt and audio into one Conditioning of a fixed shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import torch

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.beside import BesidePrompt
from tpos_live.conditioning.conditioning import MAX_REGIONS, Conditioning, EditDirections, Regions, ShownText, fill_rows
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.palette_span import PaletteSpan, Span
from tpos_live.conditioning.prompt_bank import Part, PromptBank, blend, fold
from tpos_live.core.envelope import ease
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.parameters import AudioMode
from tpos_live.core.shown import VISIBLE
from tpos_live.core.spherical import slerp

MODES: tuple[str, ...] = get_args(AudioMode)
AUTO = "auto"
"""The mode that the engine's metadata names."""
MODE_FADE = 1.0
"""Seconds of the fade after a change of `audio.mode`, and between a prompt and none."""
ALONE = 0.3
"""Audio strength from which the audio fills the whole frame while there is no prompt."""
FULL_MOOD = 0.35
"""`audio_weight` from which a mood has its full effect in mode grow."""
UNSUITED_AREA = 0.45
"""Factor on the area of the sound's own scene where it does not suit the prompt: it looks like a shadow (`beside.py`).
"""
CLEAR_AREA = (0.4, 0.7)
"""A scene beside a prompt gets the factor `BesidePrompt.clearer` up to the first area, and none from the second one on:
a scene that fills the image does not need it."""


@dataclass(frozen=True, slots=True)
class _Shares:
    """How much the audio contributes in each mode, and by its mood; 0 to 1 each."""

    blend: float = 0.0
    append: float = 0.0
    semantic: float = 0.0
    region: float = 0.0
    mood: float = 0.0
    fallback: float = 0.0
    """Share that is appended for samplers that cannot draw regions."""


class ConditioningBuilder:
    """Builds the Conditioning of each frame from the prompt bank and the audio. Belongs to the render thread.

    Modes (`audio.mode`). append: the audio's embeddings follow the prompt's. blend: the prompt's embeddings are rotated
    towards the audio's. semantic: the prompt stays, and `edits` holds the directions of the audio. grow: the audio is a
    region beside the prompt's, and its mood is added to all regions. The share is `audio_weight` times the strength of
    the audio. The shape never changes, so nothing is recompiled. With weight 0 the result does not depend on the audio:
    in the audio rows, an engine that was trained with audio gets zeros, as in training; any other engine gets a copy of
    the prompt's last rows.
    """

    def __init__(
        self,
        bank: PromptBank,
        audio: PhraseBankConditioner | None,
        scene: DirectedScene,
        sequence_length: int,
        trained_with_audio: bool = True,
        mode: str = "append",
        follow: Callable[[str], None] = lambda prompt: None,
        beside: BesidePrompt | None = None,
        span: PaletteSpan | None = None,
    ) -> None:
        """audio: None for prompts alone. scene: the scene that shows the sound. sequence_length: rows of the result,
        the prompt's plus the audio's. trained_with_audio: the engine was trained with audio embeddings. mode: the one
        that AUTO stands for. follow: called with the prompt of each frame; must return at once. beside: the scenes that
        suit beside the prompt. span: the part of the palette that suits the current scene."""
        self._follow, self._beside, self._find_span = follow, beside or BesidePrompt(), span or PaletteSpan()
        self._span: Span | None = None
        self._scene = scene
        self._trained_with_audio = trained_with_audio
        self._own_mode = mode
        self._bank = bank
        self._audio = audio
        self._sequence_length = sequence_length
        self._prompt_embeds: torch.Tensor | None = None
        self._region_embeds: torch.Tensor | None = None
        self._edit_embeds: torch.Tensor | None = None
        self._modes = dict.fromkeys(MODES, 0.0)
        """Share of each mode, 0 to 1: one mode has 1, or several share it during a fade."""
        self._now: float | None = None
        self._promptless = 0.0
        """1 without a prompt, 0 with one, between them during a fade."""
        self._unsuited, self._clearer, self._smaller = 0.0, 1.0, 1.0
        """Share of scenes of the sound that do not suit the prompt, 0 to 1, and the factors on a scene's states and
        area; all smoothed."""

    def mode(self, snapshot: Snapshot) -> str:
        """The mode in use, one of MODES."""
        asked = str(snapshot["audio.mode"])
        return self._own_mode if asked == AUTO else asked

    def build(
        self, now: float, snapshot: Snapshot, params: FrameParams, embedding: AudioEmbedding | None
    ) -> Conditioning | None:
        """The conditioning at `now`, seconds of the session's clock. Never waits.

        None only before the first prompt is encoded.
        """
        text = self._bank.tokens(now, snapshot)
        self._follow(self._bank.prompt)
        if self._audio is not None:
            self._audio.follow(embedding, now)
        self._scene.follow(params.direction, now)
        step = math.inf if self._now is None else max(now - self._now, 0.0) / MODE_FADE
        self._fade(step, self.mode(snapshot))
        self._follow_span(self._find_span(params.direction.scene), step)
        self._now = now
        if text is None:
            return None
        if self._prompt_embeds is None:
            self._prompt_embeds = text.new_empty(self._sequence_length, text.shape[1])
        shares, scenes = self._shares(params)
        self._mix(self._prompt_embeds, text, shares.blend, shares.append + shares.fallback)
        parts = self._bank.parts if snapshot["prompt.between"] == "grow" else [(text, 1.0)]
        regions = None
        if len(parts) > 1 or shares.mood > 0:
            regions = self._regions(self._prompt_embeds, parts, shares, scenes)
        edits = None
        if shares.semantic > 0 and self._audio is not None:
            found = self._directions(int(snapshot["audio.guidance.directions"]))
            edits = self._edits(self._prompt_embeds, found, shares.semantic)
        return Conditioning(self._prompt_embeds, regions, edits, self._bank.prompt, self._texts(shares), self._span)

    def _shares(self, params: FrameParams) -> tuple[_Shares, list[Part]]:
        """The audio's shares, and the scenes of its region with weights of sum 1; empty where it has no region."""
        modes, promptless = self._modes, self._promptless
        if self._audio is None or params.audio_weight <= 0:
            return _Shares(), []
        strength = self._audio.strength()
        strength += (min(strength / ALONE, 1.0) - strength) * promptless
        share = min(params.audio_weight * strength, 1.0)
        scenes: list[Part] = []
        area = mood = 0.0
        if modes["grow"] > 0:
            own, confidence = self._audio.scene()
            scenes = self._scene.parts(own)
            confidence += (1.0 - confidence) * self._scene.directed
            if promptless < 1.0:
                scenes = [(blend(scenes), 1.0)]  # each further scene beside a prompt costs a row of the UNet's batch
            area = min(region_area(share) * confidence * params.direction.area, 1.0)
            area *= 1.0 - (1.0 - self._smaller * (1.0 - (1.0 - UNSUITED_AREA) * self._unsuited)) * (1.0 - promptless)
            area = (area + (1.0 - area) * promptless * min(strength / ALONE, 1.0)) * modes["grow"]
            mood = strength * min(params.audio_weight / FULL_MOOD, 1.0) * modes["grow"]
        return _Shares(
            share * modes["blend"], share * modes["append"], share * modes["semantic"], area, mood,
            share * modes["grow"],
        ), scenes  # fmt: skip

    def _texts(self, shares: _Shares) -> tuple[ShownText, ...]:
        """The texts that the frame shows, see `Conditioning.texts`."""
        region = shares.region
        own = [] if self._audio is None or region <= VISIBLE else self._audio.scene_texts()
        heard = self._scene.texts(own) if own else []
        shown = [ShownText(text, weight * (1.0 - region)) for text, weight in self._bank.texts]
        shown += [ShownText(text, weight * region, heard=True) for text, weight in heard]
        shown = [part for part in shown if part.weight > VISIBLE]
        total = sum(part.weight for part in shown)
        scenes = [part._replace(weight=part.weight / total) for part in shown]
        moods = [] if self._audio is None or shares.mood <= 0 else self._audio.mood_texts()
        felt = [ShownText(text, weight * shares.mood, heard=True, mood=True) for text, weight in moods]
        return (*scenes, *(part for part in felt if part.weight > VISIBLE))

    def _directions(self, most: int) -> list[tuple[torch.Tensor, float]]:
        """The directions of semantic guidance: to the sound's phrases, or to the director's scene."""
        assert self._audio is not None
        found = self._audio.directions(most)
        return [(blend(self._scene.parts(states)), weight) for states, weight in found]

    def _mix(self, rows: torch.Tensor, text: torch.Tensor, blended: float, appended: float) -> None:
        """Write into `rows` [sequence length, dim] the text's embeddings, rotated towards the audio by the share
        `blended`, and behind them the audio's, with the share `appended`."""
        if blended > 0 and self._audio is not None:
            text = slerp(text, blend(self._scene.parts(self._audio.sentence())).to(text), blended)
        fill_rows(rows, text, self._trained_with_audio)
        if len(rows) > len(text) and appended > 0 and self._audio is not None:
            rest = rows[len(text) :]
            heard = self._audio.tokens().to(text)
            rest.copy_(heard * appended if self._trained_with_audio else slerp(rest, heard, appended))

    def _regions(
        self, prompt_embeds: torch.Tensor, parts: list[Part], shares: _Shares, scenes: list[Part]
    ) -> Regions | None:
        """One region per prompt and per scene of the audio. Where only one region remains, it is written to
        `prompt_embeds`, and the result is None."""
        if self._region_embeds is None:
            self._region_embeds = prompt_embeds.new_empty(MAX_REGIONS, *prompt_embeds.shape)
        weights: list[float] = []
        if shares.region < 1.0 - VISIBLE:
            for states, weight in parts if shares.region <= VISIBLE else fold(parts, MAX_REGIONS - len(scenes)):
                self._mix(self._region_embeds[len(weights)], states, shares.blend, shares.append)
                weights.append(weight * (1.0 - shares.region))
        heard = bool(weights) and shares.region > VISIBLE
        for states, weight in scenes if shares.region > VISIBLE else []:
            clearer = self._clearer_by(shares.region) if heard else 1.0
            states = states.to(prompt_embeds) * clearer
            fill_rows(self._region_embeds[len(weights)], states, self._trained_with_audio)
            weights.append(weight * shares.region)
        self._add_mood(self._region_embeds[: len(weights)], shares.mood)
        if len(weights) == 1:
            prompt_embeds.copy_(self._region_embeds[0])
            return None
        total = sum(weights)
        return Regions(self._region_embeds[: len(weights)], tuple(weight / total for weight in weights), heard)

    def _clearer_by(self, area: float) -> float:
        """Factor on the states of a scene beside a prompt, by the scene's area, 0 to 1."""
        first, last = CLEAR_AREA
        return self._clearer + (1.0 - self._clearer) * ease((area - first) / (last - first))

    def _add_mood(self, regions: torch.Tensor, share: float) -> None:
        """Add the mood to the audio rows of `regions` [K, sequence length, dim]; no effect without such rows."""
        if self._audio is None or not self._trained_with_audio or share <= 0:
            return
        mood, confidence = self._audio.mood()
        if confidence > 0 and len(mood):
            regions[:, -len(mood) :] += mood.to(regions) * (share * confidence)

    def _edits(
        self, prompt_embeds: torch.Tensor, found: list[tuple[torch.Tensor, float]], share: float
    ) -> EditDirections:
        if self._edit_embeds is None or len(self._edit_embeds) != len(found):
            self._edit_embeds = prompt_embeds.new_empty(len(found), *prompt_embeds.shape)
        for rows, (states, _) in zip(self._edit_embeds, found, strict=True):
            fill_rows(rows, states.to(rows), self._trained_with_audio)
        return EditDirections(self._edit_embeds, tuple(weight for _, weight in found), share)

    def _follow_span(self, goal: Span | None, step: float) -> None:
        if goal is None or self._span is None:
            self._span = goal
        else:
            low, high = (now + _limited(end - now, step) for now, end in zip(self._span, goal, strict=True))
            self._span = low, high

    def _fade(self, step: float, mode: str) -> None:
        """Move the smoothed values (scenes that do not suit, factor, no prompt, modes) by at most `step`, the part of
        MODE_FADE since the last frame."""
        suited, unsuited = self._beside(), 0.0
        own = 1.0 - self._scene.directed
        if suited is not None and self._audio is not None and own > VISIBLE:
            unsuited = own * sum(weight for text, weight in self._audio.scene_texts() if text not in suited)
        self._unsuited += _limited(unsuited - self._unsuited, step)
        self._clearer += _limited(self._beside.clearer() - self._clearer, step)
        self._smaller += _limited(self._beside.smaller() - self._smaller, step)
        self._promptless += _limited(float(not self._bank.prompt.strip()) - self._promptless, step)
        for name, share in self._modes.items():
            self._modes[name] += _limited(float(name == mode) - share, step)


def _limited(change: float, step: float) -> float:
    return min(max(change, -step), step)


def region_area(share: float) -> float:
    """Area of the audio's region, 0 to 1, for its weight times its strength, 0 to 1.

    More than the share itself: the regional blend (`diffusion/sampling/region_blend.py`) shrinks small areas further.
    """
    return share**0.75
