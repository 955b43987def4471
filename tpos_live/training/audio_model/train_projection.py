"""`tpos-live train projection`: fit the mapping from the sentence space to an engine's own text states.

Two text encoders encode the phrases of the caption grammar and of the audio encoder's bank: Ember's gives sentence
vectors, the input; the engine's gives hidden states, the target. The states are reduced to their principal components,
and a small network predicts these from the vector (TPoS, Jeong et al., ICCV 2023, the loss L_cond). Noise on the
vectors imitates the distance between the embedding of a sound and that of its text.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from tpos_live.audio_encoder.checkpoint import EncoderError, read_metadata, text_hash
from tpos_live.audio_encoder.load import FOLDER
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.phrase_conditioner import PhraseConditioner
from tpos_live.conditioning.projection import AudioProjection, ProjectionError, states_hash, write_projection
from tpos_live.core.atomic import check_writable
from tpos_live.core.paths import projections_dir, shipped
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.engine import Engine, load_engine

log = logging.getLogger(__name__)

MOST_PHRASES = 1600
LEAST_PHRASES = 96
HELD_OUT = 0.1
"""Share of the phrases for validation."""
BATCH = 16
"""Texts in a batch of the text encoder."""


@dataclass(frozen=True)
class ProjectionPlan:
    """rank: principal components. hidden: width of the network. rows: batch size. rate: peak learning rate. blur:
    largest norm of the noise added to a unit vector; its cosine to the phrase stays above 0.8. encoding: share of the
    time for encoding the phrases."""

    rank: int = 64
    hidden: int = 128
    steps: int = 1500
    rows: int = 64
    rate: float = 2e-3
    decay: float = 0.02
    blur: float = 0.75
    encoding: float = 0.7


def phrases(bank: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` different texts: the bank, then all phrases of scenes and moods, then captions, shuffled by `seed`.

    The bank comes first so that a short time for encoding still covers it: sounds lead to its phrases.
    """
    from tpos_live.scenes.finishing import MOODS, STYLES
    from tpos_live.training.text.captions import COLOURS, MOOD_PHRASES, PHRASES, caption

    rng = random.Random(seed)
    plain = [text for texts in (*PHRASES.values(), *MOOD_PHRASES.values()) for text in texts]
    rng.shuffle(plain)
    found = dict.fromkeys([*bank, *plain][:count])
    families = list(PHRASES)
    while len(found) < count:
        colour = rng.choice([None, *COLOURS])
        second = rng.choice(families) if rng.random() < 0.2 else None
        found[caption(rng, rng.choice(families), rng.choice(STYLES), rng.choice(list(MOODS)), colour, second)] = None
    return list(found)


@torch.inference_mode()
def encode(engine: Engine, texts: Sequence[str], seconds: float, clock: Callable[[], float]) -> torch.Tensor:
    """States float16 [n, tokens, dim] of the first n texts: as many as fit into `seconds`, at least LEAST_PHRASES."""
    begin, parts = clock(), []
    for at in range(0, len(texts), BATCH):
        if at >= LEAST_PHRASES and clock() - begin > seconds:
            break
        parts.append(torch.stack([engine.texts.encode(text).half().cpu() for text in texts[at : at + BATCH]]))
    return torch.cat(parts)


def fit(
    vectors: torch.Tensor,
    states: torch.Tensor,
    plan: ProjectionPlan,
    seed: int,
    seconds: float,
    clock: Callable[[], float],
) -> AudioProjection:
    """The mapping from unit vectors [n, space] to states [n, tokens, dim], trained for `plan.steps` or `seconds`,
    whichever ends first."""
    generator = torch.Generator().manual_seed(seed)
    count, tokens, dim = states.shape
    states = states.float()
    mean = states.mean(0)
    away = (states - mean).reshape(-1, dim)
    some = away[torch.randperm(len(away), generator=generator)[:20_000]]
    rank = min(plan.rank, dim, len(some))
    basis = torch.linalg.eigh(some.T @ some).eigenvectors.flip(1)[:, :rank].T.contiguous()
    amounts = (away @ basis.T).view(count, tokens * rank)
    scale = float(amounts.std()) or 1.0
    space = vectors.shape[1]
    weights = {
        "skip": torch.zeros(tokens * rank, space),
        "into": torch.randn(plan.hidden, space, generator=generator) * 2.0,
        "into_bias": torch.zeros(plan.hidden),
        "out": torch.zeros(tokens * rank, plan.hidden),
    }
    learned = [value.requires_grad_() for value in weights.values()]
    optimizer = torch.optim.AdamW(learned, lr=plan.rate, weight_decay=plan.decay)
    begin = clock()
    with torch.enable_grad():
        for step in range(plan.steps):
            if step >= 50 and clock() - begin > seconds:
                break
            optimizer.param_groups[0]["lr"] = plan.rate * min(1.0, (step + 1) / 20) * (1 - step / plan.steps)
            rows = torch.randint(count, (min(plan.rows, count),), generator=generator)
            noise = F.normalize(torch.randn(len(rows), space, generator=generator), dim=-1)
            noise *= plan.blur * torch.rand(len(rows), 1, generator=generator)
            heard = F.normalize(vectors[rows] + noise, dim=-1)
            inside = F.silu(F.linear(heard, weights["into"], weights["into_bias"]))
            made = F.linear(heard, weights["skip"]) + F.linear(inside, weights["out"])
            loss = F.mse_loss(made, amounts[rows] / scale)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    lengths = states.norm(dim=-1).mean(0)[:, None]
    done = {name: value.detach() for name, value in weights.items()}
    done["skip"], done["out"] = done["skip"] * scale, done["out"] * scale
    return AudioProjection({**done, "mean": mean, "basis": basis, "lengths": lengths})


def measure(
    projection: AudioProjection, vectors: torch.Tensor, states: torch.Tensor, bank: tuple[torch.Tensor, torch.Tensor]
) -> dict[str, float]:
    """Compare the mapping with the concept bank on unseen phrases, `vectors` and `states`.

    bank: vectors and states of the phrases that the concept bank may blend. *_error: distance to the phrase's own
    states, relative to the distance of the mean states. *_found: share of the phrases whose own states are the nearest.
    """
    states = states.float()
    by_bank = PhraseConditioner([str(n) for n in range(len(bank[0]))], bank[0].numpy(), lambda _: bank[1].float(), 0)
    blended = []
    for vector in vectors:
        by_bank.follow(AudioEmbedding(0.0, vector.numpy(), 1.0), 0.0)  # always at time 0: takes effect at once
        blended.append(by_bank.sentence())
    figures: dict[str, float] = {"n": len(states)}
    usual = (states - projection.weights["mean"]).flatten(1).norm(dim=1)
    for name, made in (("mapping", projection(vectors)), ("bank", torch.stack(blended))):
        error = (made - states).flatten(1).norm(dim=1) / usual.clamp_min(1e-6)
        nearest = torch.cdist(made.flatten(1), states.flatten(1)).argmin(1)
        figures[f"{name}_error"] = round(float(error.mean()), 3)
        figures[f"{name}_found"] = round(float((nearest == torch.arange(len(states))).float().mean()), 3)
    return figures


def train_projection(
    name: str,
    *,
    minutes: float = 5.0,
    seed: int = 0,
    home: Path | None = None,
    plan: ProjectionPlan | None = None,
    count: int = MOST_PHRASES,
    threads: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Path:
    """Fit the mapping of an engine and write it; returns its folder. Raises EngineError, ProjectionError, EncoderError.

    name: as --engine. home: folder of all mappings, by default in the user's data folder. Files are written only after
    the fit has ended.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    plan = plan or ProjectionPlan()
    check_writable(home or projections_dir())
    begin = clock()
    path, _ = resolve_engine(name)
    engine = load_engine(path, lazy=True)
    ember = shipped("engines") / "ember"
    space = load_engine(ember, "cpu", lazy=True).texts
    bank = _encoder_phrases(ember)
    texts = phrases(bank, count, seed)
    log.info(f"{engine.name}: {len(texts)} phrases for its text encoder, at most {60 * minutes * plan.encoding:.0f} s")
    states = encode(engine, texts, 60 * minutes * plan.encoding, clock)
    texts = texts[: len(states)]
    if not torch.isfinite(states).all():
        raise ProjectionError(
            f"{path}: its text encoder returns values that are not finite; fetch or install the engine again"
        )
    vectors = torch.cat([space.sentences(texts[at : at + 128]) for at in range(0, len(texts), 128)])
    vectors = F.normalize(vectors.float(), dim=-1)
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed))
    unseen, seen = order[: max(int(HELD_OUT * len(texts)), 8)], order[max(int(HELD_OUT * len(texts)), 8) :]
    left = 60 * minutes - (clock() - begin)
    projection = fit(vectors[seen], states[seen], plan, seed, left, clock)
    known = torch.tensor([n for n in seen.tolist() if n < len(bank)] or seen.tolist())
    figures = measure(projection, vectors[unseen], states[unseen], (vectors[known], states[known]))
    loras = [(lora.file, lora.weight) for lora in engine.metadata.loras]
    projection.facts.update(
        engine=str(path),
        text_encoder=states_hash(path, loras),
        space=text_hash(ember),
        phrases=len(texts),
        seed=seed,
        figures=figures,
    )
    folder = write_projection(home or projections_dir(), projection)
    log.info(_summary(figures))
    if figures["mapping_error"] > figures["bank_error"]:
        log.info(f"the concept bank has a smaller error for this engine; to use it, remove {folder}")
    log.info(f"wrote {folder}, {projection.parameters / 1e6:.1f} million parameters, {clock() - begin:.0f} s")
    return folder


def _encoder_phrases(ember: Path) -> list[str]:
    """The phrases of the bundled audio encoder; an empty list and a warning where it cannot be read."""
    try:
        return [str(phrase) for phrase in read_metadata(ember / FOLDER)["phrases"]]
    except EncoderError as error:
        log.warning(f"the phrases of the audio encoder are left out: {error}")
        return []


def _summary(figures: dict[str, float]) -> str:
    """The results of `measure` in one line."""
    return (
        f"{figures['n']} unseen phrases: error relative to the mean text {figures['mapping_error']:.2f} (concept "
        f"bank {figures['bank_error']:.2f}); own phrase is the nearest for {figures['mapping_found']:.0%} "
        f"(bank {figures['bank_found']:.0%})"
    )
