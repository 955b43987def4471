"""A client of the Hugging Face hub: lists the files of a repository, and downloads a file with checksum and resume.

Every error of the network or the hub becomes one line with the remedy.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from tpos_live.core.atomic import atomic_write
from tpos_live.core.errors import EngineError, first_line

_BLOCK = 1 << 20
TIMEOUT = 30.0
"""Timeout in seconds for an answer of the hub."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EIO)
"""Error numbers of the disk; other errors are the network's."""


@dataclass(frozen=True)
class HubFile:
    """One file to fetch. checksum: from the hub, "sha256:..." of the content or "git:..." of git's blob."""

    repo: str
    commit: str
    remote: str
    local: str
    size: int
    checksum: str


class StoppedError(EngineError):
    """Network or hub failed; the part that was downloaded is kept."""


def list_files(repo: str, revision: str) -> tuple[str, dict[str, tuple[int, str]]]:
    """The commit of a revision, and the size in bytes and checksum of each file."""
    from huggingface_hub import HfApi

    with _plainly(repo):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
    files = {}
    for entry in info.siblings or []:
        lfs = getattr(entry, "lfs", None)
        sum_ = f"sha256:{lfs.sha256}" if lfs is not None else f"git:{entry.blob_id}"
        files[entry.rfilename] = (int(entry.size or 0), sum_)
    return str(info.sha), files


def fetch_file(file: HubFile, place: Path) -> None:
    """Copy a file from the hub's cache to `place`, or download it, with at most 2 attempts to get the right checksum.

    Raises EngineError (StoppedError for failures that a later attempt may not have), and OSError of the disk.
    """
    from huggingface_hub import try_to_load_from_cache

    here = try_to_load_from_cache(file.repo, file.remote, revision=file.commit)
    if isinstance(here, str) and checksum(Path(here), file.checksum) == file.checksum:
        return _take(Path(here), place)
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.part")
    for _attempt in range(2):
        with _plainly(file.repo):
            _download(file, part)
        if checksum(part, file.checksum) == file.checksum:
            part.replace(place)
            return None
        part.unlink()
    raise EngineError(f"{file.repo}/{file.remote}: its checksum is wrong twice; the connection alters it, use another")


def _download(file: HubFile, part: Path) -> None:
    """Download a file to `part`, and resume where an earlier call has stopped.

    `hf_hub_download` would be shorter, but it discards a file of several gigabytes when it fails or is stopped, and up
    to 10 MB each time the connection is cut.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(file.repo, file.remote, revision=file.commit)
    location = get_hf_file_metadata(url, timeout=TIMEOUT).location
    same = urlsplit(location).netloc == urlsplit(url).netloc
    headers = build_hf_headers() if same else {}  # the user's token must not go to another server
    done = part.stat().st_size if part.exists() else 0
    if done >= file.size:
        part.unlink(missing_ok=True)
        done = 0
    if done:
        headers["Range"] = f"bytes={done}-"
    request = urllib.request.Request(location, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if done and answer.status != 206:  # the server does not support ranges
            done = 0
        with (
            part.open("ab" if done else "wb") as out,
            tqdm(total=file.size, initial=done, unit="B", unit_scale=True, leave=False) as bar,
        ):
            while block := answer.read(_BLOCK):
                out.write(block)
                bar.update(len(block))
    if part.stat().st_size < file.size:
        raise ConnectionError("the connection was cut")


def checksum(path: Path, like: str) -> str:
    """The checksum of a file, of the same kind as `like`: "sha256:...", or "git:..." (git's name for a blob)."""
    kind = like.partition(":")[0]
    blob = f"blob {path.stat().st_size}\0".encode()
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(blob, usedforsecurity=False)
    with path.open("rb") as file:
        hashlib.file_digest(file, lambda: digest)
    return f"{kind}:{digest.hexdigest()}"


def _take(source: Path, place: Path) -> None:
    """Make `place` a hard link to `source`, or a copy where the disk has no hard links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), place)
    except OSError:
        with atomic_write(place) as part:
            shutil.copyfile(source, part)


@contextlib.contextmanager
def _plainly(repo: str) -> Iterator[None]:
    """Turn errors of the hub's library into one line with the remedy."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        remedy = f"accept its licence at https://huggingface.co/{repo} and run `hf auth login`"
        raise EngineError(f"{repo} is gated: {remedy}") from error
    except errors.RepositoryNotFoundError as error:
        raise EngineError(f"{repo}: the hub has no such repository, or it wants `hf auth login`") from error
    except errors.OfflineModeIsEnabled as error:
        raise StoppedError(f"{repo}: HF_HUB_OFFLINE is set; unset it and run the same line again") from error
    except EngineError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        # Any exception: the hub's library has changed its HTTP client twice, and its error classes with it.
        raise StoppedError(
            f"{repo}: fetching stopped ({first_line(error, 160)}); run the same line again to go on where it stopped"
        ) from error
