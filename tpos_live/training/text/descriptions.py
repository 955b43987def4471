"""`tpos-live train descriptions`: a classifier from a prompt to a scene, for prompts that name no scene.

A multinomial logistic regression on `features` of a text, trained on `descriptions.tsv` beside this file. The engine's
text encoder does not change, because the UNet was trained with it. Phrases and listed words of the offered scenes are
no training texts: with them fewer descriptions lead to their scene. Those of the other scenes are texts of class NONE.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from tpos_live.conditioning.scene_scores import FILE, NONE, Sentences, features, stems, unit_vectors
from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import first_line
from tpos_live.core.paths import shipped
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.errors import DataError
from tpos_live.training.text.families_file import read_families
from tpos_live.training.text.near_words import near_words, words_for

log = logging.getLogger(__name__)

DECAY = 7e-5
"""Factor of the sum of the squared weights in the loss."""
_ITERATIONS = 100


def descriptions() -> list[tuple[str, str]]:
    """Texts that describe a scene, mostly without its name, with its family; NONE for texts about something else."""
    lines = Path(__file__).with_suffix(".tsv").read_text(encoding="utf-8").splitlines()
    return [(text, family) for text, family in (line.split("\t") for line in lines if line)]


def texts_for(offered: Sequence[str]) -> list[tuple[str, str]]:
    """The descriptions of the offered families; phrases and words of the other families with the class NONE."""
    listed = {text for texts in words_for(offered).values() for text in texts}
    own = near_words()
    others = [text for name in FAMILIES.keys() - set(offered) for text in (*FAMILIES[name].phrases, *own.get(name, ()))]
    described = [(text, family) for text, family in descriptions() if family in (*offered, NONE)]
    return [*described, *((text, NONE) for text in sorted(set(others) - listed))]


def learn(texts: Sequence[tuple[str, str]], sentences: Sentences) -> dict[str, torch.Tensor]:
    """The content of FILE: for each family its weights and bias, float16 [dim + WORDS + 1]. texts: (text, family)."""
    names = list(dict.fromkeys(family for _, family in texts))
    numbers = torch.tensor([names.index(family) for _, family in texts])
    vectors = unit_vectors(sentences, [text.lower() for text, _ in texts])
    seen = features(vectors, [stems(text) for text, _ in texts])
    layer = torch.nn.Linear(seen.shape[1], len(names))
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = F.cross_entropy(layer(seen), numbers) + DECAY * layer.weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[arg-type]
    table = torch.cat([layer.weight, layer.bias[:, None]], 1).detach().half()
    return {name: table[number].clone() for number, name in enumerate(names)}


def train_descriptions(folder: Path | None = None) -> Path:
    """Write FILE into an engine folder (default: Ember's). Raises EngineError, OSError, and DataError where the engine
    offers a scene without descriptions."""
    from safetensors.torch import save_file

    from tpos_live.diffusion.model.engine import load_engine

    folder = folder or shipped("engines") / "ember"
    try:
        offered = read_families(folder).offered
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: it does not say which scenes it offers ({first_line(error)})") from error
    texts = texts_for(offered)
    if missing := set(offered) - {family for _, family in texts}:
        raise DataError(f"no descriptions of {', '.join(sorted(missing))}; without them the nearest phrases are used")
    sentences = load_engine(folder, "cpu", lazy=True).texts.sentences
    learned = learn(texts, sentences)
    with atomic_write(folder / FILE) as path:
        save_file(learned, path)
    log.info(f"wrote {folder / FILE}: {len(offered)} scenes from {len(texts)} texts")
    return folder / FILE
