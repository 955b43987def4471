"""A file as the fallback of a lost input."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.waiting import wait_until

from tpos_live.audio.file_capture import FileCapture, names_a_file
from tpos_live.audio.microphone import Microphone
from tpos_live.audio.source import RATE, AudioError


@pytest.mark.parametrize("text", ["a.wav", "set/groove.FLAC", "/x", "./x", "~/x.bin"])
def test_what_looks_like_a_path_is_a_file(text: str) -> None:
    assert names_a_file(text)


@pytest.mark.parametrize("text", ["", "mic", "2", "Scarlett 2i2", "USB Audio: - (hw:1,0)", "Line In/Out", "v1.5 mic"])
def test_the_name_of_an_input_is_no_path(text: str) -> None:
    assert not names_a_file(text)


def test_it_loops_at_the_pace_of_the_clock_without_a_gap(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.linspace(0.1, 0.9, 4_800), RATE, "FLOAT")
    capture = FileCapture(tmp_path / "a.wav")
    began = time.perf_counter()
    time.sleep(0.5)
    sound, took = capture.ring.read()[:, 0], time.perf_counter() - began
    assert capture.close() and not capture._thread.is_alive()
    assert len(sound) == pytest.approx(took * RATE, rel=0.3)
    wanted = np.resize(np.linspace(0.1, 0.9, 4_800, dtype=np.float32), len(sound))
    assert np.allclose(sound, wanted, atol=1e-6)


def test_a_fallback_that_is_no_sound_file_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    for name in ("a.wav", "none.wav"):
        with pytest.raises(AudioError, match=name), Microphone("desk", fallback=str(tmp_path / name)):
            pass


def test_a_decoder_that_fails_ends_the_capture_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, messages: list[str]
) -> None:
    """After the error the supervisor opens the fallback again."""
    soundfile.write(tmp_path / "a.wav", np.zeros(4_800), RATE, "FLOAT")
    capture = FileCapture(tmp_path / "a.wav")

    def fail(*_args: object, **_more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    assert wait_until(lambda: capture.finished)
    assert len(messages) == 1 and "a.wav" in messages[0] and "MemoryError" in messages[0]
    assert capture.close() and not capture._thread.is_alive()
