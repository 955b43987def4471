"""`tpos-live evaluate ember`: every figure of the engine in the box, printed and written into its model card."""

from __future__ import annotations

import json
import sys
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from tpos_live.evaluation.captions import SHIPPED, Caption, read_captions
from tpos_live.evaluation.figures import CardError, Figure, markdown_table, text_table, write_card

FIRST_FAMILIES = 12
"""With more families than these, each gets fewer pictures, so that the whole takes no longer."""


@dataclass(frozen=True)
class Counts:
    """How much is drawn. pictures: a family, for distances (together at most `pictures` times FIRST_FAMILIES).

    many: of these again in eight steps. seeds: pictures of every caption. levels: of the intensity, a family.
    prompts, frames: of the walks. pairs: of blends. timed, stock: pictures of the two pipelines. show: seconds of a
    show whose memory is read, 0 = none.
    """

    pictures: int = 500
    many: int = 32
    seeds: int = 6
    levels: int = 50
    prompts: int = 20
    frames: int = 150
    pairs: int = 60
    timed: int = 120
    stock: int = 12
    show: float = 10.0

    def shared(self, families: int) -> Counts:
        """The same for `families` families without more pictures in all."""
        part = min(1.0, FIRST_FAMILIES / max(families, 1))
        fewer = {name: max(2, round(getattr(self, name) * part)) for name in ("pictures", "many")}
        return replace(self, **fewer)


FULL = Counts()
"""About nine minutes on two cores that are free."""
QUICK = Counts(pictures=40, many=6, seeds=1, levels=10, prompts=4, frames=60, pairs=10, timed=20, stock=3, show=0)
"""About a minute: enough to see whether something broke, too few for a model card."""


def evaluate_ember(
    folder: Path,
    seed: int,
    counts: Counts,
    captions: Path | None = None,
    accelerator: str = "auto",
    as_json: bool = False,
    card: bool = True,
) -> list[Figure]:
    """Measure the engine in `folder`, print the figures, and write them to its model card.

    Raises EngineError, JudgeError and CaptionsError, each one line.
    """
    begin = time.monotonic()
    from tqdm import tqdm

    from tpos_live.bench import machine
    from tpos_live.evaluation.artist import Artist
    from tpos_live.evaluation.judge import load_judge
    from tpos_live.evaluation.movement import blends, smoothness
    from tpos_live.evaluation.quality import Trial, accuracy, distances, intensity
    from tpos_live.evaluation.speed import memory, speed
    from tpos_live.render.engine import load_engine
    from tpos_live.training.captions import HELD_OUT

    judge, facts = load_judge(folder)
    fresh = read_captions(captions or SHIPPED, judge.families)
    if taught := unjudged(folder, judge.families):
        click.echo(f"the judge does not know {', '.join(taught)}; make it again: tpos-live train judge", err=True)
    artist = Artist(load_engine(folder), accelerator)
    counts = counts.shared(len(judge.families))
    held_out: list[Caption] = [(text, family) for family in judge.families for text in HELD_OUT.get(family, ())]

    def progress(name: str, items: Iterable[int]) -> Iterable[int]:
        shown: Iterable[int] = tqdm(items, desc=name, leave=False, unit="picture", disable=not sys.stderr.isatty())
        return shown

    click.echo(f"{folder.name}: {len(judge.families)} families, {artist.note}", err=True)
    trial = Trial(artist, judge, seed, progress)
    # Speed first: the processor is cool, and no other measurement has filled its caches.
    figures = speed(artist, counts.timed, counts.stock)
    figures += accuracy(trial, "right scene, captions in new wording", fresh, counts.seeds, 0.95)
    if held_out:
        figures += accuracy(trial, "right scene, words that no caption held", held_out, counts.seeds, 0.8)
    figures += distances(trial, counts.pictures, counts.many)
    figures += intensity(trial, counts.levels)
    figures += smoothness(trial, counts.prompts, counts.frames)
    figures += blends(trial, counts.pairs)
    if counts.show:
        figures += memory(folder, counts.show)
    minutes = (time.monotonic() - begin) / 60
    about = {
        "kind": "about", "engine": folder.name, "weights": artist.engine.weights_hash[:12], "seed": seed,
        "size": "{}x{}".format(*artist.size), "accelerator": artist.note, "minutes": round(minutes, 1),
        "judge": facts, **machine(),
    }  # fmt: skip
    if as_json:
        for figure in figures:
            click.echo(json.dumps(figure.row()))
        click.echo(json.dumps(about))
    else:
        click.echo(text_table(figures))
    if card:
        try:
            write_card(folder / "README.md", section(figures, about))
        except CardError as error:
            click.echo(f"the model card stays as it is: {error}", err=True)
    return figures


def unjudged(folder: Path, families: Sequence[str]) -> list[str]:
    """Families that the engine was trained on, by its own `families.toml`, and that are not in `families`."""
    try:
        taught = tomllib.loads((folder / "families.toml").read_text(encoding="utf-8"))["families"]
    except (OSError, ValueError, KeyError):
        return []
    return [name for name in taught if name not in families]


def section(figures: Sequence[Figure], about: dict[str, object]) -> str:
    """The figures as a model card has them."""
    judge = about["judge"]
    assert isinstance(judge, dict)
    lines = [
        f"Measured with `tpos-live evaluate {about['engine']} --seed {about['seed']}` on weights {about['weights']}, "
        f"{about['size']}, {about['accelerator']}, {about['cores']} cores, torch {about['torch']}, "
        f"in {about['minutes']} minutes.",
        "",
        markdown_table(figures),
        "",
        "The judge is a small network trained on rendered scenes alone (`tpos-live train judge`). On "
        f"{judge.get('held_out', '?')} renders that it never saw, in every palette, style and mood, it is right in "
        f"{100 * float(judge.get('accuracy', 0)):.1f} %, and its reading of intensity has a rank correlation of "
        f"{float(judge.get('intensity_spearman', 0)):.2f} with the knob.",
    ]
    return "\n".join(lines)
