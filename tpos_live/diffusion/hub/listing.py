"""The rows of `tpos-live engines list`: all engines on this machine and their states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import engines_dir
from tpos_live.diffusion.backends.tensorrt_plans import compiled
from tpos_live.diffusion.hub.download import RECORD
from tpos_live.diffusion.hub.fetched import cached, half_fetched
from tpos_live.diffusion.hub.presets import BUILT_IN, fetched_folder, load_preset, preset_names
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.metadata import read_metadata


@dataclass(frozen=True)
class Row:
    """One engine. state: "included", "fetched", ...; compiled: backends and cards, "" = none."""

    name: str
    state: str
    licence: str = ""
    compiled: str = ""
    folder: str = ""


def rows() -> list[Row]:
    """Ember, every preset, hub ids that were fetched, and imported files. Reads no weights and uses no network."""
    folder = resolve_engine(BUILT_IN)[0]
    found = [Row(BUILT_IN, "included", read_metadata(folder).licence, folder=str(folder))]
    found += [_row(name) for name in [*preset_names(), *_fetched_hub_ids()]]
    return found + list(_imported())


def _row(name: str) -> Row:
    try:
        preset = load_preset(name)
    except EngineError as error:
        return Row(name, f"unusable: {error}")
    licence = f"{preset.licence} {preset.licence_url}".rstrip()
    size = f", {preset.download_gb:g} GB" if preset.download_gb else ""
    folder = fetched_folder(name)
    if (folder / RECORD).is_file():
        return Row(name, "fetched", licence, "; ".join(compiled(folder)), str(folder))
    if half_fetched(name):
        return Row(name, f"fetched in part; `tpos-live engines fetch {name}` goes on{size}", licence)
    if not preset.lora and not preset.scheduler and (hub := cached(preset.source)) is not None:
        return Row(name, f"in the hub's cache, with its own slow decoder; `tpos-live engines fetch {name}` adds TAESD",
                   licence, folder=str(hub))  # fmt: skip
    return Row(name, f"not fetched; `tpos-live engines fetch {name}`{size}", licence)


def _imported() -> Iterator[Row]:
    """Engines that were imported from a single file."""
    for path in sorted(engines_dir().glob(f"*/{RECORD}")):
        try:
            file = json.loads(path.read_text())["checkpoint"]["file"]
            licence = read_metadata(path.parent).licence
        except (OSError, ValueError, KeyError, TypeError, EngineError):
            continue
        yield Row(
            path.parent.name, f"imported from {file}", licence, "; ".join(compiled(path.parent)), str(path.parent)
        )


def _fetched_hub_ids() -> list[str]:
    names = []
    for path in sorted(engines_dir().glob(f"*--*/{RECORD}")):
        try:
            names.append(str(json.loads(path.read_text())["name"]))
        except (OSError, ValueError, KeyError):
            continue
    return names
