"""`tpos-live evaluate ...`: measures the quality of the included networks.

Only light modules are imported here; each command imports what it needs when it runs.
"""

from __future__ import annotations

from pathlib import Path

import click

from tpos_live.cli.group import Group
from tpos_live.cli.option_types import SEED, Number, PathName

_CLIPS = PathName(exists=True, file_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON lines instead of a table.")


@click.group(cls=Group)
def evaluate() -> None:
    """Measure how good the included networks are."""


@evaluate.command()
@click.option(
    "--captions",
    type=PathName(exists=True, dir_okay=False),
    help="File of phrases: one line of phrase TAB family each.",
)
@click.option(
    "--engine", metavar="NAME|PATH", default="ember", show_default=True, help="An engine with a scene classifier."
)
@click.option("--accelerator", metavar="NAME", default="auto", show_default=True, help="auto, eager or openvino.")
@click.option("--only", default="", metavar="PART,…", help="Parts to measure now, kept with those measured before.")
@click.option("--resume", is_flag=True, help="Skip the parts that were measured already.")
@click.option(
    "--quick", "much", flag_value="quick", help="One or two minutes, few images; the model card is not changed."
)
@click.option("--full", "much", flag_value="full", help="All images that the model card needs: half an hour.")
@click.option("--pictures", type=click.IntRange(4, 100_000), help="Of each family, for the distances.")
@click.option(
    "--photographs",
    type=PathName(exists=True, file_okay=False),
    help="images/land of Debian's endless-sky-data, for the second opinion.",
)
@click.option("--card/--no-card", default=None, help="Write the figures into the engine's README.md, or do not.")
@SEED
@_JSON
def ember(
    captions: Path | None,
    engine: str,
    accelerator: str,
    only: str,
    resume: bool,
    much: str | None,
    pictures: int | None,
    photographs: Path | None,
    card: bool | None,
    seed: int,
    as_json: bool,
) -> int:
    """Measure the engine's images: scenes, distances, intensity, smoothness, blends, speed.

    Ten minutes on two cores. Figures are kept in runs/evaluation; the parts are speed, prompts, distance, intensity,
    smoothness, blends, memory and second-opinion, and renders makes what distances need beforehand.
    """
    from dataclasses import replace

    from tpos_live.core.cores import usable_cores
    from tpos_live.diffusion.hub.resolve import resolve_engine
    from tpos_live.evaluation.image_model import FULL, QUICK, SECTIONS, SHORT, Evaluation, evaluate_ember

    parts = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in parts if name not in (*SECTIONS, "renders")]:
        raise click.BadParameter(f"there is no part {unknown[0]!r}; parts are {', '.join(SECTIONS)}, renders")
    if "second-opinion" in parts and photographs is None:
        raise click.UsageError("the second opinion needs --photographs")
    counts = {"quick": QUICK, "full": FULL}.get(much or "", SHORT)
    if pictures is not None:
        counts = replace(counts, images=pictures)
    folder, _ = resolve_engine(engine)
    keep = None if much == "quick" else Path("runs/evaluation")
    write = much != "quick" if card is None else card
    with Evaluation(folder, seed, counts, captions, accelerator, len(usable_cores()), keep, photographs) as evaluation:
        figures = evaluate_ember(evaluation, parts, resume, as_json, write)
    return 0 if all(figure.passed is not False for figure in figures) else 1


@evaluate.command()
@click.option(
    "--engine", metavar="NAME|PATH", default="ember", show_default=True, help="An engine with a scene classifier."
)
@click.option("--frames", type=click.IntRange(10, 10_000), default=200, show_default=True, help="Of each family.")
@click.option("--without", default="", metavar="NAME,…", help="Families that are not offered whatever their figures.")
@click.option("--write", is_flag=True, help="Offer the families that pass: families.toml, vocabulary.json.")
@click.option("--accelerator", metavar="NAME", default="auto", show_default=True, help="auto, eager or openvino.")
@SEED
def gate(engine: str, frames: int, without: str, write: bool, accelerator: str, seed: int) -> int:
    """Check which of the families that the engine was trained on are good enough to be offered."""
    from dataclasses import replace

    from tpos_live.core.cores import usable_cores
    from tpos_live.diffusion.hub.resolve import resolve_engine
    from tpos_live.evaluation.gate import check_families
    from tpos_live.evaluation.harness.context import engine_families
    from tpos_live.evaluation.image_model import SHORT, Evaluation
    from tpos_live.training.text.families_file import write_families

    folder, _ = resolve_engine(engine)
    unwanted = {name.strip() for name in without.split(",") if name.strip()}
    counts, workers = replace(SHORT, images=frames), len(usable_cores())
    with Evaluation(folder, seed, counts, None, accelerator, workers, Path("runs/evaluation")) as evaluation:
        trained = engine_families(folder).trained or evaluation.families
        if unknown := sorted(unwanted - set(trained)):
            raise click.BadParameter(f"the engine was not trained on {', '.join(unknown)}", param_hint="--without")
        verdicts = check_families(evaluation.pool, evaluation.renders, trained, frames)
    for verdict in verdicts:
        click.echo(f"{verdict}{', not offered' if verdict.family in unwanted else ''}")
    offered = [verdict.family for verdict in verdicts if verdict.passed and verdict.family not in unwanted]
    click.echo(f"{len(offered)} of {len(trained)} families pass")
    if write and offered:
        write_families(folder, offered, trained)
        click.echo(f"{folder} offers them")
    return 0 if offered else 1


@evaluate.command()
@click.option("--families", default="all", show_default=True, metavar="NAME,…|all", help="Scenes to measure.")
@click.option("--pictures", type=click.IntRange(1, 1000), default=8, show_default=True, help="Renders a family.")
@click.option("--size", default="256x256", show_default=True, metavar="SIZE", help="Of the renders: 256 or 512x288.")
@SEED
@_JSON
def look(families: str, pictures: int, size: str, seed: int, as_json: bool) -> int:
    """Measure the aesthetics of the rendered scenes: colour, light, quiet, texture, movement."""
    from tpos_live.core.setting_values import parse_size
    from tpos_live.evaluation.aesthetics import evaluate_aesthetics
    from tpos_live.evaluation.classifier.command import chosen

    try:
        wanted = parse_size(size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--size") from error
    evaluate_aesthetics(chosen(families or "all"), pictures, seed, wanted, as_json)
    return 0


@evaluate.command()
@click.option("--data", type=_CLIPS, required=True, help="A folder with a folder of clips a class.")
@click.option("--folds", is_flag=True, help="Each fold by the encoder in runs/encoder/fold-K, trained without it.")
@click.option("--zero-shot", is_flag=True, help="The classes that the encoders in runs/encoder/without-* never heard.")
@click.option("--encoder", "folder", default="", metavar="FOLDER|baseline", help="Default: the included one.")
@click.option(
    "--variants", type=click.IntRange(0, 100), default=8, show_default=True, help="Sounds for measuring the density."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def encoder(data: Path, folds: bool, zero_shot: bool, folder: str, variants: int, as_json: bool) -> int:
    """Measure how well the audio encoder names clips and estimates the density of a sound."""
    from tpos_live.evaluation.audio_model_command import run

    return run(data, folder or ("runs/encoder" if folds or zero_shot else ""), folds, variants, as_json, zero_shot)


@evaluate.command()
@click.argument("video", type=PathName(exists=True, dir_okay=False), required=False)
@click.option("--foreign", type=PathName(exists=True, dir_okay=False), help="Other music, as a control.")
@click.option("--clicks", type=click.IntRange(5, 2000), help="Instead of a video: the response to this many clicks.")
@click.option("--prompt", default="neon jellyfish", show_default=True, help="With --clicks.")
@SEED
@_JSON
def sync(video: Path | None, foreign: Path | None, clicks: int | None, prompt: str, seed: int, as_json: bool) -> int:
    """Measure whether the images of a VIDEO follow its sound."""
    from tpos_live.evaluation.sync_command import run, run_clicks

    if (video is None) == (clicks is None):
        raise click.UsageError("name a video, or give --clicks N")
    if clicks is not None:
        return run_clicks(clicks, prompt, seed, as_json)
    assert video is not None
    return run(video, foreign, seed, as_json)


@evaluate.command()
@click.option("--data", type=_CLIPS, help="A folder with a folder of clips a class; default: made sounds.")
@click.option("--variants", type=click.IntRange(1, 100), default=8, show_default=True, help="Made sounds of a kind.")
@SEED
@_JSON
def picture(data: Path | None, variants: int, seed: int, as_json: bool) -> int:
    """Let the classifier name images that are driven by sound alone."""
    from tpos_live.evaluation.audio_to_scene import evaluate_picture, made, recorded

    rows = evaluate_picture(recorded(data) if data else made(variants, seed), seed, as_json)
    return 0 if all(row.passed is not False for row in rows) else 1


@evaluate.command()
@click.option("--excerpts", type=click.IntRange(16, 10_000), default=24, show_default=True, help="Pieces of music.")
@click.option(
    "--way",
    "ways",
    type=click.Choice(["all", "no-meaning", "no-fast", "oscillator"]),
    multiple=True,
    help="How sound reaches the image; default: all four.",
)
@click.option("--work", type=PathName(file_okay=False), help="Folder for generated pieces.")
@click.option("--size", default="128x128", show_default=True, metavar="SIZE", help="Size of the engine's images.")
@click.option("--fps", type=click.IntRange(8, 60), default=15, show_default=True, help="Frames per second.")
@click.option("--prompt", default="neon jellyfish", show_default=True, help="What the images show.")
@SEED
@_JSON
def retrieval(
    excerpts: int,
    ways: tuple[str, ...],
    work: Path | None,
    size: str,
    fps: int,
    prompt: str,
    seed: int,
    as_json: bool,
) -> int:
    """Find the sound of silent images among eight of equal tempo, by a probe that was trained on other music.

    A quarter of an hour on two cores; rendered frames are kept, so an interrupted run continues.
    """
    from tpos_live.evaluation.retrieval_command import run

    return run(excerpts, work or Path("runs/retrieval"), size, fps, prompt, seed, as_json, ways)


@evaluate.command()
@click.argument("audio", type=PathName(exists=True))
@click.option("--seconds", type=Number(0, 1_000_000), default=0.0, help="Of each file; default: all.")
@click.option("--fps", type=click.IntRange(8, 60), default=20, show_default=True, help="Frames per second.")
@click.option("--size", default="192x192", show_default=True, metavar="SIZE", help="Size of the engine's images.")
@click.option("--resolution", default="256x144", show_default=True, metavar="SIZE", help="Size of the frames.")
@click.option("--prompt", help="What the images show; default: that of the settings.")
@click.option("--no-prompt", is_flag=True, help="The sound alone chooses the scenes.")
@click.option("--accelerator", metavar="NAME", default="auto", show_default=True, help="auto, eager or openvino.")
@SEED
@_JSON
def show(
    audio: Path,
    seconds: float,
    fps: int,
    size: str,
    resolution: str,
    prompt: str | None,
    no_prompt: bool,
    accelerator: str,
    seed: int,
    as_json: bool,
) -> int:
    """Render AUDIO, a file or a folder of files, and measure the video.

    Kicks from the back row, drops, similarity over time, scenes, whether the prompt is kept, and how often the flash
    limiter acts.
    """
    from tpos_live.evaluation.show_command import run

    if no_prompt and prompt:
        raise click.UsageError("--prompt and --no-prompt exclude each other")
    return run(audio, seconds, fps, size, resolution, "" if no_prompt else prompt, accelerator, seed, as_json)
