"""The text encoders of an engine: from a text to the rows of states that its UNet attends to.

An engine has one text encoder, or two, as Stable Diffusion XL. Two encode the same text: each row concatenates their
states, and a first row holds the second encoder's pooled embedding (see `sdxl`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError, first_line
from tpos_live.diffusion.model.bert import BertReader, load_bert
from tpos_live.diffusion.model.load_part import load_part
from tpos_live.diffusion.model.metadata import ONE, SECOND
from tpos_live.diffusion.model.networks import check_reader, check_weights, offline, quiet
from tpos_live.diffusion.model.sdxl import pack
from tpos_live.diffusion.model.textual_inversion import add_inversions

_ALONE = ("CLIPTextModel", "BertModel")
_PAIR = (("CLIPTextModel",), ("CLIPTextModelWithProjection",))
_AT_ONCE = 32
"""Batch size."""
_MOST = 20_000
"""Characters after which a text is cut before tokenizing."""


@dataclass(frozen=True)
class Reader:
    """A tokenizer and its text encoder. expand: replaces words that name a textual inversion."""

    encoder: Any
    tokenizer: Any
    expand: Callable[[str], str] = str

    @property
    def words(self) -> int:
        """Most tokens of a text; longer texts are cut."""
        return min(int(self.tokenizer.model_max_length), int(self.encoder.config.max_position_embeddings))

    def read(self, texts: list[str], padding: str, words: int, device: torch.device, **options: bool) -> Any:
        """The text encoder's output for texts. padding: "max_length" (to `words` tokens) or "longest"."""
        texts = [self.expand(text) for text in texts]
        inputs = self.tokenizer(texts, padding=padding, max_length=words, truncation=True, return_tensors="pt")
        # The Stable Diffusion pipelines attend to padding too, unless the encoder's config says otherwise.
        masked = getattr(self.encoder.config, "use_attention_mask", False)
        mask = inputs.attention_mask.to(device) if masked else None
        return self.encoder(inputs.input_ids.to(device), attention_mask=mask, **options)


class Texts:
    """Encodes texts with one encoder or two. Immutable, except for `to`: any thread may call it."""

    def __init__(self, readers: Sequence[Reader | BertReader], device: torch.device, blank: bool = False) -> None:
        """readers: one or two. blank: an empty negative prompt is zeros, not the states of an empty text."""
        self.readers, self.device, self.blank = tuple(readers), device, blank

    @property
    def pooled(self) -> int:
        """Length of the pooled embedding in the first row; 0 where there is no such row."""
        return int(self.readers[1].encoder.config.projection_dim) if len(self.readers) > 1 else 0

    @property
    def dim(self) -> int:
        """Length of a row."""
        return sum(int(reader.encoder.config.hidden_size) for reader in self.readers)

    @cached_property
    def words(self) -> int:
        """Most tokens of a text; longer texts are cut."""
        return min(reader.words for reader in self.readers)

    @property
    def first_word(self) -> int:
        """The row of a text's first word, behind the pooled row, if any, and the beginning-of-text token."""
        return 2 if self.pooled else 1

    @property
    def rows(self) -> int:
        """Rows of a text, including the pooled row."""
        return self.words + self.first_word - 1

    @property
    def modules(self) -> Mapping[str, torch.nn.Module]:
        """The text encoders, by the names of their folders."""
        return {name: reader.encoder for (name, _), reader in zip((ONE, SECOND), self.readers, strict=False)}

    def to(self, dtype: torch.dtype) -> None:
        """Move the encoders to the device, in evaluation mode without gradients."""
        for reader in self.readers:
            reader.encoder.to(device=self.device, dtype=dtype).eval().requires_grad_(False)

    @torch.inference_mode()
    def encode(self, text: str) -> torch.Tensor:
        """The states of a text, [rows, dim] on the device.

        Any text works: empty, of any length (cut), in any script.
        """
        return self._states([text])[0].clone()

    @torch.inference_mode()
    def encode_all(self, texts: Sequence[str]) -> torch.Tensor:
        """The states of many texts, [texts, rows, dim], encoded in batches."""
        return torch.cat([self._states(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)])

    def avoid(self, text: str) -> torch.Tensor:
        """The states of a negative prompt, as `encode`; zeros for an empty one where the engine was trained so."""
        states = self.encode(text)
        return torch.zeros_like(states) if self.blank and not text.strip() else states

    @torch.inference_mode()
    def sentences(self, texts: Sequence[str]) -> torch.Tensor:
        """One vector for each text, [texts, dim]: the first row, which is BERT's sentence vector or the pooled row."""
        alone = len(self.readers) == 1
        states: torch.Tensor = self._read(self.readers[0], texts, "longest")[0] if alone else self._states(texts)
        return states[:, 0].clone()

    def _states(self, texts: Sequence[str]) -> torch.Tensor:
        """States of texts, [texts, rows, dim]."""
        if len(self.readers) == 1:
            found: torch.Tensor = self._read(self.readers[0], texts, "max_length")[0]
            return found
        outputs = [self._read(reader, texts, "max_length", output_hidden_states=True) for reader in self.readers]
        # The second last layer of each encoder, as in the training of SDXL.
        beside = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return pack(beside, outputs[1].text_embeds)

    def _read(self, reader: Reader | BertReader, texts: Sequence[str], padding: str, **options: bool) -> Any:
        # Tokenizers refuse half of a surrogate pair, which a command line or a damaged file may contain.
        texts = [text[:_MOST].encode("utf-8", "replace").decode("utf-8") for text in texts]
        return reader.read(texts, padding, self.words, self.device, **options)


def load_texts(folder: Path, index: Mapping[str, Any], two: bool, device: torch.device) -> Texts:
    """Load an engine's text encoders. index: its `model_index.json`. two: whether its UNet needs two text encoders.

    Raises EngineError, one line. Call `Texts.to` after all LoRAs are merged.
    """
    pairs = (ONE, SECOND) if two else (ONE,)
    allowed = _PAIR if two else (_ALONE,)
    for (part, _), classes in zip(pairs, allowed, strict=True):
        name = index[part][1]
        if name not in classes:
            raise EngineError(f"{folder}: its {part} is a {name}; engines need {' or '.join(classes)} here")
    if index[ONE[0]][1] == "BertModel":
        bert = load_bert(folder, *ONE)
        check_weights(folder / ONE[0], bert.encoder)
        return Texts([bert], device)
    readers = []
    with offline(), quiet():
        for part, tokenizer in pairs:
            encoder = load_part(folder, part, _transformers(index[part][1]))
            check_weights(folder / part, encoder)
            reader = Reader(encoder, _load_tokenizer(folder, tokenizer, index[tokenizer][1]))
            check_reader(folder / tokenizer, reader.words, len(reader.tokenizer), int(encoder.config.vocab_size))
            readers.append(reader)
    expand = add_inversions(folder, [each.encoder for each in readers], [each.tokenizer for each in readers])
    readers = [replace(reader, expand=expand) for reader in readers]
    return Texts(readers, device, two and bool(index.get("force_zeros_for_empty_prompt", True)))


def _load_tokenizer(folder: Path, part: str, name: str) -> Any:
    import transformers

    cls = getattr(transformers, name, None)
    if cls is None or "Token" not in name:
        raise EngineError(f"{folder}: its {part} is a {name}; engines need one of transformers' tokenizers")
    try:
        return cls.from_pretrained(folder / part, local_files_only=True)
    except Exception as error:
        raise EngineError(f"{folder / part}: cannot be loaded ({first_line(error)}); fetch the engine again") from error


def _transformers(name: str) -> Any:
    import transformers

    return getattr(transformers, name)
