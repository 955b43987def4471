from __future__ import annotations

import subprocess
import sys

import pytest

from tpos_live.audio.demo import DEMO
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.open import open_source
from tpos_live.audio.source import AudioError, SourceState


def test_each_wish_gets_its_source() -> None:
    assert isinstance(open_source(), Microphone)
    assert isinstance(open_source(device=3, channels=(1,)), Microphone)
    assert isinstance(open_source(audio="a.wav"), FileSource)
    assert isinstance(open_source(demo=True), FileSource)


@pytest.mark.parametrize(
    "wish", [{"device": 1, "audio": "a.wav"}, {"demo": True, "audio": "a"}, {"device": 0, "demo": True}]
)
def test_two_wishes_at_once_are_refused(wish: dict) -> None:
    with pytest.raises(AudioError, match="one source at a time"):
        open_source(**wish)


def test_the_demo_is_there_and_plays() -> None:
    assert DEMO.exists() and DEMO.with_suffix(".json").exists()
    with open_source(demo=True, mute=True) as sound:
        sound.pull(0.0)
        chunk = sound.pull(0.05)
        assert chunk is not None and len(chunk.mono) == 2400 and chunk.mono.any()
        assert sound.status(0.05).state is SourceState.RUNNING and sound.status(0.05).rate == 48_000


def test_nothing_heavy_is_imported_before_a_source_is_entered() -> None:
    """File and demo must work without PortAudio, and `--help` must be quick."""
    code = (
        "import sys; from tpos_live.audio.open import open_source; open_source(); open_source(demo=True);"
        "assert not {'sounddevice', 'torch', 'scipy'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
