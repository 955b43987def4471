"""Ember's small text encoder, distilled from all-MiniLM-L6-v2.

Its token embeddings start as a projection of MiniLM's states for each word piece alone. Two transformer layers then
learn MiniLM's sentence vector at position 0 and its token states at the other positions, all projected to DIM principal
components. Words that are in no caption therefore get vectors near words of similar meaning. A show needs only the
small encoder.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tqdm import tqdm

from tpos_live.scenes.finishing import MOODS, STYLES
from tpos_live.training.text.captions import COLOURS, MOOD_PHRASES, PHRASES, STYLE_WORDS, caption
from tpos_live.training.text.minilm import embed, minilm
from tpos_live.training.text.tokens import LENGTH, tokenize

DIM = 128


def sentences(rng: random.Random, words: list[str], count: int) -> list[str]:
    """`count` training texts: half are captions, half are one to six random words, some with a phrase among them."""
    families, out = list(PHRASES), []
    for index in range(count):
        if index % 2:
            colour = rng.choice([None, *COLOURS])
            second = rng.choice(families) if rng.random() < 0.2 else None
            out.append(caption(rng, rng.choice(families), rng.choice(STYLES), rng.choice(list(MOODS)), colour, second))
        else:
            heap = [rng.choice(words) for _ in range(rng.randint(1, 6))]
            if rng.random() < 0.5:
                extra = rng.choice([*PHRASES[rng.choice(families)], *rng.choice(list(STYLE_WORDS.values()))])
                heap.insert(rng.randrange(len(heap) + 1), extra)
            if rng.random() < 0.1:
                heap = [rng.choice(rng.choice(list(MOOD_PHRASES.values())))]
            out.append(" ".join(heap).strip())
    return out


def encode(encoder: Any, tokenizer: Any, texts: list[str]) -> torch.Tensor:
    """Hidden states, float [batch, LENGTH, DIM]."""
    device = next(encoder.parameters()).device
    ids = {key: value.to(device) for key, value in tokenize(tokenizer, texts).items()}
    with torch.no_grad():
        states: torch.Tensor = encoder(**ids).last_hidden_state
    return states


def _basis(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean [384] and the DIM principal directions [384, DIM] of vectors [n, 384]."""
    mean = vectors.mean(0)
    centred = vectors - mean
    _, directions = torch.linalg.eigh(centred.T @ centred)
    return mean, directions.flip(1)[:, :DIM]


def _piece_states(model: Any, tokenizer: Any, device: torch.device) -> torch.Tensor:
    """MiniLM's state of each word piece as the only word of a text, [vocabulary, 384]."""
    size = len(tokenizer)
    out = torch.empty(size, model.config.hidden_size)
    for start in range(0, size, 1024):
        ids = torch.arange(start, min(start + 1024, size))
        row = torch.stack(
            [torch.full_like(ids, tokenizer.cls_token_id), ids, torch.full_like(ids, tokenizer.sep_token_id)], 1
        )
        with torch.no_grad():
            out[ids] = model(input_ids=row.to(device)).last_hidden_state[:, 1].cpu()
    return out


def build(vocabulary: int) -> Any:
    """The untrained encoder, a BertModel of transformers."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary, hidden_size=DIM, num_hidden_layers=2, num_attention_heads=4, intermediate_size=384,
        max_position_embeddings=LENGTH, type_vocab_size=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config.use_attention_mask = True
    return BertModel(config)


def train_text_encoder(out: Path, minutes: float, seed: int, device: torch.device) -> float:
    """Distil the encoder into out/text_encoder and out/tokenizer; returns the running mean of the cosine between its
    sentence vectors and MiniLM's."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model, tokenizer = minilm()
    model.to(device)
    pieces = _piece_states(model, tokenizer, device)
    words = [w for w, i in tokenizer.get_vocab().items() if w.isalpha() and len(w) > 2 and i > 1996]
    words.sort()
    token_mean, token_axes = _basis(pieces)
    probe = {k: v.to(device) for k, v in tokenize(tokenizer, sentences(rng, words, 2048)).items()}
    pooled_mean, pooled_axes = (t.to(device) for t in _basis(embed(model, probe)[1].cpu()))
    student = build(len(tokenizer))
    with torch.no_grad():
        start = (pieces - token_mean) @ token_axes
        student.embeddings.word_embeddings.weight.copy_(start / start.std())
        student.pooler.dense.weight.copy_(torch.eye(DIM) * 0.25)
        student.pooler.dense.bias.zero_()
    token_mean, token_axes = token_mean.to(device), token_axes.to(device)
    student.to(device).train()
    student.pooler.requires_grad_(False)
    table = student.embeddings.word_embeddings.weight
    rest = [p for p in student.parameters() if p is not table and p.requires_grad]
    optimizer = torch.optim.AdamW([{"params": [table], "lr": 2e-4}, {"params": rest, "lr": 1.5e-3}], weight_decay=0.0)
    begin, quality = time.monotonic(), 0.0
    tenth = 0
    with tqdm(total=round(minutes * 60), unit="s", desc="text encoder") as bar:
        while (spent := time.monotonic() - begin) < minutes * 60 or tenth == 0:
            left = max(0.0, 1 - spent / max(minutes * 60, 1e-6))
            for group, rate in zip(optimizer.param_groups, (4e-4, 2e-3), strict=True):
                group["lr"] = rate * (0.02 + 0.98 * left) * min(1.0, (tenth + 1) / 50)
            ids = {k: v.to(device) for k, v in tokenize(tokenizer, sentences(rng, words, 64), True).items()}
            states, pooled = embed(model, ids)
            want = F.normalize((pooled - pooled_mean) @ pooled_axes, dim=-1)
            want_tokens = F.normalize((states - token_mean) @ token_axes, dim=-1)
            have = student(**ids).last_hidden_state
            cosine = F.cosine_similarity(have[:, 0], want, dim=-1)
            like = F.normalize(have[:, 0], dim=-1)
            geometry = (like @ like.T - want @ want.T).pow(2).mean()
            mask = ids["attention_mask"].float()
            mask[:, 0] = 0
            tokens = ((1 - F.cosine_similarity(have, want_tokens, dim=-1)) * mask).sum() / mask.sum()
            loss = (1 - cosine).mean() + 2 * geometry + 0.5 * tokens
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            quality += 0.02 * (cosine.mean().item() - quality)
            tenth += 1
            bar.n = min(bar.total, int(spent))
            bar.set_postfix(cosine=f"{quality:.3f}", tokens=f"{1 - tokens.item():.3f}", steps=tenth, refresh=False)
            bar.update(0)
    student.eval().half().save_pretrained(out / "text_encoder")
    tokenizer.model_max_length = LENGTH
    tokenizer.save_pretrained(out / "tokenizer")
    return quality
