"""`tpos-live train ...`: trains the included networks.

Only light modules are imported here; each command imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import click

from tpos_live.cli.group import Group
from tpos_live.cli.option_types import SEED, THREADS, Number, PathName


def _names(listed: str) -> list[str]:
    """The names in a list that is separated by commas."""
    return [name.strip() for name in listed.split(",") if name.strip()]


def _run(folder: str) -> Callable[[Any], Any]:
    return click.option(
        "--run", type=PathName(file_okay=False), default=Path(folder), show_default=True, help="Folder of checkpoints."
    )


@click.group(cls=Group)
def train() -> None:
    """Train the included networks."""


def _also(command: click.Command, old: str) -> None:
    """Keep a command's old name as a hidden alias that prints the new name."""
    alias = copy(command)
    alias.name, alias.hidden, alias.deprecated = old, True, f"Its name is now `train {command.name}`."
    train.add_command(alias)


@train.command()
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint, or from the engine in -o.")
@click.option("--minutes", type=Number(0.1, 100_000), default=60.0, show_default=True, help="Of training.")
@click.option(
    "--of", type=Number(0.1, 100_000), help="Total minutes of the UNet's training, of which this run is a part."
)
@click.option(
    "-o",
    "--output",
    type=PathName(file_okay=False),
    default=Path("runs/ember/engine"),
    show_default=True,
    help="Engine folder.",
)
@_run("runs/ember")
@click.option("--families", default="", metavar="A,B", help="Train these scene families only.")
@click.option("--often", default="", metavar="A,B", help="Use these families twice as often.")
@click.option("--batch", type=click.IntRange(1, 65_536), default=None, help="Default: for the device.")
@SEED
@THREADS
@click.option("--accelerator", type=click.Choice(["cpu", "cuda", "mps"]), default=None, help="Default: the best.")
def ember(
    resume: bool, minutes: float, of: float | None, output: Path, run: Path, families: str, often: str,
    batch: int | None, seed: int, threads: int | None, accelerator: str | None,
) -> None:  # fmt: skip
    """Train Ember: scenes, text encoder, autoencoder, UNet."""
    from tpos_live.scenes.families import FAMILIES
    from tpos_live.training.image_model.train import train_ember

    unknown = sorted(set(_names(families)) - set(FAMILIES))
    if unknown or len(_names(families)) == 1:
        known = ", ".join(FAMILIES)
        raise click.UsageError(f"--families wants two or more of {known}; not {', '.join(unknown) or families}")
    more = sorted(set(_names(often)) - set(_names(families) or FAMILIES))
    if more:
        raise click.UsageError(f"--often wants families that are trained; not {', '.join(more)}")
    train_ember(
        output, minutes=minutes, resume=resume, accelerator=accelerator, seed=seed, threads=threads, run=run, of=of,
        families=_names(families), often=_names(often), batch=batch,
    )  # fmt: skip


@train.command()
@click.option("--sounds", type=PathName(), required=True, help="A folder of unlabelled sounds.")
@click.option("--teacher", type=PathName(), required=True, help="YAMNet as a TFLite file.")
@click.option("--minutes", type=Number(0, 100_000), default=10.0, show_default=True, help="Of training.")
@click.option("--resume", is_flag=True, help="Continue with the backbone that is there.")
@click.option("--data", type=PathName(), help="Clips of `train encoder`, used too, without labels.")
@click.option("--leave-out-fold", type=click.IntRange(min=0), metavar="K", help="Of --data, leave out this fold.")
@click.option("--leave-out-classes", default="", metavar="A,B", help="Of --data, leave out these.")
@_run("runs/encoder")
@click.option("--soundfont", type=PathName(), help="General MIDI (.sf2), to make music with.")
@SEED
@THREADS
def backbone(
    sounds: Path,
    teacher: Path,
    minutes: float,
    resume: bool,
    data: Path | None,
    leave_out_fold: int | None,
    leave_out_classes: str,
    soundfont: Path | None,
    run: Path,
    seed: int,
    threads: int | None,
) -> None:
    """Pretrain the audio backbone of the audio encoder with a teacher, before it learns labels."""
    from tpos_live.training.audio_model.pretrain import pretrain_backbone

    if (leave_out_fold is not None or leave_out_classes) and data is None:
        raise click.UsageError("--leave-out-… says which clips of --data are not heard; give --data")
    pretrain_backbone(
        sounds, teacher, minutes=minutes, run=run, seed=seed, threads=threads, resume=resume, data=data,
        leave_out_fold=leave_out_fold, without=_names(leave_out_classes), soundfont=soundfont,
    )  # fmt: skip


_also(backbone, "ears")


@train.command()
@click.option("--data", type=PathName(), required=True, help="A folder with a folder of clips a class.")
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint.")
@click.option("--minutes", type=Number(0, 100_000), default=20.0, show_default=True, help="Of training.")
@click.option(
    "--leave-out-fold", type=click.IntRange(min=0), metavar="K", help="Train without this fold, for measuring."
)
@click.option("-o", "--output", type=PathName(file_okay=False), help="Default: the included one.")
@_run("runs/encoder")
@SEED
@THREADS
@click.option(
    "--without", type=click.Choice(["lstm", "attention", "level"]), multiple=True, help="Leave a part out, to compare."
)
@click.option("--variant", type=click.Choice(["own", "paper"]), default="own", help="paper: TPoS as it was released.")
@click.option("--leave-out-classes", default="", metavar="A,B", help="Train without these, to measure zero-shot.")
@click.option(
    "--backbone",
    "--ears",
    type=PathName(),
    help="Result of `train backbone`; default: the one in --run, if it fits.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Train this many steps instead of minutes.")
def encoder(
    data: Path,
    resume: bool,
    minutes: float,
    leave_out_fold: int | None,
    output: Path | None,
    run: Path,
    seed: int,
    threads: int | None,
    without: tuple[str, ...],
    variant: str,
    leave_out_classes: str,
    backbone: Path | None,
    steps: int | None,
) -> None:
    """Train the audio encoder on clips and procedural sounds."""
    from tpos_live.audio_encoder.streaming import Layout
    from tpos_live.training.audio_model.train import train_encoder

    train_encoder(
        data, output, minutes=minutes, leave_out_fold=leave_out_fold, resume=resume, seed=seed, threads=threads,
        run=run, layout=Layout(**dict.fromkeys(without, False)), steps=steps,  # type: ignore[arg-type]
        paper=variant == "paper", without=_names(leave_out_classes), backbone=backbone,
    )  # fmt: skip


@train.command()
@click.option(
    "--soundfont",
    "soundfonts",
    type=PathName(),
    multiple=True,
    help="General MIDI (.sf2, .sf3), to make more music with; may be given several times.",
)
@click.option(
    "--songs", type=click.IntRange(2, 10_000), default=8, show_default=True, help="Of each kind and soundfont."
)
@SEED
def kinds(soundfonts: tuple[Path, ...], songs: int, seed: int) -> None:
    """Train the included audio encoder to classify kinds of music; the rest of it stays."""
    from tpos_live.training.audio_model.kind_head import train_kinds

    train_kinds(soundfonts, songs, seed)


@train.command()
@click.option("-o", "--output", type=PathName(file_okay=False), help="Engine folder; default: Ember.")
def descriptions(output: Path | None) -> None:
    """Train an engine to match prompts that describe a scene, from texts alone."""
    from tpos_live.training.text.descriptions import train_descriptions

    train_descriptions(output)


@train.command()
@click.option("--minutes", type=Number(0, 100_000), default=15.0, show_default=True, help="Of training.")
@click.option("--families", default="", metavar="NAME,…|all", help="Default: those that the engine was trained on.")
@click.option("-o", "--output", type=PathName(file_okay=False), help="Engine folder; default: Ember.")
@click.option("--resume", is_flag=True, help="Continue from the classifier that is there.")
@SEED
@THREADS
@click.option("--accelerator", type=click.Choice(["cpu", "cuda", "mps"]), default=None, help="Default: the best.")
def classifier(
    minutes: float, families: str, output: Path | None, resume: bool, seed: int, threads: int | None,
    accelerator: str | None,
) -> int:  # fmt: skip
    """Train the scene classifier for `evaluate ember`, on new renders alone."""
    from tpos_live.evaluation.classifier.command import run

    return run(minutes, families, output, resume, seed, threads, accelerator)


_also(classifier, "judge")


@train.command()
@click.option("--engine", metavar="NAME|PATH|HUB-ID", required=True, help="ember, a folder or a fetched engine.")
@click.option("--minutes", type=Number(0.1, 10_000), default=5.0, show_default=True, help="Of training.")
@SEED
@THREADS
def mapping(engine: str, minutes: float, seed: int, threads: int | None) -> None:
    """Train the projection from the audio embedding to an engine's text states; without it, phrases are used."""
    from tpos_live.training.audio_model.train_projection import train_projection

    train_projection(engine, minutes=minutes, seed=seed, threads=threads)
