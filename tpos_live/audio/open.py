"""Creates the audio source for the user's settings."""

from __future__ import annotations

from tpos_live.audio.demo import DEMO
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.source import AudioSource
from tpos_live.core.settings import SoundSettings


def open_source(sound: SoundSettings, demo: bool = False, required: bool = True) -> AudioSource:
    """The source for a session: the demo, which loops, else the settings' file, else their input.

    Nothing is opened before the source is entered. required: see `Microphone`.
    """
    channels = tuple(sound.channels) or None
    if demo:
        return FileSource(DEMO, loop=True, mute=sound.mute)
    if sound.audio:
        return FileSource(sound.audio, loop=sound.loop, mute=sound.mute, channels=channels)
    return Microphone(sound.device, channels, fallback=sound.fallback, required=required)
