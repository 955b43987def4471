"""`tpos-live engines`: what there is, fetching and compiling ahead of a show."""

from __future__ import annotations

import click


@click.group()
def engines() -> None:
    """List, fetch and compile engines, ahead of the show."""


@engines.command("list")
def list_() -> int:
    """Say which engines there are, which are fetched and compiled, and their licences."""
    from tpos_live.render.catalogue import rows

    for row in rows():
        click.echo(f"{row.name:<14}{row.state}")
        for label, text in (("compiled", row.compiled), ("licence", row.licence), ("folder", row.folder)):
            if text:
                click.echo(f"{'':<14}{label}: {text}")
    return 0


@engines.command()
@click.argument("name")
def fetch(name: str) -> int:
    """Download an engine: a preset's NAME, or a hub id (owner/name). Goes on where it was stopped."""
    from tpos_live.render.fetch import fetch_engine

    fetch_engine(name, click.echo)
    return 0


@engines.command()
@click.argument("name")
def check(name: str) -> int:
    """Compare every file of a fetched engine with the hub's checksums. Asks no network."""
    from tpos_live.render.fetch import damaged
    from tpos_live.render.presets import fetched_folder

    folder = fetched_folder(name)
    if not folder.is_dir():
        click.echo(f"{name} was not fetched; `tpos-live engines fetch {name}`", err=True)
        return 1
    wrong = damaged(folder)
    for path in wrong:
        click.echo(f"damaged: {folder / path}; `tpos-live engines fetch {name}` mends it", err=True)
    if not wrong:
        click.echo(f"{name} is whole")
    return int(bool(wrong))
