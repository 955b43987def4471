"""Tokenizes prompts for Ember's text encoder."""

from __future__ import annotations

from typing import Any

import torch

LENGTH = 24
"""Tokens of a prompt, with [CLS] and [SEP]."""


def tokenize(tokenizer: Any, texts: list[str], short: bool = False) -> dict[str, torch.Tensor]:
    """Token ids and attention mask, int64 [batch, LENGTH] each, padded as in the Stable Diffusion pipelines.

    short: pad only to the longest text; for training with a mask.
    """
    padding = "longest" if short else "max_length"
    made = tokenizer(texts, padding=padding, max_length=LENGTH, truncation=True, return_tensors="pt")
    return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}
