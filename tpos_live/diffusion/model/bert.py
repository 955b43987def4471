"""A BERT text encoder (Devlin et al. 2019) made of torch's layers, and its tokenizer, without transformers.

Importing transformers would take longer than all other work before the first frame. Modules and weights have the same
names as in transformers, and the states are equal except for rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn import Embedding, LayerNorm, Linear, ModuleDict, ModuleList

from tpos_live.core.errors import EngineError, first_line
from tpos_live.diffusion.model.load_part import read_json, read_weights, require_tensors
from tpos_live.diffusion.model.networks import check_reader

_NEEDED = {
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps",
}  # fmt: skip


class BertTextEncoder(torch.nn.Module):
    """From token ids [batch, words] to states [batch, words, hidden_size]. Post-norm layers, exact GELU."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: as transformers writes it. Raises ValueError for missing or unsupported values."""
        super().__init__()
        if missing := sorted(_NEEDED - config.keys()):
            raise ValueError(f"its config.json lacks {', '.join(missing)}")
        kind = config.get("hidden_act", "gelu"), config.get("position_embedding_type", "absolute")
        if kind != ("gelu", "absolute"):
            raise ValueError("it is a BERT of another kind: engines need GELU and absolute positions")
        self.config = SimpleNamespace(**config)
        dim, inner, eps = int(config["hidden_size"]), int(config["intermediate_size"]), float(config["layer_norm_eps"])
        self.heads = int(config["num_attention_heads"])
        if self.heads < 1 or dim % self.heads:
            raise ValueError(f"{self.heads} attention heads do not share {dim} numbers")
        self.embeddings = ModuleDict({
            "word_embeddings": Embedding(int(config["vocab_size"]), dim),
            "position_embeddings": Embedding(int(config["max_position_embeddings"]), dim),
            "token_type_embeddings": Embedding(int(config["type_vocab_size"]), dim),
            "LayerNorm": LayerNorm(dim, eps),
        })  # fmt: skip

        def layer() -> ModuleDict:
            attend = ModuleDict({name: Linear(dim, dim) for name in ("query", "key", "value")})
            return ModuleDict({
                "attention": ModuleDict({
                    "self": attend,
                    "output": ModuleDict({"dense": Linear(dim, dim), "LayerNorm": LayerNorm(dim, eps)}),
                }),
                "intermediate": ModuleDict({"dense": Linear(dim, inner)}),
                "output": ModuleDict({"dense": Linear(inner, dim), "LayerNorm": LayerNorm(dim, eps)}),
            })  # fmt: skip

        self.encoder = ModuleDict({"layer": ModuleList(layer() for _ in range(int(config["num_hidden_layers"])))})

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> tuple[torch.Tensor]:
        """attention_mask: [batch, words], 0 for padding, which is not attended to; None = attend to all."""
        table: Any = self.embeddings
        layers: Any = self.encoder["layer"]
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        kind = torch.zeros_like(input_ids)
        x = table["word_embeddings"](input_ids) + table["token_type_embeddings"](kind)
        x = table["LayerNorm"](x + table["position_embeddings"](places))
        seen = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        for layer in layers:
            x = self._layer(layer, x, seen)
        return (x,)

    def _layer(self, layer: Any, x: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        attention, output = layer["attention"], layer["output"]
        query, key, value = (
            attention["self"][name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=seen).transpose(1, 2).flatten(2)
        x = attention["output"]["LayerNorm"](x + attention["output"]["dense"](found))
        inner = F.gelu(layer["intermediate"]["dense"](x))
        result: torch.Tensor = output["LayerNorm"](x + output["dense"](inner))
        return result


class BertReader:
    """A BERT and its tokenizer; the same calls as `text_encoders.Reader`."""

    def __init__(self, encoder: BertTextEncoder, tokenizer: Any, longest: int, padding: int) -> None:
        """tokenizer: from `tokenizers`; set to truncate texts. longest: most tokens of a text. padding: id of the
        padding token."""
        self.encoder, self._tokenizer, self._padding = encoder, tokenizer, padding
        self.words = longest
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.words)

    def read(self, texts: list[str], padding: str, words: int, device: torch.device, **_options: bool) -> Any:
        """States of texts, in a tuple of length 1. padding: "max_length" (to `words` tokens) or "longest"."""
        found = self._tokenizer.encode_batch(texts)
        rows = [encoding.ids[:words] for encoding in found]
        length = words if padding == "max_length" else max(map(len, rows), default=0)
        ids = torch.tensor([[*row, *[self._padding] * (length - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=device)
        return self.encoder(ids, mask if getattr(self.encoder.config, "use_attention_mask", False) else None)


def load_bert(folder: Path, part: str, tokenizer: str) -> BertReader:
    """The BERT in `folder / part`, in float32 on the CPU, and the tokenizer in `folder / tokenizer`.

    Raises EngineError, one line, for missing or damaged files.
    """
    where = folder / part
    try:
        weights = {name.removeprefix("bert."): value.float() for name, value in read_weights(where).items()}
        encoder = BertTextEncoder(read_json(where / "config.json"))
        found = encoder.load_state_dict(weights, strict=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        first = first_line(error)
        raise EngineError(f"{where}: cannot be loaded ({first}); fetch or install the engine again") from error
    require_tensors(where, found.missing_keys)
    made, longest, padding = _load_tokenizer(folder / tokenizer)
    longest = min(longest, int(encoder.config.max_position_embeddings))
    words = made.get_vocab_size()
    if not (folder / tokenizer / "tokenizer.json").exists():  # a duplicate word in vocab.txt leaves a gap in the ids
        words = max(made.get_vocab().values(), default=0) + 1
    check_reader(folder / tokenizer, longest, words, int(encoder.config.vocab_size))
    return BertReader(encoder.eval(), made, longest, padding)


def _load_tokenizer(where: Path) -> tuple[Any, int, int]:
    """The tokenizer, its longest text in tokens, and the id of its padding token."""
    from tokenizers import Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer

    config = read_json(where / "tokenizer_config.json")
    try:
        made: Any
        if (where / "tokenizer.json").exists():
            made = Tokenizer.from_file(str(where / "tokenizer.json"))
        else:
            lower = bool(config.get("do_lower_case", True))
            made = BertWordPieceTokenizer(str(where / "vocab.txt"), lowercase=lower)
        pad = str(config.get("pad_token", "[PAD]"))
        if (number := made.token_to_id(pad)) is None:
            raise ValueError(f"it has no token {pad}")
        return made, int(config.get("model_max_length", 512)), int(number)
    except Exception as error:  # the library raises Exception itself
        raise EngineError(f"{where}: cannot be loaded ({first_line(error)}); fetch the engine again") from error
