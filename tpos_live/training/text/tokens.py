"""The tokens of a prompt, as the text encoder takes them."""

from __future__ import annotations

from typing import Any

import torch

LENGTH = 24
"""Tokens of a prompt, [CLS] first."""


def tokenize(tokenizer: Any, texts: list[str], short: bool = False) -> dict[str, torch.Tensor]:
    """Token ids and mask, int64 [batch, LENGTH] each, as the Stable Diffusion pipelines do it.

    short: pad to the longest text only, which is all that training behind a mask needs.
    """
    padding = "longest" if short else "max_length"
    made = tokenizer(texts, padding=padding, max_length=LENGTH, truncation=True, return_tensors="pt")
    return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}
