"""`tpos-live engines`: lists, fetches, imports, checks and compiles engines."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tpos_live.cli.group import Group
from tpos_live.cli.option_types import PathName
from tpos_live.core.messages import terminal_messages


@click.group(cls=Group)
def engines() -> None:
    """List, fetch and compile engines, ahead of the show."""


@engines.command("list")
def list_() -> int:
    """List the engines: which are downloaded and compiled, and their licences."""
    from tpos_live.diffusion.hub.listing import rows

    for row in rows():
        click.echo(f"{row.name:<14}{row.state}")
        for label, text in (("compiled", row.compiled), ("licence", row.licence), ("folder", row.folder)):
            if text:
                click.echo(f"{'':<14}{label}: {text}")
    return 0


@engines.command()
@click.argument("name")
def fetch(name: str) -> int:
    """Download an engine: a preset's NAME, or a hub id (owner/name). Continues where it was stopped."""
    from tpos_live.diffusion.hub.download import fetch_engine

    with terminal_messages(write=click.echo):  # on stdout: the messages are the result of the command
        fetch_engine(name)
    return 0


@engines.command("import")
@click.argument("file", type=PathName())
@click.option("--name", default="", help="Name of the engine.  [default: the file's]")
@click.option("--like", default="", metavar="PRESET", help="Preset whose steps, scheduler, decoder and LoRA it gets.")
def import_(file: Path, name: str, like: str) -> int:
    """Make an engine of a single-file checkpoint (.safetensors) of Stable Diffusion 1, 2 or XL. Needs no network."""
    from tpos_live.diffusion.hub.single_file import import_checkpoint

    with terminal_messages(write=click.echo):
        click.echo(f"engine: {import_checkpoint(file, name, like)}")
    return 0


@engines.command()
@click.argument("name")
def check(name: str) -> int:
    """Compare every file of a fetched engine with the hub's checksums. Needs no network."""
    from tpos_live.core.paths import expanded
    from tpos_live.diffusion.hub.download import RECORD, damaged, repair_command
    from tpos_live.diffusion.hub.presets import BUILT_IN, fetched_folder
    from tpos_live.diffusion.hub.resolve import can_be_fetched, resolve_engine

    if name == BUILT_IN:
        click.echo("Ember is included and was not fetched; `tpos-live still -o test.png` loads and tries it")
        return 0
    folder = fetched_folder(name)
    given = expanded(name)
    if not (folder / RECORD).is_file() and (given.exists() or not can_be_fetched(name)):
        own = given if given.exists() else resolve_engine(name)[0]  # raises EngineError with the names that exist
        tries = f"`tpos-live still --engine {shlex.quote(name)} -o test.png` loads and tries it"
        click.echo(f"{own} was not fetched and has no checksums; {tries}", err=True)
        return 1
    if not folder.is_dir():
        click.echo(f"{name} was not fetched; `tpos-live engines fetch {name}`", err=True)
        return 1
    wrong = damaged(folder)
    for path in wrong:
        click.echo(f"damaged: {folder / path}; `{repair_command(name, folder)}` repairs it", err=True)
    if not wrong:
        click.echo(f"{name} is whole")
    return int(bool(wrong))


@engines.command("compile")
@click.argument("name")
@click.option(
    "--accelerator",
    type=click.Choice(["tensorrt-rtx", "tensorrt", "compile"]),
    default="tensorrt-rtx",
    show_default=True,
    help="Backend to compile for.",
)
@click.option("--size", default="", metavar="SIZE", help="512 or 512x288; default: the engine's own.")
@click.option(
    "--card", default="", metavar="SM", help="Card to compile for, as in sm89; default: the one in this machine."
)
@click.option("--threads", type=click.IntRange(0, 256), default=0, help="CPU threads of the show; for compile alone.")
def compile_(name: str, accelerator: str, size: str, card: str, threads: int) -> int:
    """Compile an engine for a card, ahead of the show. It takes minutes. TensorRT for RTX needs no card here."""
    from tpos_live.core.setting_values import parse_size

    try:
        width, height = parse_size(size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--size") from error
    from tpos_live.cli.compile_ahead import backend_request
    from tpos_live.diffusion.backends.tensorrt_plans import compile_plan

    request = backend_request(name, (width, height), threads)
    chosen = request.size
    if accelerator == "compile":
        from tpos_live.diffusion.backends import torch_compile as compiled

        if card:
            raise click.BadParameter("torch.compile works on the card itself; leave --card out", param_hint="--card")
        click.echo("compiling with torch.compile, a minute or more …")
        compiled.prepare(request)
        place = compiled.folder(request)
        click.echo(f"ready for --engine {name} --size {chosen[0]}x{chosen[1]} --accelerator compile: {place}")
        return 0
    with terminal_messages(write=click.echo):
        place = compile_plan(accelerator, request, card.lower())
    click.echo(f"ready for --engine {name} --size {chosen[0]}x{chosen[1]}: {place}")
    return 0
