"""Checks the files and folders that the settings name, before anything slow is loaded.

So a mistake on the command line is reported at once, and before missing hardware or libraries.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tpos_live.audio.file_capture import FileCapture, names_a_file
from tpos_live.audio.files import AudioFile
from tpos_live.audio.source import AudioError
from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.output_names import VIDEO, parse_output
from tpos_live.core.parameter_store import Snapshot
from tpos_live.core.paths import expanded
from tpos_live.core.settings import EngineSettings, Settings, ShowSettings, SoundSettings
from tpos_live.core.settings_file import SettingsError
from tpos_live.core.show_file import read_show
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.display.errors import DisplayError
from tpos_live.display.output_file import check_output
from tpos_live.runtime.recordings import check_recording
from tpos_live.runtime.show_keeper import check_show_file

log = logging.getLogger(__name__)


def check_show(settings: Settings, demo: bool) -> None:
    """Raise the error of the part that could not read or write a file of a show. demo: the built-in
    track is played, no input."""
    if not demo:
        _check_sound(settings.sound)
    check_engine(settings.engine)
    check_recording(settings.record, settings.sound.audio)
    for output in settings.output.to:
        _check_files(output, settings.sound.audio)
    if settings.show.file:
        check_show_file(Path(settings.show.file))


def without_missing(settings: Settings) -> Settings:
    """The settings of a show that starts again. A sound file, engine or show file that is missing or damaged by now is
    replaced by the default input, Ember or the shipped looks, with a warning each. Recordings and outputs find another
    folder themselves, or wait for their own."""
    for name, check, default in (
        ("sound", _check_audio, {"audio": ""}),
        ("engine", check_engine, {"name": "auto"}),
        ("show", _check_looks, {"file": ""}),
    ):
        section = getattr(settings, name)
        try:
            check(section)
        except (AudioError, EngineError, SettingsError, OSError) as error:  # the last one of a disk that fails
            log.warning(f"{first_line(error, 300)}; the show goes on without it")
            settings = settings.model_copy(update={name: section.model_copy(update=default)})
    return settings


def _check_looks(show: ShowSettings) -> None:
    """Raise SettingsError for a show file that cannot be read."""
    if show.file:
        path = Path(show.file)
        check_show_file(path)
        if path.exists():
            read_show(path)


def _check_audio(sound: SoundSettings) -> None:
    """Raise AudioError for a file that cannot be played."""
    if sound.audio:
        AudioFile(Path(sound.audio)).close()


def _check_sound(sound: SoundSettings) -> None:
    """As `_check_audio`, also for a fallback that is a file. A device is not checked: it may be connected later."""
    _check_audio(sound)
    if not sound.audio and names_a_file(sound.fallback):
        FileCapture(sound.fallback).close()


def _check_files(output: str, audio: str) -> None:
    """Raise DisplayError for a file of an `--output` that cannot be written."""
    for spec in parse_output(output):
        if spec.kind == "file":
            try:
                check_output(Path(spec.address), VIDEO, [Path(audio)] if audio else [])
            except DisplayError as error:
                raise DisplayError(f"--output {spec.name}: {error}") from error


def check_engine(engine: EngineSettings) -> None:
    """Raise EngineError for a name that no engine has. An existing file or folder is not read."""
    if engine.name != "auto" and not (engine.name and expanded(engine.name).exists()):
        resolve_engine(engine.name)


def check_source(snapshot: Snapshot) -> None:
    """Raise SourceError for a source that a render cannot use. A live show does not call it: a source may come
    later."""
    from tpos_live.image_source.player import OfflineSource

    with OfflineSource() as source:
        source.check(snapshot)
