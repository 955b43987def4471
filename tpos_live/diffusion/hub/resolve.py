"""Which engine a name means: the one in the box, a preset, a folder, or one fetched from the hub."""

from __future__ import annotations

from pathlib import Path

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import shipped
from tpos_live.diffusion.hub.presets import fetched_folder, is_hub_id, load_preset

BUILT_IN = "ember"
SD_TURBO = "sd-turbo"
_INDEX = "model_index.json"


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
    preset = "/" not in name and (engines / f"{name}.toml").is_file()
    if preset or is_hub_id(name):
        return _fetched(name)
    known = sorted({BUILT_IN, *(p.stem for p in engines.glob("*.toml"))})
    raise EngineError(f"there is no engine {name!r}; use {', '.join(known)}, a folder or a fetched hub id")


def find_fetched(name: str) -> Path | None:
    """The folder of a preset or hub id if it was fetched whole, here or into the hub's cache; else None."""
    folder = fetched_folder(name)
    if (folder / _INDEX).is_file():
        return folder
    preset = load_preset(name, _engines())
    if preset.lora or preset.scheduler:
        return None  # the hub's copy alone is not this engine
    return cached(preset.source)


def cached(hub_id: str) -> Path | None:
    """The folder of a hub id in the local cache of Hugging Face, None if it is not there, or not whole."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, _INDEX)
    except HFValidationError:
        return None
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    parts = ["unet", "vae", "text_encoder"]
    if '"text_encoder_2"' in Path(found).read_text(encoding="utf-8"):
        parts.append("text_encoder_2")
    whole = all(any((folder / part).glob("*.safetensors")) for part in parts)
    return folder if whole else None


def half_fetched(name: str) -> bool:
    """Whether a fetch was begun and not ended."""
    target = fetched_folder(name)
    return not target.exists() and target.with_name(f".{target.name}.fetching").is_dir()


def _fetched(name: str) -> tuple[Path, str]:
    preset = load_preset(name, _engines())
    if half_fetched(name):
        raise EngineError(f"engine {name} was fetched only in part; `tpos-live engines fetch {name}` goes on with it")
    found = find_fetched(name)
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
        return _built_in(), "engine: Ember (no CUDA here)"
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
