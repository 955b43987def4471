"""Finds the folder of an engine that was fetched before."""

from __future__ import annotations

import shutil
from pathlib import Path

from tpos_live.diffusion.hub.presets import fetched_folder, load_preset
from tpos_live.diffusion.model.metadata import EMBEDDINGS

INDEX = "model_index.json"
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
"""Files of weights that can run code; never read."""


def find_fetched(name: str, presets: Path | None = None) -> Path | None:
    """The folder of a preset or hub id if it was fetched completely, here or into the hub's cache; else None. presets:
    folder of the presets, None = the installation's."""
    folder = fetched_folder(name)
    if (folder / INDEX).is_file():
        return folder
    preset = load_preset(name, presets)
    if preset.lora or preset.scheduler:
        return None  # the hub's copy alone is not this engine
    return cached(preset.source)


def cached(hub_id: str) -> Path | None:
    """The folder of a hub id in the local cache of Hugging Face; None if it is missing or incomplete."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(hub_id, INDEX)
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


def keep_embeddings(before: Path, work: Path) -> None:
    """Copy the textual inversions that a user has put into an engine's folder into the folder that replaces it."""
    if (before / EMBEDDINGS).is_dir() and not (work / EMBEDDINGS).exists():
        shutil.copytree(before / EMBEDDINGS, work / EMBEDDINGS)


def half_fetched(name: str) -> bool:
    """Whether a fetch has begun but is not complete."""
    target = fetched_folder(name)
    return not target.exists() and target.with_name(f".{target.name}.fetching").is_dir()
