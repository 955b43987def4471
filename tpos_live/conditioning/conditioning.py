"""What one frame is conditioned on: prompt embeddings, regions and edit directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from tpos_live.conditioning.palette_span import Span

MAX_REGIONS = 3
"""Most prompts that share a frame; each costs one row of the UNet's batch."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Several prompts in one frame, each with a share of its area.

    prompt_embeds: float [K, sequence length, dim]. weights: K shares of the area, 2 to MAX_REGIONS of them, each above
    zero, sum 1. heard: the last region shows the sound, beside regions of prompts.
    """

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
    heard: bool = False


@dataclass(frozen=True, slots=True)
class EditDirections:
    """Input of semantic guidance (SEGA): directions in which the audio changes the frame, independent of the prompt.

    prompt_embeds: float [K, sequence length, dim]. weights: K, none negative, sum 1. share: strength, 0 to 1.
    """

    prompt_embeds: torch.Tensor
    weights: tuple[float, ...]
    share: float


class ShownText(NamedTuple):
    """A text that the frame shows. weight: above zero. heard: a scene or mood of the sound, or the director's scene for
    it. mood: the text is not a scene, but modifies every scene, with its full effect at weight 1."""

    text: str
    weight: float
    heard: bool = False
    mood: bool = False


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Result of `ConditioningBuilder.build`. All tensors are buffers of the builder, valid until its next call.

    prompt_embeds: float [sequence length, dim], for samplers that draw one prompt. regions: None for a single prompt.
    edits: None without semantic guidance. label: the prompt that is shown or faded to. texts: the texts that the frame
    shows: first scenes, the sound's last, with weights of sum 1 (or no scenes), then moods with weights of sum 1 at
    most. A trained projection of the sound has no texts. span: the part of the palette that suits the frame
    (`palette_span.py`); None where it is not known.
    """

    prompt_embeds: torch.Tensor
    regions: Regions | None = None
    edits: EditDirections | None = None
    label: str = ""
    texts: tuple[ShownText, ...] = ()
    span: Span | None = None


def fill_rows(rows: torch.Tensor, text: torch.Tensor, trained_with_audio: bool) -> None:
    """Write a text's embeddings [tokens, dim] into the first of `rows`, and the values that mean silence into the
    others: zeros for an engine that was trained with audio, else a copy of the text's last rows."""
    rows[: len(text)] = text
    rest = rows[len(text) :]
    rest.zero_() if trained_with_audio else rest.copy_(text[len(text) - len(rest) :])
