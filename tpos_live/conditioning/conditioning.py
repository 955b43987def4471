"""What one frame is conditioned on: prompt embeddings, regions and edit directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from tpos_live.conditioning.palette_span import Span

MAX_REGIONS = 3
"""Prompts that share a frame at once; each costs one row of the UNet's batch."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Several prompts in one frame, each with a share of its area.

    prompt_embeds: float [K, sequence length, dim]. weights: K shares of the area, 2 to MAX_REGIONS of them, each above
    zero, sum 1. heard: the last one is the sound's, beside prompts.
    """

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
    heard: bool = False


@dataclass(frozen=True, slots=True)
class EditDirections:
    """Input of semantic guidance (SEGA): where the audio moves the frame, apart from the prompt.

    prompt_embeds: float [K, sequence length, dim]. weights: K, none negative, sum 1. share: strength, 0 to 1.
    """

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
    share: float


class ShownText(NamedTuple):
    """A text that the frame shows. weight: above zero. heard: it is the sound's scene, or the director's for it. mood:
    it is no scene, but changes every scene, fully at a weight of 1."""

    text: str
    weight: float
    heard: bool = False
    mood: bool = False


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Result of `ConditioningBuilder.build`. All tensors are buffers of the builder, valid until its next call.

    prompt_embeds: float [sequence length, dim], for samplers that draw one prompt. regions: None for a single prompt.
    edits: None without semantic guidance. label: the prompt that is shown or faded to. texts: what the frame shows, in
    words: scenes with weights of sum 1 where there are any, the sound's last, then moods with weights of sum 1 at most.
    What a projection makes of a sound has no words. span: what of the palette suits it (`palette_span.py`).
    """

    prompt_embeds: torch.Tensor
    regions: Regions | None = None
    edits: EditDirections | None = None
    label: str = ""
    texts: tuple[ShownText, ...] = ()
    span: Span | None = None
