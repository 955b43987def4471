"""Engine presets: `engines/*.toml`, each a recipe for one engine folder.

A preset names hub repositories. `tpos-live engines fetch` turns it into a folder in diffusers' format, which is then an
engine like any other. This module validates presets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tpos_live.core.errors import EngineError
from tpos_live.core.paths import engines_dir, shipped
from tpos_live.core.settings_file import SettingsError, read_toml
from tpos_live.diffusion.model.metadata import FEW_LIVE, LoraWeight

BUILT_IN = "ember"
SD_TURBO = "sd-turbo"
TAESD = "madebyollin/taesd"
"""Tiny decoder for latents of Stable Diffusion 1 and 2, with 1/18 of the work of the original decoder."""
TAESDXL = "madebyollin/taesdxl"
"""The same for Stable Diffusion XL, which has other latents."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(name: str) -> bool:
    """Whether a name has the form "owner/repository"."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name


def _hub_id(value: str) -> str:
    if not is_hub_id(value):
        raise ValueError(f"{value!r} is not a hub id, which reads owner/name")
    return value


def _safetensors(value: str) -> str:
    if not value.endswith(".safetensors") or ".." in value or value.startswith("/"):
        raise ValueError(f"{value!r} is not a .safetensors file of its repository; pickles are never read")
    return value


HubId = Annotated[str, AfterValidator(_hub_id)]


class LoraSource(LoraWeight):
    """A LoRA file of a hub repository."""

    source: HubId
    file: Annotated[str, AfterValidator(_safetensors)]


class Preset(BaseModel):
    """One engine to fetch. Sizes are (width, height) in pixels.

    decoder: hub id of a tiny autoencoder that replaces the engine's own, None = its own. scheduler: entries that
    replace those of its `scheduler_config.json`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: HubId
    title: str = ""
    revision: str = "main"
    decoder: HubId | None = None
    lora: Annotated[list[LoraSource], FEW_LIVE] = Field(default_factory=list)
    scheduler: dict[str, Any] = Field(default_factory=dict)
    size: tuple[int, int] = (512, 512)
    steps: list[Annotated[int, Field(ge=1, le=4)]] = Field(default_factory=lambda: [1, 2, 4], min_length=1)
    guidance: bool = True
    licence: str = "unknown"
    licence_url: str = ""
    download_gb: float = Field(0.0, ge=0)


def preset_names() -> list[str]:
    """Names of the presets that this installation knows."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_preset(name: str, folder: Path | None = None) -> Preset:
    """The preset with this name (from `engines/`), or for a hub id a new one with a tiny decoder and defaults.

    Raises EngineError, one line with the file and the wrong entry.
    """
    if is_hub_id(name):
        return Preset(source=name, title=name, decoder=TAESD)
    path = (folder or _folder()) / f"{name}.toml"
    if "/" in name or not path.is_file():
        known = ", ".join(preset_names())
        raise EngineError(f"there is no preset {name!r}; there are {known}, or give a hub id (owner/name)")
    try:
        preset = Preset.model_validate(read_toml(path)[0])
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(map(str, first["loc"]))
        raise EngineError(f"{path}: not a valid preset: {entry}: {first['msg']}") from error
    except SettingsError as error:
        raise EngineError(f"not a valid preset: {error}") from error
    return preset if preset.title else preset.model_copy(update={"title": name})


def fetched_folder(name: str) -> Path:
    """The folder for the fetched engine of a preset or a hub id; it may not exist."""
    return engines_dir() / name.replace("/", "--")


def _folder() -> Path:
    try:
        return shipped("engines")
    except FileNotFoundError as error:
        raise EngineError(str(error)) from error
