"""The backend request of a show, for compiling an engine ahead of it."""

from __future__ import annotations

from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.unet_tokens import UnetTokens


def backend_request(name: str, size: tuple[int, int] = (0, 0), threads: int = 0) -> BackendRequest:
    """The request that a show with this engine makes. size: (width, height) in pixels, (0, 0) = the engine's own.
    threads: 0 = torch's default. Raises EngineError."""
    engine = load_engine(resolve_engine(name)[0])
    chosen = engine.nearest_size(size if size[0] else engine.metadata.size)
    return BackendRequest(engine, chosen, UnetTokens(engine).sequence_length, threads)
