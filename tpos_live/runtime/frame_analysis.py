"""The sound of a file, frame by frame: the samples of each frame of a video, and what the analysis says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tpos_live.audio.conversion import Downmix
from tpos_live.audio.files import AudioClip
from tpos_live.audio.source import RATE, Chunk
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import Snapshot
from tpos_live.features.features import HOP
from tpos_live.runtime.audio_thread import AudioProcessor


def frame_pieces(sound: np.ndarray | AudioClip, fps: int, log_damage: bool = False) -> Iterator[np.ndarray]:
    """`sound` cut into the frames of a video: piece k, float32 [n, 2], spans k / fps to (k + 1) / fps seconds.

    The last piece may be shorter.
    """
    blocks = iter([sound]) if isinstance(sound, np.ndarray) else sound.blocks(log_damage)
    waiting: list[np.ndarray] = []
    have, given, k = 0, 0, 0
    for block in blocks:
        waiting.append(block)
        have += len(block)
        if have < (k + 1) * RATE // fps:
            continue
        joined = np.concatenate(waiting) if len(waiting) > 1 else block
        at = 0
        while (end := (k + 1) * RATE // fps) <= have:
            yield joined[at : at + end - given]
            at += end - given
            given, k = end, k + 1
        waiting = [joined[at:]]
    if have > given:
        yield np.concatenate(waiting)


def analyze_frames(
    audio_processor: AudioProcessor,
    snapshot: Snapshot,
    sound: np.ndarray | AudioClip,
    fps: int,
    each_hop: Callable[[], None] | None = None,
) -> Iterator[FrameParams]:
    """Process `sound` (float32 [n, 2] at 48 kHz, or a file's) frame by frame: the FrameParams of each, in order.

    Frame k contains the audio up to (k + 1) / fps and is shown from k / fps on: the effect of a kick is in the frame
    that is on the screen while it plays. each_hop: called after every 10 ms of sound, to see all of its features; None
    processes a frame's sound at once, which gives the same but for `heard_at`.
    """
    downmix = Downmix(2, name=sound.path.name if isinstance(sound, AudioClip) else "the sound")
    heard = 0
    for stereo in frame_pieces(sound, fps, log_damage=True):
        mono = downmix.push(stereo)
        step = max(len(mono), 1) if each_hop is None else HOP
        for first in range(0, len(mono), step):
            part = slice(first, first + step)
            heard += len(mono[part])
            audio_processor.process(Chunk(mono[part], stereo[part], captured_at=heard / RATE), snapshot)
            if each_hop is not None:
                each_hop()
        yield audio_processor.params
