"""Fetching an engine ahead of a show: from the hub, checked byte by byte, put together as one folder.

Files that another program has fetched are taken from the hub's cache, half a file is gone on with, everything is
compared with the hub's checksums, and becomes an engine folder by one rename: an engine is there whole or not at
all. Weights are safetensors only. Nothing here runs during a show.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import EngineError, first_line, reason
from tpos_live.diffusion.hub.presets import TAESD, TAESDXL, Preset, fetched_folder, load_preset
from tpos_live.diffusion.hub.resolve import BUILT_IN
from tpos_live.diffusion.model.metadata import METADATA_FILE
from tpos_live.diffusion.model.text_encoders import SECOND

log = logging.getLogger(__name__)

RECORD = "fetched.json"
"""In the engine's folder: where each file came from, and its checksum."""
_WEIGHTS = "diffusion_pytorch_model"
_SMALL = (".json", ".txt", ".model")
_BLOCK = 1 << 20
_PATIENCE = 30.0
"""Seconds without a byte after which a connection is given up."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EIO)
"""What an error of the disk says; others are the network's."""
_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
_WEIGHTLESS = ("tokenizer", "tokenizer_2", "scheduler")


@dataclass(frozen=True)
class Item:
    """One file to fetch. checksum: "sha256:..." of the content, or "git:..." of git's blob, as the hub names it."""

    repo: str
    commit: str
    remote: str
    local: str
    size: int
    checksum: str


def fetch_engine(name: str) -> Path:
    """Fetch the engine of a preset or a hub id, or what is still missing of it; the engine's folder.

    Logs what it does. Raises EngineError with the remedy: no network, no such repository,
    a licence to accept first, pickled weights, a full disk, a checksum that does not fit.
    """
    if name == BUILT_IN:
        raise EngineError("Ember is in the box; there is nothing to fetch")
    preset = load_preset(name)
    target = fetched_folder(name)
    if (target / RECORD).exists() and not (broken := damaged(target)):
        log.info(f"{name} is there and whole: {target}")
        return target
    elif (target / RECORD).exists():
        log.info(f"{name}: {broken[0]} is damaged; fetching it again")
    try:
        return _fetch(name, preset, target)
    except _Stopped as error:
        byhand = f"or copy {target} from a computer that has fetched it, and use --engine {name} as it is"
        raise EngineError(f"{error}, {byhand}") from error
    except OSError as error:  # of the disk: those of the network are told above
        where = error.filename or target
        remedy = "make room there, or set TPOS_LIVE_ENGINES to another folder, and run the same line again"
        raise EngineError(f"{where} cannot be written ({reason(error)}); {remedy}") from error


class _Stopped(EngineError):
    """Network or hub failed."""


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
            _obtain(item, place)
    _describe(preset, work)
    record = {"name": name, "preset": preset.model_dump(mode="json"), "files": [asdict(item) for item in items]}
    (work / RECORD).write_text(json.dumps(record, indent=1))
    if target.exists():
        shutil.rmtree(target)
    work.rename(target)
    log.info(f"ready: --engine {name}")
    return target


def damaged(folder: Path) -> list[str]:
    """Files of a fetched engine that are missing or whose checksum is wrong; reads everything, so it takes seconds."""
    try:
        items = [Item(**entry) for entry in json.loads((folder / RECORD).read_text())["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return [RECORD]
    rewritten = ("scheduler/scheduler_config.json", "model_index.json")
    wrong = []
    for item in items:
        path = folder / item.local
        if not path.is_file() or (item.local not in rewritten and checksum(path, item.checksum) != item.checksum):
            wrong.append(item.local)
    return wrong


def plan(preset: Preset) -> list[Item]:
    """Everything to fetch for a preset. Asks the hub for lists, checksums and commits."""
    commit, files = _list(preset.source, preset.revision)
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
        commit, files = _list(decoder, "main")
        inside = {path: entry for path, entry in files.items() if "/" not in path}
        picked = [path for path in _pick(inside, decoder) if path == "config.json" or path.startswith(_WEIGHTS)]
        chosen += [(decoder, commit, path, f"vae/{path}", inside[path]) for path in picked]
    for number, lora in enumerate(preset.lora):
        commit, files = _list(lora.source, "main")
        if lora.file not in files:
            raise EngineError(f"{lora.source} has no file {lora.file}; correct the preset")
        chosen.append((lora.source, commit, lora.file, _lora_name(number), files[lora.file]))
    return [Item(repo, commit, remote, local, *entry) for repo, commit, remote, local, entry in chosen]


def _lora_name(number: int) -> str:
    return f"lora/{number}.safetensors"


def _pick(files: Iterable[str], where: str, weights: bool = True) -> list[str]:
    """Settings, and one set of safetensors: the half-precision one where there is one."""
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


def _list(repo: str, revision: str) -> tuple[str, dict[str, tuple[int, str]]]:
    """The commit, and size and checksum of each file."""
    from huggingface_hub import HfApi

    with _plainly(repo):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=_PATIENCE)
    files = {}
    for entry in info.siblings or []:
        lfs = getattr(entry, "lfs", None)
        sum_ = f"sha256:{lfs.sha256}" if lfs is not None else f"git:{entry.blob_id}"
        files[entry.rfilename] = (int(entry.size or 0), sum_)
    return str(info.sha), files


def _obtain(item: Item, place: Path) -> None:
    """Put a file in its place, its checksum right: from the hub's cache, else downloaded, twice at most."""
    from huggingface_hub import try_to_load_from_cache

    here = try_to_load_from_cache(item.repo, item.remote, revision=item.commit)
    if isinstance(here, str) and checksum(Path(here), item.checksum) == item.checksum:
        return _take(Path(here), place)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    for _attempt in range(2):
        with _plainly(item.repo):
            _download(item, part)
        if checksum(part, item.checksum) == item.checksum:
            part.replace(place)
            return None
        part.unlink()
    raise EngineError(f"{item.repo}/{item.remote}: its checksum is wrong twice; the connection alters it, use another")


def _download(item: Item, part: Path) -> None:
    """Write the rest of a file: what an earlier call has left in `part` is asked for no more."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(item.repo, item.remote, revision=item.commit)
    location = get_hf_file_metadata(url, timeout=_PATIENCE).location
    same = urlsplit(location).netloc == urlsplit(url).netloc
    headers = build_hf_headers() if same else {}  # the user's token is for the hub alone, not for where it sends us
    done = part.stat().st_size if part.exists() else 0
    if done >= item.size:
        part.unlink(missing_ok=True)
        done = 0
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(location, headers=headers)
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        if done and answer.status != 206:  # it does not know ranges: from the beginning
            done = 0
        with (
            part.open("ab" if done else "wb") as file,
            tqdm(total=item.size, initial=done, unit="B", unit_scale=True, leave=False) as bar,
        ):
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if part.stat().st_size < item.size:
        raise ConnectionError("the connection was cut")


def checksum(path: Path, like: str) -> str:
    """The checksum of a file, of the kind of `like` ("sha256:..." or "git:...", git's name for a blob)."""
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        if kind == "sha256":
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return f"git:{digest.hexdigest()}"


def _take(source: Path, place: Path) -> None:
    """The same file under another name where the disk can, else a copy."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), place)
    except OSError:
        with atomic_write(place) as part:
            shutil.copyfile(source, part)


def _describe(preset: Preset, folder: Path) -> None:
    """Write what makes the files one engine: index, scheduler and `tpos_live.json`."""
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
        path.unlink(missing_ok=True)  # it may be a hard link into the hub's cache, which stays as it is
        path.write_text(json.dumps(content, indent=2))


def _check_room(items: list[Item], folder: Path) -> None:
    needed = sum(item.size for item in items if not (folder / item.local).exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EngineError(f"{folder}: {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; make room")


@contextlib.contextmanager
def _plainly(repo: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line with the remedy."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        remedy = f"accept its licence at https://huggingface.co/{repo} and run `hf auth login`"
        raise EngineError(f"{repo} is gated: {remedy}") from error
    except errors.RepositoryNotFoundError as error:
        raise EngineError(f"{repo}: the hub has no such repository, or it wants `hf auth login`") from error
    except errors.OfflineModeIsEnabled as error:
        raise _Stopped(f"{repo}: HF_HUB_OFFLINE is set; unset it and run the same line again") from error
    except EngineError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        # Whatever it is called: the hub's library has changed the client that it talks with twice, and its errors.
        raise _Stopped(
            f"{repo}: fetching stopped ({first_line(error, 160)}); run the same line again to go on where it stopped"
        ) from error
