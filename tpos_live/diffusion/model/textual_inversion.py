"""Textual inversions: words of a prompt that stand for learned input embeddings of the text encoder (Gal et al. 2022).

Every `.safetensors` file in the folder `embeddings` of an engine is read when the engine is loaded. A prompt refers to
it by the file's name, or by the token in the file, in upper or lower case. Each row of it becomes one token of the
text. A file that cannot be used is logged in one line and ignored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.metadata import EMBEDDINGS

log = logging.getLogger(__name__)

_PICKLES = (".pt", ".bin", ".ckpt", ".pth")
_ALONE = ("emb_params", "*", "string_to_param.*")
"""Names of the tensor in other programs' files with one embedding for one text encoder."""
_PAIRS = (("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1"))
"""Names of the two tensors in files for Stable Diffusion XL."""
_WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 1280: "Stable Diffusion XL"}
_LARGEST = 100.0
"""No learned row has larger values; the encoder's own rows are below 1."""


@dataclass(frozen=True)
class Inversion:
    """name: the word in a prompt. rows: for each text encoder, [tokens, width of the encoder]."""

    name: str
    rows: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Expansion:
    """Replaces words of a text by tokens. tokens: by word in lower case, its tokens separated by spaces."""

    tokens: Mapping[str, str]

    def __call__(self, text: str) -> str:
        """The text with its embeddings' words replaced."""
        if not self.tokens:
            return text
        words = sorted(self.tokens, key=len, reverse=True)
        # A name may begin or end with a character that is not \w, as in "<cat-toy>". The group's number identifies the
        # word, because a match that ignores case may differ from the name in lower case, as with a dotless i.
        pattern = rf"(?<!\w)(?:{'|'.join(f'({re.escape(word)})' for word in words)})(?!\w)"
        return re.sub(pattern, lambda found: f" {self.tokens[words[(found.lastindex or 0) - 1]]} ", text, flags=re.I)


def add_inversions(folder: Path, encoders: Sequence[Any], tokenizers: Sequence[Any]) -> Expansion:
    """Add the embeddings of an engine's folder to its text encoders and tokenizers. Returns their words' expansion.

    encoders, tokenizers: CLIP's, in the same order. Never fails: a file that cannot be used is logged.
    """
    tokens: dict[str, str] = {}
    widths = [int(encoder.config.hidden_size) for encoder in encoders]
    for path in sorted((folder / EMBEDDINGS).glob("*")):
        if path.suffix not in (".safetensors", *_PICKLES):
            continue
        try:
            found = read_inversions(path, widths)
        except EngineError as error:
            log.warning(f"{error}; the engine is used without it")
            continue
        for inversion in found:
            if inversion.name.lower() in tokens:
                log.warning(f"{path}: another embedding is called {inversion.name}; the engine is used without it")
                continue
            tokens[inversion.name.lower()] = _add(len(tokens), inversion, encoders, tokenizers)
    if tokens:
        log.info(f"embeddings that a prompt can name: {', '.join(tokens)}")
    return Expansion(tokens)


def read_inversions(path: Path, widths: Sequence[int]) -> list[Inversion]:
    """The embeddings of a file. widths: of the text encoders' rows. Raises EngineError, one line: a pickle, a damaged
    file, one for another generation of Stable Diffusion, or none at all."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix in _PICKLES:
        raise EngineError(f"{path}: embeddings must be safetensors; a pickle can run code")
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise EngineError(f"{path}: damaged, or no safetensors file; download it again") from error
    pair = next((pair for pair in _PAIRS if all(name in tensors for name in pair)), None)
    named = {path.stem: tuple(tensors[name] for name in pair)} if pair else {}
    if not pair:
        alone = len(tensors) == 1
        for key, tensor in tensors.items():
            if key not in _ALONE:
                named[key] = (tensor,)
            if key in _ALONE or alone:
                named[path.stem] = (tensor,)
    if not all(name.strip() for name in named):
        raise EngineError(f"{path}: an embedding in it has no name; choose another file")
    return [Inversion(name, _checked(path, rows, widths)) for name, rows in named.items()]


def _checked(path: Path, rows: tuple[torch.Tensor, ...], widths: Sequence[int]) -> tuple[torch.Tensor, ...]:
    rows = tuple(row[None] if row.dim() == 1 else row for row in rows)
    if any(row.dim() != 2 or not row.numel() for row in rows):
        raise EngineError(f"{path}: is no textual inversion; choose another file")
    if [row.shape[1] for row in rows] != list(widths) or len({len(row) for row in rows}) > 1:
        base = _WIDTHS.get(rows[-1].shape[1], "another text encoder")
        raise EngineError(f"{path}: was made for {base}, and not for this engine; choose another file")
    if not all(float(row.float().abs().max()) < _LARGEST for row in rows):
        raise EngineError(f"{path}: is damaged (not finite, or huge); download it again")
    return tuple(row.float() for row in rows)


def _add(number: int, inversion: Inversion, encoders: Sequence[Any], tokenizers: Sequence[Any]) -> str:
    """Add one embedding. Returns its tokens, separated by spaces."""
    tokens = [f"<|embedding-{number}-{row}|>" for row in range(len(inversion.rows[0]))]
    for encoder, tokenizer, rows in zip(encoders, tokenizers, inversion.rows, strict=True):
        tokenizer.add_tokens(tokens)
        at = [int(token) for token in tokenizer.convert_tokens_to_ids(tokens)]
        before = encoder.get_input_embeddings()
        weight = torch.zeros(max(*at, before.num_embeddings - 1) + 1, before.embedding_dim)
        weight[: before.num_embeddings] = before.weight.detach()
        weight[at] = rows
        encoder.set_input_embeddings(torch.nn.Embedding.from_pretrained(weight.to(before.weight.dtype)))
        for module in encoder.modules():  # the value 2 in published configurations means "the largest id"
            if getattr(module, "eos_token_id", None) == 2:
                module.eos_token_id = int(tokenizer.eos_token_id)
    return " ".join(tokens)
