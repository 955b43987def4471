"""Sound files: read whole for a render, block by block for a show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from tpos_live.sound.channels import pick, to_stereo
from tpos_live.sound.resampler import Resampler
from tpos_live.sound.source import RATE, SoundError

BLOCK = 4096
"""Frames decoded at a time."""


def open_audio(path: str | Path) -> soundfile.SoundFile:
    """Open a sound file of any format libsndfile knows.

    Raises SoundError for a file that is missing, is not sound, or has none in it.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        raise SoundError(f'{"folder, not a sound file" if path.is_dir() else "no such sound file"}: "{path}"')
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        if path.stat().st_size == 0:
            raise SoundError(f'"{path}" is empty; give a sound file') from error
        raise SoundError(
            f'"{path}" cannot be read as sound; give WAV, FLAC, OGG, MP3 or AIFF '
            f"(others: ffmpeg -i {path.name} {path.stem}.wav)"
        ) from error
    if file.frames <= 0:
        file.close()
        raise SoundError(f'"{path}" has no sound in it')
    return file


def stream_audio(
    file: soundfile.SoundFile,
    channels: tuple[int, ...] | None = None,
    loop: bool = False,
    live: bool = True,
    block: int = BLOCK,
) -> Iterator[np.ndarray]:
    """The sound of `file` as float32 blocks [n, 2] at 48 kHz, n changing, decoded as they are taken.

    channels: see `channels.pick`; by default two channels are stereo, and all of any other number are
    averaged. loop: begin again at the end, through the same resampler, so that no seam is heard. live:
    the low-delay resampler. NaN and infinite samples are zeros. A file that is cut short ends where its
    sound does. Raises SoundError where the disk fails.
    """
    everything = channels is None and file.channels > 2
    picked = tuple(range(file.channels)) if everything else pick(file.channels, channels, file.name)
    resampler = Resampler(file.samplerate, live)
    frames = 0
    while True:
        try:
            samples = file.read(block, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            if frames == 0:
                raise SoundError(f'"{file.name}" is damaged at its start: {error}') from error
            samples = np.empty((0, file.channels), np.float32)
        frames += len(samples)
        if len(samples):
            stereo = np.nan_to_num(to_stereo(samples, picked), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            yield resampler.push(stereo)
        elif loop and frames:
            try:
                file.seek(0)
            except (soundfile.SoundFileError, OSError, RuntimeError) as error:
                raise SoundError(f'"{file.name}" cannot be played again: {error}') from error
            frames = 0
        else:
            yield resampler.push(np.empty((0, 2), np.float32), last=True)
            return


def read_audio(path: str | Path, seconds: float | None = None, channels: tuple[int, ...] | None = None) -> np.ndarray:
    """The sound of a file, whole or its first `seconds`, as float32 [n, 2] at 48 kHz.

    Raises SoundError if there is none to read.
    """
    with open_audio(path) as file:
        wanted = math.inf if seconds is None else round(seconds * RATE)
        blocks, have = [], 0
        for block in stream_audio(file, channels, live=False, block=1 << 16):
            blocks.append(block)
            have += len(block)
            if have >= wanted:
                break
    if not have:
        raise SoundError(f'"{path}" has no sound in it')
    return np.concatenate(blocks)[: None if seconds is None else int(wanted)]
