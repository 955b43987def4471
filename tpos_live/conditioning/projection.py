"""The trained projection: from the sentence space to the text states of one engine.

TPoS maps its embedding to CLIP states with 454 million parameters and a final GELU, which cannot produce negative
values below -0.17 (Jeong et al., ICCV 2023, section 3.3, and its released code). Here the states are the mean over
texts plus, in each row, a sum of the engine's principal directions, whose amounts a small network computes:

    amounts = skip v + out silu(into v)            [tokens, rank]
    states  = mean + amounts basis                 [tokens, dim], each row scaled to the length of text rows

The last layer is linear, and the network has some hundred times fewer parameters. A projection belongs to one text
encoder and one sentence space: the hashes of both are stored with it and checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.phrase_conditioner import PhraseConditioner
from tpos_live.core.atomic import atomic_folder
from tpos_live.core.tensor_file import read_tensors

FORMAT = 1
WEIGHTS, METADATA = "mapping.safetensors", "mapping.json"
PARTS = ("skip", "into", "into_bias", "out", "mean", "basis", "lengths")
_PATTERNS = (
    "text_encoder/*.safetensors", "text_encoder/*.json", "tokenizer/*.json", "tokenizer/*.txt",
    "text_encoder_2/*.safetensors", "text_encoder_2/*.json", "tokenizer_2/*.json", "tokenizer_2/*.txt",
)  # fmt: skip


class ProjectionError(Exception):
    """A projection cannot be used or trained. One line: what, where, what to do."""


def retrain(engine: Path) -> str:
    """The command that trains an engine's projection (its public name is "mapping")."""
    return f"tpos-live train mapping --engine {engine}"


def states_hash(engine: Path, loras: Iterable[tuple[str, float]] = ()) -> str:
    """sha256 of all files that determine an engine's text states.

    loras: file (relative to the engine folder) and weight of each. Raises ProjectionError where a file is missing.
    """
    digest = hashlib.sha256()
    paths = sorted(path for pattern in _PATTERNS for path in engine.glob(pattern))
    if not any(path.suffix == ".safetensors" for path in paths):
        raise ProjectionError(f"{engine / 'text_encoder'}: no safetensors weights; fetch or install the engine again")
    try:
        for path, name in [(path, path.name) for path in paths] + [(engine / file, f"{w:g}") for file, w in loras]:
            digest.update(name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise ProjectionError(f"{error.filename} cannot be read ({error.strerror}); fetch the engine again") from error
    return digest.hexdigest()


class AudioProjection:
    """Unit vectors of the sentence space to text states of an engine. Immutable: any thread may call it."""

    def __init__(self, weights: Mapping[str, torch.Tensor], facts: Mapping[str, Any] | None = None) -> None:
        """weights: float tensors, by PARTS. facts: the metadata. Raises ValueError for inconsistent shapes."""
        self.facts = dict(facts or {})
        self.weights = {name: weights[name].float() for name in PARTS}
        w = self.weights
        self.tokens, self.dim = w["mean"].shape
        rank, hidden = len(w["basis"]), len(w["into"])
        space = w["skip"].shape[1]
        expected = {
            "skip": (self.tokens * rank, space), "into": (hidden, space), "into_bias": (hidden,),
            "out": (self.tokens * rank, hidden), "basis": (rank, self.dim), "lengths": (self.tokens, 1),
        }  # fmt: skip
        for name, shape in expected.items():
            if w[name].shape != shape:
                raise ValueError(f"{name} is {tuple(w[name].shape)}, not {shape}")
        self.space = space

    @property
    def parameters(self) -> int:
        return sum(value.numel() for value in self.weights.values())

    def to(self, device: torch.device) -> AudioProjection:
        return AudioProjection({name: value.to(device) for name, value in self.weights.items()}, self.facts)

    def amounts(self, vectors: torch.Tensor) -> torch.Tensor:
        """Amount of each direction, float [n, tokens, rank], for vectors [n, space]."""
        w = self.weights
        inside = F.silu(F.linear(vectors, w["into"], w["into_bias"]))
        flat = F.linear(vectors, w["skip"]) + F.linear(inside, w["out"])
        return flat.view(len(vectors), self.tokens, -1)

    @torch.inference_mode()
    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """States float [n, tokens, dim] for vectors [n, space]; each row has the mean length of text rows."""
        w = self.weights
        states = w["mean"] + self.amounts(vectors.to(w["mean"])) @ w["basis"]
        return states * (w["lengths"] / states.norm(dim=-1, keepdim=True).clamp_min(1e-6))


class ProjectedConditioner(PhraseConditioner):
    """A PhraseConditioner with a trained projection, which converts the embedding itself and not the nearest phrases.

    Phrases still have weights: they name the sound, and each edit direction is one phrase.
    """

    def __init__(
        self, phrases: Sequence[str], vectors: np.ndarray, projection: AudioProjection, rows: int, first: int = 1,
        csls_scorer: CslsScorer | None = None,
    ) -> None:  # fmt: skip
        """As PhraseConditioner, but encodes no text, so it is ready at once."""
        super().__init__(phrases, vectors, _no_states, rows, first, csls_scorer)
        self._projection = projection
        self._known: dict[int, torch.Tensor] = {}
        self._place, self._goal_place = (np.zeros(self._vectors.shape[1]) for _ in range(2))

    def _aim(self, embedding: AudioEmbedding, now: float) -> None:
        super()._aim(embedding, now)
        place = np.asarray(embedding.vector, dtype=np.float64)
        if place.shape == self._place.shape and np.isfinite(place).all() and place.any():  # silence keeps the last
            self._goal_place = place

    def _run(self, share: float) -> None:
        super()._run(share)
        self._place = self._place + share * (self._goal_place - self._place)

    def sentence(self) -> torch.Tensor:
        if self._sentence is None:
            length = float(np.linalg.norm(self._place))
            self._sentence = self._mapped(self._place / length) if length > 1e-6 else self._state(0)
        return self._sentence

    def scene(self) -> tuple[torch.Tensor, float]:
        return self.sentence(), 1.0

    def scene_texts(self) -> list[tuple[str, float]]:
        return []

    def _state(self, index: int) -> torch.Tensor:
        if index not in self._known:
            self._known[index] = self._mapped(self._vectors[index])
        return self._known[index]

    def _mapped(self, place: np.ndarray) -> torch.Tensor:
        return self._projection(torch.from_numpy(place.astype(np.float32))[None])[0]


def _no_states(phrases: Sequence[str]) -> torch.Tensor:
    """In place of a text encoder: `ProjectedConditioner._state` never reads these states."""
    return torch.empty(len(phrases), 0)


def read_projection(folder: Path) -> AudioProjection:
    """The projection in a folder. Raises ProjectionError for a folder without one, or a damaged one."""
    try:
        facts = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}, not {FORMAT}")
        for name in ("engine", "text_encoder", "space"):
            if not isinstance(facts[name], str):
                raise ValueError(name)
        return AudioProjection(read_tensors(folder / WEIGHTS), facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectionError(
            f"{folder}: not a valid mapping ({error!r}); train it again: {retrain(folder)}"
        ) from error


def write_projection(home: Path, projection: AudioProjection) -> Path:
    """Write a projection to its folder under `home`, atomically; returns the folder."""
    from safetensors.torch import save_file

    folder = home / projection.facts["text_encoder"][:24]
    with atomic_folder(folder) as made:
        save_file({name: value.half().contiguous().cpu() for name, value in projection.weights.items()}, made / WEIGHTS)
        facts = {"format": FORMAT, **projection.facts}
        (made / METADATA).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def find_projection(
    home: Path, engine: Path, tokens: int, dim: int, space: str, loras: Iterable[tuple[str, float]] = ()
) -> tuple[AudioProjection | None, str]:
    """The projection for an engine's text encoder and "", or None and the reason in one line.

    home: folder of all projections. tokens, dim: of the engine's text states. space: hash of the text encoder whose
    sentence space the embeddings use. The reason is "" where no projection was ever trained for this engine.
    """
    found: list[AudioProjection] = []
    why = ""
    for folder in sorted(home.glob(f"*/{METADATA}")):
        try:
            projection = read_projection(folder.parent)
        except ProjectionError as error:
            why = str(error)
            continue
        if (projection.tokens, projection.dim) == (tokens, dim) or projection.facts["engine"] == str(engine):
            found.append(projection)
    if not found:
        return None, why
    own = states_hash(engine, loras)  # takes seconds for a large encoder, so only where a candidate exists
    fitting = [projection for projection in found if projection.facts["text_encoder"] == own]
    if fitting and fitting[0].facts["space"] != space:
        return None, (
            f"the mapping of {engine.name} was trained to another sentence space than the audio encoder's; "
            f"the concept bank takes its place; train it again: {retrain(engine)}"
        )
    if not fitting and any(projection.facts["engine"] == str(engine) for projection in found):
        return None, (
            f"the mapping of {engine.name} was trained to another text encoder than it has now; "
            f"the concept bank takes its place; train it again: {retrain(engine)}"
        )
    return (fitting[0], "") if fitting else (None, why)
