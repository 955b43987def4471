"""Offline rendering by several processes: alternate segments, rendered in parallel and joined in order.

Every worker processes the whole audio and builds every conditioning, which is cheap and exact; it renders only its own
segments. Post-processing and writing stay in the calling process, which sees all frames in order.

With strength 1 a frame depends on its own moment alone, and the video equals that of a single process with as many
threads. Where frames depend on earlier ones (strength below 1, semantic guidance, stream batch), a worker renders
RUN_UP frames before each segment and drops them. The video is then as smooth as that of one process, but not
bit-identical.
"""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import multiprocessing

from tpos_live.audio.files import AudioClip
from tpos_live.audio.source import RATE
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.core.child_process import end_with_parent
from tpos_live.core.cores import usable_cores
from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings import Settings
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.pipeline import Pipeline

SEGMENT = 120
"""Consecutive frames of one worker; as many may wait to be written."""
RUN_UP = 60
"""Frames before a segment that are rendered only for their influence on later ones."""
PATIENCE = 1.0
"""Seconds between checks whether a worker is alive."""


def owner(k: int, workers: int, segment: int = SEGMENT) -> int:
    """The worker that renders frame `k`."""
    return k // segment % workers


def role(k: int, rank: int, workers: int, segment: int = SEGMENT, run_up: int = RUN_UP) -> str:
    """What worker `rank` does with frame `k`: "draw" it, render it as run-"up", or "skip" it."""
    if owner(k, workers, segment) == rank:
        return "draw"
    ahead = (k // segment + 1) * segment
    return "up" if owner(ahead, workers, segment) == rank and ahead - k <= run_up else "skip"


@dataclass(frozen=True)
class _Job:
    """Arguments of all workers; see `render_with_workers`. values: of the parameters."""

    settings: Settings
    values: dict[str, Any]
    sound: np.ndarray | AudioClip
    fps: int
    workers: int
    segment: int


def render_with_workers(
    settings: Settings,
    snapshot: Snapshot,
    sound: np.ndarray | AudioClip,
    fps: int,
    workers: int,
    segment: int = SEGMENT,
) -> Iterator[tuple[FrameParams, Frame]]:
    """Every frame of `sound` with its FrameParams, in order, by at most `workers` processes, each with a segment or
    more. Raises EngineError with the line of a worker that failed."""
    workers = _useful(workers, sound, fps, segment)
    if not settings.engine.threads:
        share = max(len(usable_cores()) // workers, 1)
        settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"threads": share})})
    values = {**settings.start_values(), "out.inbetween": False}
    with _workers(_Job(settings, values, sound, fps, workers, segment)) as take:
        for k, params in enumerate(analyze_frames(AudioProcessor(open_encoder()[0]), snapshot, sound, fps)):
            yield params, replace(take(owner(k, workers, segment)), index=k)


def _useful(workers: int, sound: np.ndarray | AudioClip, fps: int, segment: int) -> int:
    """`workers`, or fewer, so that each has a segment or more, if the length of the sound is known."""
    samples = len(sound) if isinstance(sound, np.ndarray) else sound.check()
    return min(workers, -(-samples * fps // (RATE * segment))) if samples else workers


@contextmanager
def _workers(job: _Job) -> Iterator[Callable[[int], Frame]]:
    """Start the workers; yields a function that waits for the next frame of one of them."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    frames = [context.Queue(maxsize=job.segment) for _ in range(job.workers)]
    processes = [
        context.Process(
            target=_work,
            args=(job, rank, frames[rank], ready, os.getpid()),
            name=f"worker-{rank}",
            daemon=True,
        )
        for rank in range(job.workers)
    ]

    def take(rank: int) -> Frame:
        while True:
            try:
                found = frames[rank].get(timeout=PATIENCE)
            except queue.Empty:
                if not processes[rank].is_alive():
                    code = processes[rank].exitcode
                    raise EngineError(
                        f"worker {rank} ended ({code}) without a message, perhaps out of memory; use fewer --workers"
                    ) from None
                continue
            if isinstance(found, str):
                raise EngineError(f"worker {rank}: {found}")
            return found  # type: ignore[no-any-return]

    for process in processes:
        process.start()
    try:
        yield take
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join(5.0)


def _work(job: _Job, rank: int, out: Any, ready: Any, parent: int) -> None:
    """A worker: puts its frames, or one line with the reason of a failure, into `out`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the calling process, which ends the workers
    end_with_parent(parent)
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(rank % torch.cuda.device_count())
        settings = job.settings
        with Pipeline(settings, live=False, output=parse_size(settings.record.resolution)) as pipeline:
            _prepare(pipeline, first=rank == 0, ready=ready)
            snapshot = ParameterStore(job.values).snapshot()
            audio_processor = AudioProcessor(pipeline.encoder, abilities=pipeline.abilities)
            analysed = analyze_frames(audio_processor, snapshot, job.sound, job.fps)
            for k, params in enumerate(analysed):
                built = pipeline.builder.build(params.time, snapshot, params, audio_processor.embedding.latest())
                assert built is not None  # not live: it waits for the prompt
                doing = role(k, rank, job.workers, job.segment)
                if doing == "skip" or (
                    doing == "up" and not _affects_later_frames(params, settings, pipeline.builder.mode(snapshot))
                ):
                    pipeline.generator.reset_feedback()
                    continue
                image = pipeline.source.image(params, snapshot, pipeline.generator.size, built)
                frame = pipeline.generator.generate(FrameRequest(params, built, snapshot, image))
                if doing == "draw":
                    out.put(replace(frame, pixels=frame.pixels.copy()))
        out.close()
        out.join_thread()
    except Exception as error:
        out.put(first_line(error, 200))


def _affects_later_frames(params: FrameParams, settings: Settings, mode: str) -> bool:
    """Whether later frames depend on this one."""
    return params.strength < 1.0 or settings.engine.stream_batch or mode == "semantic"


def _prepare(pipeline: Pipeline, first: bool, ready: Any) -> None:
    """Use the fastest backend: the first worker prepares it, the others load it."""
    try:
        if not first:
            ready.wait()
        try:
            better = pipeline.improve()
        except EngineError:
            better = None
        if better is not None:
            pipeline.generator.use(better)
        pipeline.generator.settle()
    finally:
        ready.set()
