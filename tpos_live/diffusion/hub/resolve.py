"""Resolves the name of an engine to its folder: Ember, a preset, a folder, a file, or a fetched hub id."""

from __future__ import annotations

from pathlib import Path

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import engines_dir, expanded, shipped
from tpos_live.diffusion.hub.fetched import INDEX, PICKLES, find_fetched, half_fetched
from tpos_live.diffusion.hub.presets import BUILT_IN, SD_TURBO, fetched_folder, is_hub_id, load_preset


def resolve_engine(name: str) -> tuple[Path, str]:
    """The folder of an engine, and one line with the choice and its reason.

    name: "auto" (SD-Turbo where CUDA works and it was fetched, else Ember), "ember", a folder, the name of a preset in
    `engines/*.toml` or of an imported checkpoint, a hub id that was fetched before, or a single-file checkpoint, which
    is converted once. Nothing is downloaded. Raises EngineError with the remedy.
    """
    if name == "auto":
        return _auto()
    if name == BUILT_IN:
        return _built_in(), "engine: Ember"
    path = expanded(name)
    if name and path.is_dir():
        return path, f"engine: {path}"
    if path.suffix.lower() in (".safetensors", *PICKLES):
        from tpos_live.diffusion.hub.single_file import import_checkpoint

        return import_checkpoint(path), f"engine: {path.name}"
    engines = _engines()
    if name and "/" not in name and (engines / name).is_dir():
        return engines / name, f"engine: {name}"
    if can_be_fetched(name):
        return _fetched(name)
    if name and "/" not in name and (engines_dir() / name / INDEX).is_file():
        return engines_dir() / name, f"engine: {name}"
    known = sorted({BUILT_IN, *(p.stem for p in engines.glob("*.toml"))})
    raise EngineError(f"there is no engine {name!r}; use {', '.join(known)}, a folder, a file or a fetched hub id")


def can_be_fetched(name: str) -> bool:
    """Whether this is the name of a preset or a hub id."""
    return is_hub_id(name) or ("/" not in name and (_engines() / f"{name}.toml").is_file())


def _fetched(name: str) -> tuple[Path, str]:
    preset = load_preset(name, _engines())
    if half_fetched(name):
        raise EngineError(f"engine {name} was fetched only in part; `tpos-live engines fetch {name}` goes on with it")
    found = find_fetched(name, _engines())
    if found is None:
        raise EngineError(
            f"engine {name} was not fetched; `tpos-live engines fetch {name}` does it before the show, "
            "--engine ember needs nothing"
        )
    if found != fetched_folder(name):
        return found, f"engine: {name} (the hub's copy, its own decoder; `tpos-live engines fetch {name}` is faster)"
    return found, f"engine: {preset.title}"


def _auto() -> tuple[Path, str]:
    import torch

    if not torch.cuda.is_available():
        return _built_in(), "engine: Ember (torch finds no NVIDIA card)"
    try:
        return _fetched(SD_TURBO)
    except EngineError as error:
        return _built_in(), f"engine: Ember ({error})"


def _engines() -> Path:
    try:
        return shipped("engines")
    except FileNotFoundError as error:
        raise EngineError(str(error)) from error


def _built_in() -> Path:
    folder = _engines() / BUILT_IN
    if not folder.is_dir():
        raise EngineError(f"{folder} is missing from this installation; install tpos-live again")
    return folder
