"""`tpos-live evaluate ember`: measures all figures of the bundled engine and writes them into its model card."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from tpos_live.evaluation.captions import SHIPPED, Caption, read_captions
from tpos_live.evaluation.metrics.report import CardError, Figure, markdown_table, text_table, write_card
from tpos_live.evaluation.metrics.results import Results, Section


@dataclass(frozen=True)
class Counts:
    """Sample sizes. images: of each family, for distances. many: of these also in eight steps, in `slow` families.

    seeds: images of each caption. levels: intensities of each family. prompts, frames: of the noise walks. pairs: of
    blends. timed: images for the speed. show: seconds of the show whose memory is measured. photographed: images of
    each class for the second classifier.
    """

    images: int = 500
    many: int = 100
    slow: int = 1000
    seeds: int = 6
    levels: int = 200
    prompts: int = 20
    frames: int = 300
    pairs: int = 200
    timed: int = 120
    show: float = 10.0
    photographed: int = 40


FULL = Counts()
"""For 40 families 15 minutes on two cores, and once 15 more for the renders."""
SHORT = replace(FULL, images=120, many=100, slow=10, seeds=3, pairs=120)
"""For 40 families about 10 minutes on two cores, renders included."""
QUICK = Counts(images=20, many=6, slow=4, seeds=1, levels=10, prompts=4, frames=60, pairs=10, timed=20, photographed=4)
"""1 to 2 minutes: enough to notice a fault, too few samples for a model card."""

SECTIONS: dict[str, tuple[str, ...]] = {
    "speed": ("timed",),
    "prompts": ("seeds",),
    "distance": ("images", "many", "slow"),
    "intensity": ("levels",),
    "smoothness": ("prompts", "frames"),
    "blends": ("pairs",),
    "memory": ("show",),
    "second-opinion": ("photographed",),
}
"""Sections in the order of measurement, and the fields of Counts that each uses. Speed comes first, before other
measurements heat the processor and fill its caches."""


class Evaluation:
    """Measures an engine section by section. Networks are loaded when a section first needs them."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        counts: Counts,
        captions: Path | None = None,
        accelerator: str = "auto",
        workers: int = 0,
        keep: Path | None = None,
        photographs: Path | None = None,
    ) -> None:
        """workers: processes that generate images; 0 = this process. keep: folder for results and render statistics.

        Raises ClassifierError and CaptionsError, with one line each.
        """
        from tpos_live.evaluation.classifier.model import classifier_file, load_classifier
        from tpos_live.evaluation.harness.context import engine_families
        from tpos_live.evaluation.reference_stats import ReferenceStats

        self.folder, self.seed, self.counts, self.accelerator, self.workers = folder, seed, counts, accelerator, workers
        self.classifier, self.facts = load_classifier(folder)
        taught = engine_families(folder).offered
        if unknown := [name for name in taught if name not in self.classifier.families]:
            click.echo(
                f"the classifier does not know {', '.join(unknown)}; make it again: tpos-live train classifier",
                err=True,
            )
        self.families = [name for name in self.classifier.families if not taught or name in taught]
        self.fresh = read_captions(captions or SHIPPED, self.families)
        self.photographs = photographs
        self.renders = ReferenceStats(keep and keep / "renders.npz", folder, seed)
        about = {
            "engine": folder.name, "weights": _weights(folder), "families": len(self.families), "seed": seed,
            "classifier": hashlib.sha256(classifier_file(folder).read_bytes()).hexdigest()[:12],
            "captions": hashlib.sha256((captions or SHIPPED).read_bytes()).hexdigest()[:12],
            "accelerator": accelerator,
        }  # fmt: skip
        self.results = Results(keep and keep / f"{folder.name}.json", about)
        self._stack = ExitStack()

    def __enter__(self) -> Evaluation:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @cached_property
    def pool(self) -> Any:
        """The workers that generate and classify images."""
        from tpos_live.diffusion.model.engine import load_engine
        from tpos_live.evaluation.harness.context import EvaluationContext
        from tpos_live.evaluation.harness.pool import WorkerPool
        from tpos_live.evaluation.harness.sampler import SamplerHarness

        harness = SamplerHarness(load_engine(self.folder), self.accelerator)
        pool = self._stack.enter_context(
            WorkerPool(
                EvaluationContext(harness, self.classifier, self.seed), self.folder, self.accelerator, self.workers
            )
        )
        click.echo(f"{self.folder.name}: {len(self.families)} families, {harness.note}", err=True)
        return pool

    def measure(self, name: str) -> list[Figure]:
        """The figures of one section."""
        if name == "memory":
            from tpos_live.evaluation.speed import memory

            return memory(self.folder, self.counts.show)
        measured: Callable[[], list[Figure]] = {
            "speed": self._speed,
            "prompts": self._prompts,
            "distance": self._distance,
            "intensity": self._intensity,
            "smoothness": self._smoothness,
            "blends": self._blends,
            "second-opinion": self._second_opinion,
        }[name]
        return measured()

    def _speed(self) -> list[Figure]:
        from tpos_live.evaluation.speed import speed

        return speed(self.pool.context.harness, self.counts.timed)

    def _prompts(self) -> list[Figure]:
        from tpos_live.evaluation.accuracy import accuracy, few_step_accuracy
        from tpos_live.training.text.captions import HELD_OUT

        held_out: list[Caption] = [(text, family) for family in self.families for text in HELD_OUT.get(family, ())]
        seeds = self.counts.seeds
        figures = accuracy(self.pool, "right scene, captions in new wording", self.fresh, seeds, 0.95)
        if held_out:
            figures += accuracy(self.pool, "right scene, words that no caption held", held_out, seeds, 0.8)
        return figures + few_step_accuracy(self.pool, self.fresh)

    def _distance(self) -> list[Figure]:
        from tpos_live.evaluation.accuracy import distances

        return distances(self.pool, self.renders, self.counts.images, self.counts.many, self.counts.slow)

    def _intensity(self) -> list[Figure]:
        from tpos_live.evaluation.accuracy import intensity

        return intensity(self.pool, self.renders, self.counts.levels)

    def _smoothness(self) -> list[Figure]:
        from tpos_live.evaluation.smoothness import smoothness

        return smoothness(self.pool, self.counts.prompts, self.counts.frames)

    def _blends(self) -> list[Figure]:
        from tpos_live.evaluation.smoothness import blends

        return blends(self.pool, self.renders, self.counts.pairs)

    def _second_opinion(self) -> list[Figure]:
        from tpos_live.evaluation.imagenet_probe import second_opinion

        assert self.photographs is not None
        return second_opinion(self.pool, self.photographs, self.counts.photographed)

    def prepare(self) -> None:
        """Compute and cache the statistics of all renders that the sections may need, for all families of the
        classifier. They do not depend on the engine's weights."""
        self.renders.ranks(self.pool, self.classifier.families, self.counts.levels)
        self.renders.both(self.pool, self.classifier.families, self.counts.pairs)
        self.renders.features(self.pool, self.classifier.families, self.counts.images)

    def take(self, name: str) -> None:
        """Measure a section and write it to the results."""
        begin = time.monotonic()
        figures = self.measure(name)
        counts = {key: getattr(self.counts, key) for key in SECTIONS[name]}
        self.results.sections[name] = Section(figures, counts, (time.monotonic() - begin) / 60)
        self.results.write()

    def done(self, name: str) -> bool:
        """Whether the results have this section with the same counts."""
        return self.results.has(name, {key: getattr(self.counts, key) for key in SECTIONS[name]})


def evaluate_ember(
    evaluation: Evaluation,
    sections: Sequence[str] = (),
    resume: bool = False,
    as_json: bool = False,
    card: bool = True,
) -> list[Figure]:
    """Measure sections, print all figures, and write them into the engine's model card.

    sections: of SECTIONS, or "renders" for `prepare` only; empty = all that can be measured. resume: skip sections
    that were measured with the same weights, classifier, seed and counts. Raises EngineError, SecondOpinionError.
    """
    begin = time.monotonic()
    results = evaluation.results
    results.read()
    wanted = sections or [name for name in SECTIONS if name != "second-opinion" or evaluation.photographs]
    if "renders" in wanted:
        evaluation.prepare()
    for name in SECTIONS:
        if name in wanted and not (resume and evaluation.done(name)):
            evaluation.take(name)
            click.echo(f"{name}: {results.sections[name].minutes:.1f} minutes", err=True)
    figures = results.figures(list(SECTIONS))
    from tpos_live.bench.session import machine

    about = {
        "kind": "about", **results.about, "minutes": round((time.monotonic() - begin) / 60, 1),
        "sections": {name: section.counts for name, section in results.sections.items()},
        "classifier": evaluation.facts, **machine(),
    }  # fmt: skip
    if as_json:
        for figure in figures:
            click.echo(json.dumps(figure.row()))
        click.echo(json.dumps(about))
    elif figures:
        click.echo(text_table(figures))
    if card and figures:
        try:
            write_card(evaluation.folder / "README.md", section(results, about))
        except CardError as error:
            click.echo(f"the model card stays as it is: {error}", err=True)
    return figures


def section(results: Results, about: dict[str, Any]) -> str:
    """The part of the model card with the figures, in Markdown."""
    facts = about["classifier"]
    missing = [name for name in SECTIONS if name not in results.sections]
    minutes = sum(part.minutes for part in results.sections.values())
    lines = [
        f"Measured with `tpos-live evaluate {about['engine']} --seed {about['seed']}` on weights "
        f"{about['weights'][:12]}, {about['cores']} cores of {about['processor']} ({about['instructions']}), "
        f"torch {about['torch']}, in {minutes:.0f} minutes. "
        "n: images, or what else was counted.",
        "",
        markdown_table(results.figures(list(SECTIONS))),
        "",
    ]
    if missing:
        lines += [f"Not measured on these weights: {', '.join(missing)}.", ""]
    lines += [
        "The classifier is a small network trained on rendered scenes alone (`tpos-live train classifier`). On "
        f"{facts.get('held_out', '?')} renders that it never saw, in every palette, style and mood, it is right in "
        f"{100 * float(facts.get('accuracy', 0)):.1f} %, in {100 * float(facts.get('plain_accuracy', 0)):.1f} % of "
        "those without a mood. There, what other convolutions read as intensity has a rank correlation of "
        f"{float(facts.get('intensity_spearman', 0)):.2f} with the knob.",
    ]
    return "\n".join(lines)


def _weights(folder: Path) -> str:
    """A hash over the weights of UNet, decoder and text encoder."""
    found = hashlib.sha256()
    for part in ("unet", "vae", "text_encoder"):
        for path in sorted((folder / part).glob("*.safetensors")):
            found.update(path.read_bytes())
    return found.hexdigest()
