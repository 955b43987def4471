"""`tpos-live evaluate picture`: whether images that are driven by sound alone show the sound's scene.

The scene classifier recognises the scene of the images.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from tpos_live.audio.source import RATE, AudioError
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import SentenceSpaceEncoder
from tpos_live.conditioning.prompt_match import NEAR
from tpos_live.conditioning.vocabulary import Vocabulary, load_vocabulary
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.settings_loader import load_settings
from tpos_live.evaluation.accuracy import any_scalars
from tpos_live.evaluation.classifier.model import SceneClassifier, load_classifier
from tpos_live.evaluation.harness.context import EvaluationContext
from tpos_live.evaluation.harness.pool import item_rng
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor
from tpos_live.evaluation.metrics.report import Figure, text_table
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.training.audio_model.sound_to_scene import SHOWN
from tpos_live.training.synth.sound_effects import KINDS
from tpos_live.training.text.captions import PHRASES

log = logging.getLogger(__name__)

SECONDS = 5.0
LOOKED_AT = 5
"""Last images of a sound that are classified; the most frequent scene counts."""
FPS = 5
Example = tuple[str, np.ndarray]
"""Label of a sound, and the sound: mono float32 at 48 kHz."""


def made(variants: int, seed: int) -> Iterator[Example]:
    """Procedural sounds with seeds that are not used in training."""
    from tpos_live.training.synth.sound_effects import library, make

    for text, density, made_from in library(variants, seed + 90_001):
        yield text, make(text, max(density, 0.3), SECONDS, made_from)


def recorded(folder: Path) -> Iterator[Example]:
    """The clips of a folder with a subfolder for each class; files that cannot be read are left out with a warning.

    Raises DataError.
    """
    from tpos_live.training.audio_model.clips import find_clips, read_mono

    for text, path in find_clips(folder):
        try:
            yield text, read_mono(path)[: round(SECONDS * RATE)]
        except AudioError as error:
            log.warning(f"left out: {error}")


@dataclass(frozen=True)
class Answer:
    """drawn: the family that the classifier recognises. heard: the family of the phrase nearest to the embedding; ""
    for none or a mood. density: as the encoder estimates it, 0 to 1.
    """

    drawn: str
    heard: str
    density: float


def scene_of(text: str, families: tuple[str, ...], vocabulary: Vocabulary | None) -> str | None:
    """The family that a sound with the label `text` should show; None for a mood, or if the engine lacks that scene."""
    if text in SHOWN and SHOWN[text][0] in families:
        return SHOWN[text][0]
    if vocabulary is None or (text in KINDS and text not in SHOWN):
        return None
    found = vocabulary.match(text)
    known = found.families and found.families[0] in families and found.near >= NEAR
    return found.families[0] if known else None


def evaluate_picture(examples: Iterator[Example], seed: int, as_json: bool) -> list[Figure]:
    """Draw each sound without a prompt and with full weight of the sound, classify the images, and print the figures.

    Only classes for which the engine has a scene count. Further figures separate the errors: whether the encoder
    recognised the scene, and whether the classifier recognises the scene when its phrase is the prompt.
    """
    settings = load_settings({"engine.name": "ember"})
    values: dict[str, float | int | str] = {
        "prompt": "", "audio.weight": 1.0, "audio.mode": "blend", "seed": seed, "director": False,
    }  # fmt: skip
    snapshot = ParameterStore({**settings.start_values(), **values}).snapshot()
    with Pipeline(settings, live=False) as pipeline:
        improve(pipeline)
        classifier, _ = load_classifier(pipeline.engine.folder)
        context = EvaluationContext(SamplerHarness(pipeline.engine), classifier, seed)
        vocabulary = load_vocabulary(pipeline.engine.folder, pipeline.engine.texts.sentences)
        seen: dict[str, list[Answer]] = {}
        wanted: dict[str, str | None] = {}
        for index, (text, mono) in enumerate(examples):
            if text not in wanted:
                wanted[text] = scene_of(text, context.families, vocabulary)
                if wanted[text] is None:
                    log.warning(f"left out: {text}, for which the engine has no scene")
            if wanted[text] is not None:
                answer = _answer(pipeline, classifier, snapshot, mono, index * 2 * SECONDS)
                seen.setdefault(text, []).append(answer)
        words = {text: _by_words(context, str(wanted[text])) for text in seen}
    flat = [(answer, wanted[text]) for text, answers in seen.items() for answer in answers]
    right = [answer.drawn == scene for answer, scene in flat]
    heard = [answer.heard == scene for answer, scene in flat]
    shown = [good for good, one in zip(right, heard, strict=True) if one]
    spoken = [words[text] for text, answers in seen.items() for _ in answers]
    rows = [
        Figure("picture by sound alone", float(np.mean(right or [False])), 0.85, unit="%", n=len(right)),
        Figure("  the encoder hears the scene", float(np.mean(heard or [False])), unit="%", n=len(heard)),
        Figure("  drawn so, of what is heard so", float(np.mean(shown or [False])), unit="%", n=len(shown)),
        Figure("  drawn so by words alone", float(np.mean(spoken or [False])), unit="%", n=LOOKED_AT * len(seen)),
    ]
    rows += [
        Figure(f"  {text} as {wanted[text]}", float(np.mean([answer.drawn == wanted[text] for answer in answers])),
               unit="%", n=len(answers), note=_told(answers, str(wanted[text]), words[text]))
        for text, answers in sorted(seen.items())
    ]  # fmt: skip
    click.echo("\n".join(json.dumps(row.row()) for row in rows) if as_json else text_table(rows))
    return rows


def _told(answers: list[Answer], scene: str, words: float) -> str:
    heard = 100 * float(np.mean([answer.heard == scene for answer in answers]))
    density = float(np.mean([answer.density for answer in answers]))
    drawn = sorted({answer.drawn for answer in answers if answer.drawn != scene})
    others = f"; drawn as {', '.join(drawn[:3])}" if drawn else ""
    return f"heard {heard:.0f} %, by words {100 * words:.0f} %, magnitude {density:.2f}{others}"


def _by_words(context: EvaluationContext, family: str) -> float:
    """The share of images with a family's first phrase as prompt in which the classifier recognises the family."""
    rng, generator = item_rng(context.seed, "by words", family)
    states = context.states(PHRASES[family][0])
    drawn = [
        context.harness.draw(states, any_scalars(rng, rng.uniform(0.3, 0.9)), context.harness.noise(generator))
        for _ in range(LOOKED_AT)
    ]
    return float((context.classify(drawn)[1].argmax(1) == context.index(family)).mean())


def _answer(
    pipeline: Pipeline, classifier: SceneClassifier, snapshot: Snapshot, mono: np.ndarray, begin: float
) -> Answer:
    """The result for one sound, after a reset of the encoder.

    begin: start time on the pipeline's clock, which must increase; earlier sounds have faded out by the end.
    """
    pipeline.encoder.reset()
    sound = np.repeat(mono[:, None], 2, axis=1)
    audio_processor = AudioProcessor(pipeline.encoder)
    last: deque[np.ndarray] = deque(maxlen=LOOKED_AT)
    for params in analyze_frames(audio_processor, snapshot, sound, FPS):
        frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=begin + params.time)
        if frame is not None:
            last.append(frame.pixels.copy())
    embedding = audio_processor.embedding.latest()
    if not last:
        return Answer("", "", 0.0)
    votes = classifier(as_tensor(list(last))).argmax(1)
    drawn = classifier.families[int(votes.bincount(minlength=len(classifier.families)).argmax())]
    return Answer(drawn, heard_scene(pipeline.encoder, embedding), float(embedding.density) if embedding else 0.0)


def heard_scene(encoder: object, embedding: AudioEmbedding | None) -> str:
    """The family of the phrase nearest to an embedding, among the encoder's scene phrases; "" for none."""
    if embedding is None or not isinstance(encoder, SentenceSpaceEncoder) or not np.any(embedding.vector):
        return ""
    count = encoder.scenes or len(encoder.phrases)
    nearest = encoder.phrases[int(encoder.csls_scorer(encoder.vectors[:count])(embedding.vector).argmax())]
    return next((family for family, phrases in PHRASES.items() if nearest in phrases), "")
