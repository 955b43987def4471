"""The listener's thread tells what the source has to say."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import soundfile

from tpos_live.audio.file_source import FileSource
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.runtime.audio_thread import AudioProcessor, AudioThread


def test_lines_about_the_sound_are_reported_once(tmp_path: Path, messages: list[str]) -> None:
    """Opposite phase and samples that are no numbers, in a file that loops."""
    samples = np.random.default_rng(0).normal(0, 0.1, (48_000, 1)).astype(np.float32) * np.array([1, -1], np.float32)
    samples[100] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    sound = FileSource(tmp_path / "a.wav", loop=True, mute=True)
    audio_processor = AudioProcessor(RuleBasedEncoder())
    with AudioThread(sound, audio_processor, ParameterStore()) as thread:
        deadline = time.perf_counter() + 20
        while len(messages) < 2 and time.perf_counter() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        assert thread.error is None
    assert len(messages) == 2
    assert "no numbers" in messages[0] and "opposite in phase" in messages[1]
    assert audio_processor.features.level > 0, "it is heard"
