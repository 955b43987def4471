from __future__ import annotations

import subprocess
import sys

from tpos_live.audio.demo import DEMO
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.open import open_source
from tpos_live.audio.source import SourceState
from tpos_live.core.settings import SoundSettings


def test_a_session_gets_the_source_of_its_settings() -> None:
    assert isinstance(open_source(SoundSettings()), Microphone)
    assert isinstance(open_source(SoundSettings(device="3", channels=[1])), Microphone)
    assert isinstance(open_source(SoundSettings(audio="a.wav")), FileSource)
    demo = open_source(SoundSettings(audio="a.wav"), demo=True)
    assert isinstance(demo, FileSource) and demo.status(0.0).name == "demo.ogg"


def test_the_demo_is_there_and_plays() -> None:
    assert DEMO.exists() and DEMO.with_suffix(".json").exists()
    with open_source(SoundSettings(mute=True), demo=True) as sound:
        sound.pull(0.0)
        chunk = sound.pull(0.05)
        assert chunk is not None and len(chunk.mono) == 2400 and chunk.mono.any()
        assert sound.status(0.05).state is SourceState.RUNNING


def test_nothing_heavy_is_imported_before_a_source_is_entered() -> None:
    """File and demo must work without PortAudio, and `--help` must be quick."""
    code = (
        "import sys; from tpos_live.audio.open import open_source; from tpos_live.core.settings import SoundSettings;"
        "open_source(SoundSettings()); open_source(SoundSettings(), demo=True);"
        "assert not {'sounddevice', 'torch', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
