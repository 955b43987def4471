"""Offline rendering: `still`, `render`, and the demo where there is no display.

Every frame is rendered, in order, with the time taken from the audio, by the same parts as a live session; the same
file, seed, settings, backend and thread count give the same frames. What needs PyTorch is imported when it is needed,
so that a mistake on the command line is reported at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from tpos_live.audio.demo import DEMO
from tpos_live.audio.files import AudioClip, read_audio
from tpos_live.audio.source import RATE
from tpos_live.core.errors import EngineError
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.messages import terminal_messages
from tpos_live.core.output_names import VIDEO
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.parameters import LORAS
from tpos_live.core.progress import Progress
from tpos_live.core.setting_values import parse_size
from tpos_live.core.settings import Settings
from tpos_live.core.timing import hms
from tpos_live.display.output_file import check_image, check_output, save_image
from tpos_live.display.postfx import postfx_params
from tpos_live.display.video import VideoWriter
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.demo import DemoPrompts
from tpos_live.runtime.frame_analysis import analyze_frames, frame_pieces
from tpos_live.runtime.named_files import check_engine, check_source
from tpos_live.runtime.stop_signals import interrupting_signals

if TYPE_CHECKING:
    from tpos_live.runtime.pipeline import Pipeline

log = logging.getLogger(__name__)

DEMO_SECONDS = 20.0
RENDER_CRF, DEMO_CRF = 18, 23
"""Quality of x264. A render is made for editing, the demo for sending: its first 4 s take 10.0 MB at 18 and 3.8 MB at
23, most of it for the grain."""
STILL_FPS = 10
"""Frames per second that are drawn before the last frame, which is saved: enough for smooth fades."""
ENCODER_THREADS = 2
"""Threads of the video encoder: fixed, because the file depends on the number."""


def render_frames(
    settings: Settings,
    snapshot: Snapshot,
    sound: np.ndarray | AudioClip,
    fps: int,
    workers: int = 1,
    shown: Callable[[float], Snapshot] | None = None,
) -> Generator[tuple[FrameParams, Frame | None], None, None]:
    """Every frame of `sound` with its FrameParams, in order; by several processes where `workers` is above 1.

    shown: returns the parameters at a time in seconds, with one worker, if they change; None = always `snapshot`.
    """
    if workers > 1 and snapshot["engine.mode"] == "keyframes":
        log.info("keyframes are drawn by one process: each depends on the one before")
    elif workers > 1:
        from tpos_live.runtime.parallel_offline import render_with_workers

        yield from render_with_workers(settings, snapshot, sound, fps, workers)
        return
    from tpos_live.runtime.pipeline import Pipeline

    with Pipeline(settings, live=False, output=parse_size(settings.record.resolution)) as pipeline:
        log.info(pipeline.message)
        improve(pipeline)
        audio_processor = AudioProcessor(pipeline.encoder, abilities=pipeline.abilities)
        for params in analyze_frames(audio_processor, snapshot, sound, fps):
            now = snapshot if shown is None else shown(params.time)
            yield params, pipeline.draw(params, audio_processor.embedding.latest(), now, now=params.time)


def write_video(
    settings: Settings, sound: np.ndarray | AudioClip, output: Path, workers: int = 1, demo: bool = False
) -> tuple[Path, float]:
    """Render every frame of `sound` and write them with it; demo: with the demo's prompts.

    Returns the file, which is numbered if `output` exists, and its seconds. Raises the errors of this package, and
    KeyboardInterrupt, also for SIGTERM and a closed terminal; the unfinished part stays and is logged."""
    fps = settings.record.fps
    size = parse_size(settings.record.resolution)
    # Every frame is rendered, so no frames are interpolated.
    store = ParameterStore({**settings.start_values(), "out.inbetween": False})
    check_engine(settings.engine)
    check_source(store.snapshot())
    snapshot, prompts = store.snapshot(), DemoPrompts(store) if demo and DemoPrompts.wanted(settings) else None
    count = -(-(len(sound) if isinstance(sound, np.ndarray) else sound.check()) * fps // RATE)
    from tpos_live.runtime.overlap import OverlappedVideoWriter

    writer = VideoWriter(output, size, fps, threads=ENCODER_THREADS, crf=DEMO_CRF if demo else RENDER_CRF)

    def written() -> None:
        if not progress.done:
            if line := writer.output.about_found():
                log.info(line)
            progress.rename(writer.path.name)
        progress.update()

    def shown(now: float) -> Snapshot:
        if prompts is not None:
            prompts.update(now)
        return store.snapshot()

    length = 0
    try:
        with (
            interrupting_signals(),
            closing(render_frames(settings, snapshot, sound, fps, workers, shown)) as frames,
            writer,
            Progress(output.name, count) as progress,
            terminal_messages(write=progress.print),
            OverlappedVideoWriter(writer, size, snapshot, written) as video,
        ):
            # Decoded a second time, in step: no file is kept in memory.
            for (params, frame), piece in zip(frames, frame_pieces(sound, fps), strict=True):
                video.put(params, frame, piece)
                length += len(piece)
    except BaseException:
        if writer.frames_written:
            written_s, whole_s = hms(writer.frames / fps), hms(count / fps)
            log.error(f"not finished: {written_s} of {whole_s} are in {writer.part}, which plays")
        raise
    return writer.path, length / RATE


def render_file(settings: Settings, audio: Path, output: Path, workers: int = 1) -> int:
    """`tpos-live render`."""
    output = check_output(output, VIDEO, [audio])
    sound = AudioClip(audio, settings.seconds or None, tuple(settings.sound.channels) or None)
    sound.check()
    written, length = write_video(settings, sound, output, workers)
    click.echo(f"wrote {written}, {length:.1f} s")
    return 0


def render_demo(settings: Settings) -> int:
    """`tpos-live demo` without a display: 20 s of it as a video in the current folder."""
    output = check_output(Path(settings.record.file or "tpos-demo.mp4"), VIDEO)
    log.info("no display: writing a video instead of opening a window")
    sound = read_audio(DEMO, settings.seconds or DEMO_SECONDS)
    written, length = write_video(settings, sound, output, demo=True)
    click.echo(f"wrote {written}, {length:.1f} s with sound")
    return 0


def still(
    settings: Settings, output: Path, shown: tuple[int, int] | None = None, audio: Path | None = None,
    seconds: float = 10.0,
) -> int:  # fmt: skip
    """`tpos-live still`: one frame, at the engine's own size and without post-processing; or, with `shown` (width,
    height), post-processed and enlarged as in a live session. In silence, or, with `audio`, after the first `seconds`
    of a file."""
    output = check_image(output, [] if audio is None else [audio])
    sound = None if audio is None else AudioClip(audio, seconds, tuple(settings.sound.channels) or None)
    if sound is not None:
        sound.check()
    snapshot = ParameterStore(settings.start_values()).snapshot()
    check_engine(settings.engine)
    check_source(snapshot)
    from tpos_live.runtime.pipeline import Pipeline

    with Pipeline(settings, live=False, output=shown or parse_size(settings.window.size)) as pipeline:
        log.info(pipeline.message)
        pipeline.generator.settle()
        params, frame = _in_silence(pipeline, snapshot) if sound is None else _after(pipeline, snapshot, sound)
        assert frame is not None  # not live: it waits for the prompt
        if pipeline.understood:
            log.info(f"prompt: {pipeline.understood}")
    pixels = frame.pixels
    if shown:
        from tpos_live.display.cpu_compositor import CpuCompositor

        pixels = CpuCompositor(shown).compose(
            postfx_params(params, snapshot, None, frame, params.time, params.time), frame
        )
    click.echo(f"wrote {save_image(output, pixels)}, {pixels.shape[1]}x{pixels.shape[0]}")
    return 0


def _in_silence(pipeline: Pipeline, snapshot: Snapshot) -> tuple[FrameParams, Frame | None]:
    params = FrameParams(
        intensity=0.6,
        bloom=snapshot["finish.bloom"],
        exposure=snapshot["finish.light"],
        grain=snapshot["finish.grain"],
        source_amount=snapshot["source.amount"],
        loras=tuple(snapshot[name] for name in LORAS),
    )
    return params, pipeline.draw(params, None, snapshot, now=0.0)


def _after(pipeline: Pipeline, snapshot: Snapshot, sound: AudioClip) -> tuple[FrameParams, Frame | None]:
    """The last frame of `sound`, and its FrameParams; logs the label of the sound."""
    audio_processor = AudioProcessor(pipeline.encoder, abilities=pipeline.abilities)
    for params in analyze_frames(audio_processor, snapshot, sound, STILL_FPS):
        frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=params.time)
    log.info(f"heard: {audio_processor.tagger.name or 'nothing'}")
    return params, frame


def improve(pipeline: Pipeline) -> None:
    """Use the fastest backend for the whole file; prepare it first if needed."""
    if pipeline.improvable and pipeline.generator.backend.fallback_reason:
        reason = pipeline.generator.backend.fallback_reason
        log.info(f"preparing a faster backend, once on this machine: {reason}")
    try:
        better = pipeline.improve()
    except EngineError as error:
        log.warning(f"going on without a faster backend: {error}")
    else:
        if better is not None:
            pipeline.generator.use(better)
    pipeline.generator.settle()
