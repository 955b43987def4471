"""TensorRT plans: networks compiled in advance for one card, cached under a key of everything they depend on.

There are two libraries: TensorRT, and TensorRT for RTX, whose wheels are on PyPI and which compiles without a GPU. A
plan is built in a child process (a crash of the builder must not end a show), appears by one rename, and is refused
with one line if it is damaged or for another library or card.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from tpos_live.core.errors import EngineError, NotReady
from tpos_live.core.paths import cache_dir
from tpos_live.diffusion.backends.cache import CompileCache, check_writable, remove_partial

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from tpos_live.diffusion.model.backend import BackendRequest

log = logging.getLogger(__name__)

KINDS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Module of the library by the backend's name."""
RTX_CARDS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
"""Compute capabilities that TensorRT for RTX supports; data centre cards (sm90, sm100) are not among them."""
FORMAT = 1
"""Version of export and build; part of the cache key."""
SIDECAR = "plan.json"
NETWORKS = ("unet", "decoder")
_BUILDER = "tpos_live.diffusion.backends.tensorrt_build"
CACHES = {kind: CompileCache(kind, SIDECAR, _BUILDER, limit=3600.0, prune=False) for kind in KINDS}
"""Plans are not pruned, because plans for other cards are kept on purpose."""


class Sidecar(BaseModel):
    """Description of a plan. parity_db: PSNR of its frame against eager's, None until it has run on a card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    kind: str
    library: str
    card: str
    size: tuple[int, int]
    tokens: int
    weights: str
    torch: str
    sha256: dict[str, str]
    networks: dict[str, Any]
    seconds: dict[str, float]
    parity_db: float | None = None


def is_available(kind: str) -> tuple[bool, str]:
    """Whether the library of a kind is installed, and the remedy if not. Imports nothing."""
    if importlib.util.find_spec(KINDS[kind]) is not None:
        return True, ""
    if kind == "tensorrt-rtx":
        return False, "TensorRT for RTX is not installed; pip install tensorrt-rtx onnx"
    return False, "TensorRT is not installed; see docs/engines.md, or pip install tensorrt-rtx onnx"


def library_version(kind: str) -> str:
    """The installed version of a kind's library."""
    return importlib.metadata.version(KINDS[kind])


def this_card() -> str:
    """The compute capability of the CUDA card, as in "sm89"; "" without one."""
    import torch

    if not torch.cuda.is_available():
        return ""
    return "sm{}{}".format(*torch.cuda.get_device_capability())


def folder(kind: str, request: BackendRequest, card: str) -> Path:
    """The cache folder of a plan; it may not exist."""
    parts = [FORMAT, kind, library_version(kind), card, request.engine.weights_hash, *request.size]
    return CACHES[kind].folder([*parts, request.sequence_length, sys.platform])


def compile_plan(kind: str, request: BackendRequest, card: str = "") -> Path:
    """Build the plan of an engine at a size unless a valid one exists. Returns its folder.

    card: compute capability such as "sm89", "" = this machine's card. Takes minutes, and logs the progress. Raises
    EngineError with the remedy.
    """
    ready, why = is_available(kind)
    card = card or this_card()
    if not ready:
        raise EngineError(why)
    if not card:
        raise EngineError("no CUDA card here; name the one to compile for, as in --card sm89 (RTX 40)")
    if kind == "tensorrt-rtx" and card not in RTX_CARDS:
        raise EngineError(f"TensorRT for RTX has no {card}, only {', '.join(RTX_CARDS)}; use --accelerator tensorrt")
    if kind == "tensorrt" and card != this_card():
        raise EngineError(f"TensorRT compiles on the card itself, and there is no {card} here; use tensorrt-rtx")
    target, cache, engine = folder(kind, request, card), CACHES[kind], request.engine
    if target.exists():
        try:
            read_plan(target, kind, card)
            log.info(f"compiled already: {target}")
            return target
        except NotReady as error:
            log.info(str(error))
    check_writable(target.parent, 0)
    remove_partial(target.parent)
    failed = "compiling failed ({}); the show runs on the next backend"
    with cache.making(target) as work:
        arguments = [kind, engine.folder, *request.size, request.sequence_length, card, work]
        cache.build(target, engine, arguments, failed, on_line=log.info)
        read_plan(work, kind, card)
    return target


def read_plan(place: Path, kind: str, card: str) -> Sidecar:
    """The sidecar of a plan, after checking that the plan is undamaged and for this library and card.

    Reads the whole plan: seconds for a large engine. A damaged plan is removed. Raises NotReady, one line.
    """
    again = "`tpos-live engines compile` builds it"
    if not (place / SIDECAR).exists():
        raise NotReady(f"{kind} would be faster, but this engine is not compiled for it; {again}")
    try:
        facts = Sidecar.model_validate_json((place / SIDECAR).read_text())
        wrong = [name for name in NETWORKS if sum_of(place / f"{name}.plan") != facts.sha256[name]]
    except (OSError, ValidationError, ValueError, KeyError):
        wrong = [SIDECAR]
    if wrong:
        CACHES[kind].discard(place)
        raise NotReady(f"the {kind} plan was damaged ({wrong[0]}) and is removed; {again} again")
    expected = (FORMAT, kind, library_version(kind), card)
    found = (facts.format, facts.kind, facts.library, facts.card)
    if found != expected:
        raise NotReady(
            f"the plan is foreign: made by {facts.kind} {facts.library} for {facts.card}, "
            f"here are {kind} {expected[2]} and {card or 'no card'}; {again} again"
        )
    return facts


def write_parity(place: Path, facts: Sidecar, parity: float) -> None:
    """Store the PSNR of a plan's frame against eager's in its sidecar."""
    changed = facts.model_copy(update={"parity_db": round(parity, 2)})
    write_sidecar(place, changed)


def write_sidecar(place: Path, facts: Sidecar) -> None:
    """Write the sidecar atomically."""
    CACHES[facts.kind].write(place, facts.model_dump())


def sum_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compiled(folder_of_engine: Path) -> list[str]:
    """Plans of an engine folder, such as "tensorrt-rtx for sm89, 512x512". Reads only sidecars, no weights."""
    found = []
    for kind in KINDS:
        for sidecar in sorted((cache_dir() / kind).glob(f"*/{SIDECAR}")):
            try:
                facts = Sidecar.model_validate_json(sidecar.read_text())
            except (OSError, ValidationError):
                continue
            if facts.networks.get("engine") == str(folder_of_engine):
                width, height = facts.size
                found.append(f"{kind} for {facts.card}, {width}x{height}")
    return found
