"""Creates the audio source for the user's settings."""

from __future__ import annotations

from pathlib import Path

from tpos_live.audio.demo import DEMO
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.source import AudioError, AudioSource


def open_source(
    device: str | int | None = None,
    audio: str | Path | None = None,
    demo: bool = False,
    channels: tuple[int, ...] | None = None,
    mute: bool = False,
    loop: bool = False,
    fallback: str = "",
    required: bool = True,
) -> AudioSource:
    """The source for a session; nothing is opened before it is entered.

    A file plays once or in a `loop`; the demo loops; else the source is the input `device` (None or "mic": the
    default). channels: counted from 1. mute: a file or the demo is analysed but not played. fallback, required: see
    `Microphone`.

    Raises AudioError for more than one of device, audio and demo.
    """
    if (device is not None) + (audio is not None) + demo > 1:
        raise AudioError("one source at a time: --device for an input, --audio for a file, or the demo")
    if demo:
        return FileSource(DEMO, loop=True, mute=mute)
    if audio is not None:
        return FileSource(audio, loop=loop, mute=mute, channels=channels)
    return Microphone(device, channels, fallback=fallback, required=required)
