"""Downloads an engine before a show: selects its files, checks their checksums, and builds one folder of them.

The folder gets its name by one rename at the end, so an engine is complete or does not exist. Weights are safetensors
only. Nothing here runs during a show.
"""

from __future__ import annotations

import json
import logging
import shlex
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tpos_live.core.atomic import folder_to_disk, names_to_disk
from tpos_live.core.errors import EngineError, reason
from tpos_live.diffusion.hub.client import HubFile, StoppedError, checksum, fetch_file, list_files
from tpos_live.diffusion.hub.fetched import keep_embeddings
from tpos_live.diffusion.hub.presets import BUILT_IN, TAESD, TAESDXL, Preset, fetched_folder, load_preset
from tpos_live.diffusion.model.metadata import METADATA_FILE, SECOND

log = logging.getLogger(__name__)

RECORD = "fetched.json"
"""File in the engine's folder that records the source and checksum of each file."""
_WEIGHTS = "diffusion_pytorch_model"
_SMALL = (".json", ".txt", ".model")
_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_WEIGHTLESS = ("tokenizer", "tokenizer_2", "scheduler")


def fetch_engine(name: str) -> Path:
    """Fetch the missing files of the engine of a preset or hub id. Returns the engine's folder.

    Logs its progress. Raises EngineError with the remedy: no network, no such repository, a licence to accept first,
    pickled weights, a full disk, a wrong checksum.
    """
    if name == BUILT_IN:
        raise EngineError("Ember is included; there is nothing to fetch")
    preset = load_preset(name)
    target = fetched_folder(name)
    if (target / RECORD).exists() and not (broken := damaged(target)):
        log.info(f"{name} is there and whole: {target}")
        return target
    elif (target / RECORD).exists():
        log.info(f"{name}: {broken[0]} is damaged; fetching it again")
    try:
        with _alone(name, target):
            return _fetch(name, preset, target)
    except StoppedError as error:
        raise EngineError(f"{error}; {_by_hand(name, preset, target)}") from error
    except OSError as error:  # of the disk: those of the network are reported above
        where = error.filename or target
        remedy = "make room there, or set TPOS_LIVE_ENGINES to another folder, and run the same line again"
        raise EngineError(f"{where} cannot be written ({reason(error)}); {remedy}") from error


@contextmanager
def _alone(name: str, target: Path) -> Iterator[None]:
    """Keep other processes, which would write the same files, from fetching this engine. The lock ends with the
    process. Raises EngineError if another process has it, and OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise EngineError(f"{name} is being fetched by another tpos-live; wait until it has ended") from None
    with held:
        yield


def _fetch(name: str, preset: Preset, target: Path) -> Path:
    items = plan(preset)
    work = target.with_name(f".{target.name}.fetching")
    work.mkdir(parents=True, exist_ok=True)
    _check_room(items, work)
    log.info(f"{preset.title}: {len(items)} files, {sum(item.size for item in items) / 1e9:.2f} GB")
    log.info(f"licence: {preset.licence} {preset.licence_url}".rstrip())
    for count, item in enumerate(items, 1):
        log.info(f"{count:>3} of {len(items)}  {item.size / 1e6:9.1f} MB  {item.repo}/{item.remote}")
        place = work / item.local
        if not (place.is_file() and checksum(place, item.checksum) == item.checksum):
            fetch_file(item, place)
    _describe(preset, work)
    record = {"name": name, "preset": preset.model_dump(mode="json"), "files": [asdict(item) for item in items]}
    (work / RECORD).write_text(json.dumps(record, indent=1))
    folder_to_disk(work)
    if target.exists():
        keep_embeddings(target, work)
        shutil.rmtree(target)
    work.rename(target)
    names_to_disk(target.parent)
    log.info(f"ready: --engine {name}")
    return target


def _by_hand(name: str, preset: Preset, target: Path) -> str:
    """The part of an error message that says how to install an engine without a network."""
    size = f" ({preset.download_gb:g} GB)" if preset.download_gb else ""
    return (
        f"or, without a network here: fetch it on another computer, copy the folder that `tpos-live engines list` "
        f"names there{size} to {target}; `tpos-live engines check {name}` compares the copy"
    )


def damaged(folder: Path) -> list[str]:
    """Files of a fetched engine that are missing or whose checksum is wrong; reads everything, so it takes seconds."""
    try:
        items = [HubFile(**entry) for entry in json.loads((folder / RECORD).read_text())["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return [RECORD]
    rewritten = ("scheduler/scheduler_config.json", "model_index.json")
    wrong = []
    for item in items:
        path = folder / item.local
        if not path.is_file() or (item.local not in rewritten and checksum(path, item.checksum) != item.checksum):
            wrong.append(item.local)
    return wrong


def repair_command(name: str, folder: Path) -> str:
    """The command that repairs a damaged engine."""
    try:
        file = json.loads((folder / RECORD).read_text())["checkpoint"]["file"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"tpos-live engines fetch {name}"
    return f"tpos-live engines import {shlex.quote(file)} --name {name}"


def plan(preset: Preset) -> list[HubFile]:
    """All files to fetch for a preset. Asks the hub for lists, checksums and commits."""
    commit, files = list_files(preset.source, preset.revision)
    second = [part for part in SECOND if any(path.startswith(f"{part}/") for path in files)]
    parts = [part for part in (*_PARTS, *second) if not (part == "vae" and preset.decoder)]
    chosen = [(preset.source, commit, path, path, files[path]) for path in ("model_index.json",) if path in files]
    if not chosen:
        raise EngineError(f"{preset.source} has no model_index.json: it is not an engine in diffusers' format")
    for part in parts:
        inside = {path: entry for path, entry in files.items() if path.startswith(f"{part}/")}
        if not inside:
            raise EngineError(f"{preset.source} has no {part}: it is not a Stable Diffusion engine")
        picked = _pick(inside, f"{preset.source} {part}", weights=part not in _WEIGHTLESS)
        chosen += [(preset.source, commit, path, path, inside[path]) for path in picked]
    if preset.decoder:
        decoder = TAESDXL if second and preset.decoder == TAESD else preset.decoder
        commit, files = list_files(decoder, "main")
        inside = {path: entry for path, entry in files.items() if "/" not in path}
        picked = [path for path in _pick(inside, decoder) if path == "config.json" or path.startswith(_WEIGHTS)]
        chosen += [(decoder, commit, path, f"vae/{path}", inside[path]) for path in picked]
    for number, lora in enumerate(preset.lora):
        commit, files = list_files(lora.source, "main")
        if lora.file not in files:
            raise EngineError(f"{lora.source} has no file {lora.file}; correct the preset")
        chosen.append((lora.source, commit, lora.file, _lora_name(number), files[lora.file]))
    return [HubFile(repo, commit, remote, local, *entry) for repo, commit, remote, local, entry in chosen]


def _lora_name(number: int) -> str:
    return f"lora/{number}.safetensors"


def _pick(files: Iterable[str], where: str, weights: bool = True) -> list[str]:
    """The configuration files of a part, and one set of safetensors, in half precision where there is such a set."""
    files = list(files)
    kept = [path for path in files if path.endswith(_SMALL) and "flax" not in path and ".index." not in path]
    if not weights:
        return kept
    tensors = [path for path in files if path.endswith(".safetensors") and "non_ema" not in path]
    if not tensors:
        raise EngineError(f"{where} has no safetensors, only pickles, which can run code; choose another repository")
    half = [path for path in tensors if ".fp16." in path]
    chosen = half or tensors
    if len(chosen) > 1:
        standard = [path for path in chosen if Path(path).name.split(".")[0] in (_WEIGHTS, "model")]
        if len(standard) != 1:
            raise EngineError(f"{where} has its weights in {len(chosen)} files; convert it to one safetensors file")
        chosen = standard
    return [*kept, *chosen]


def _describe(preset: Preset, folder: Path) -> None:
    """Write the engine's index, scheduler configuration and `tpos_live.json`."""
    index = json.loads((folder / "model_index.json").read_text())
    scheduler = folder / "scheduler" / "scheduler_config.json"
    config: dict[str, Any] = json.loads(scheduler.read_text()) | preset.scheduler
    index["scheduler"] = ["diffusers", config["_class_name"]]
    if preset.decoder:
        decoder = json.loads((folder / "vae" / "config.json").read_text())
        index["vae"] = ["diffusers", decoder.get("_class_name", "AutoencoderTiny")]
    description = {
        "name": preset.title,
        "licence": preset.licence,
        "size": preset.size,
        "steps": preset.steps,
        "guidance": preset.guidance,
        "trained_with_sound": False,
        "loras": [
            {"file": _lora_name(n), "weight": lora.weight, "live": lora.live} for n, lora in enumerate(preset.lora)
        ],
    }
    pairs = ((scheduler, config), (folder / "model_index.json", index), (folder / METADATA_FILE, description))
    for path, content in pairs:
        path.unlink(missing_ok=True)  # it may be a hard link into the hub's cache, which must not change
        path.write_text(json.dumps(content, indent=2))


def _check_room(items: list[HubFile], folder: Path) -> None:
    needed = sum(item.size for item in items if not (folder / item.local).exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EngineError(f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; make room")
