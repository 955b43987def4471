"""Which engine a name means: the one in the box, a preset, a folder, or one fetched from the hub."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tpos_live.places import shipped
from tpos_live.render.metadata import EngineError

BUILT_IN = "ember"
SD_TURBO = "stabilityai/sd-turbo"


def resolve_engine(name: str) -> tuple[Path, str]:
    """The folder of an engine, and one line that says what was chosen and why.

    name: "auto" (SD-Turbo where CUDA works and it was fetched, else Ember), "ember", a folder, the name
    of a preset in `engines/*.toml`, or a hub id that was fetched before. Nothing is downloaded.
    Raises EngineError with the remedy.
    """
    if name == "auto":
        return _auto()
    if name == BUILT_IN:
        return _built_in(), "engine: Ember"
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path, f"engine: {path}"
    engines = _engines()
    if name and "/" not in name and (engines / name).is_dir():
        return engines / name, f"engine: {name}"
    source = name
    preset = engines / f"{name}.toml"
    if "/" not in name and preset.is_file():
        source = _source(preset)
    if (found := cached(source)) is not None:
        return found, f"engine: {source} (fetched)"
    if source.count("/") == 1 and not source.startswith((".", "/", "~")):
        raise EngineError(f"engine {source} was not fetched; fetch it before the show, or use --engine ember")
    known = sorted({BUILT_IN, *(p.stem for p in engines.glob("*.toml"))})
    raise EngineError(f"there is no engine {name!r}; use {', '.join(known)}, a folder or a fetched hub id")


def cached(hub_id: str) -> Path | None:
    """The folder of a hub id in the local cache of Hugging Face, None if it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, "model_index.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _auto() -> tuple[Path, str]:
    import torch

    if not torch.cuda.is_available():
        return _built_in(), "engine: Ember (no CUDA here)"
    found = cached(SD_TURBO)
    if found is None:
        return _built_in(), "engine: Ember (SD-Turbo was not fetched)"
    return found, "engine: SD-Turbo"


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


def _source(preset: Path) -> str:
    try:
        return str(tomllib.loads(preset.read_text(encoding="utf-8"))["source"])
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise EngineError(f"{preset}: not a valid preset, it needs source = a hub id or folder ({error})") from error
