"""`tpos-live train classifier`."""

from __future__ import annotations

from pathlib import Path

import click

from tpos_live.core.atomic import check_writable
from tpos_live.core.paths import renamed, shipped
from tpos_live.evaluation.classifier.model import FILE
from tpos_live.evaluation.classifier.train import train_classifier

RUN, OLD_RUN = Path("runs/classifier"), Path("runs/judge")
"""Images and checkpoints of a training, in the folder where it was started; and where earlier versions kept them."""


def run(
    minutes: float,
    families: str,
    output: Path | None,
    resume: bool,
    seed: int,
    threads: int | None,
    accelerator: str | None,
) -> int:
    """Train the classifier of an engine folder and say how good it is.

    families: names with commas between, "all", or "" for those that the engine was trained on.
    """
    folder = output or shipped("engines") / "ember"
    check_writable(folder)
    facts = train_classifier(
        folder,
        minutes,
        seed,
        chosen(families, folder),
        threads=threads,
        accelerator=accelerator,
        resume=resume,
        run=renamed(RUN, OLD_RUN),
    )
    right, worst = (100 * float(str(facts[name])) for name in ("accuracy", "worst_accuracy"))
    click.echo(
        f"wrote {folder / FILE}: right in {right:.1f} % of {facts['held_out']} renders that it never saw, "
        f"worst {facts['worst_family']} {worst:.0f} %; intensity's rank correlation {facts['intensity_spearman']}"
    )
    return 0


def chosen(families: str, folder: Path = Path()) -> list[str]:
    """Family names that an option means; "" = those that the engine in `folder` was trained on, or else Ember."""
    from tpos_live.scenes.families import FAMILIES
    from tpos_live.training.text.families_file import FAMILIES_FILE, read_families

    if families == "all":
        return list(FAMILIES)
    if families:
        names = [name.strip() for name in families.split(",") if name.strip()]
        if unknown := [name for name in names if name not in FAMILIES]:
            raise click.UsageError(f"there is no scene family {unknown[0]!r}; families are {', '.join(FAMILIES)}")
        return names
    if not (folder / FAMILIES_FILE).exists():
        folder = shipped("engines") / "ember"
    try:
        return read_families(folder).trained
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"{folder / FAMILIES_FILE}: not a list of families ({error}); name them with --families"
        ) from error
