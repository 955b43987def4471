"""The audio thread: its log lines, its sinks, and the same results for chunks of every size."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes.waiting import wait_until

from tpos_live.audio.demo import DEMO
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.files import read_audio
from tpos_live.audio.source import Chunk
from tpos_live.audio_encoder.load import open_encoder
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.control.beat_source import BeatSource, ClockPosition
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.director.memory import DirectorMemory
from tpos_live.runtime.audio_thread import AudioProcessor, AudioThread


def test_lines_about_the_sound_are_reported_once(tmp_path: Path, messages: list[str]) -> None:
    """Opposite phase and NaN samples, in a file that loops."""
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


def test_a_recording_that_fails_does_not_end_the_analysis(messages: list[str]) -> None:
    """The other outputs still get the sound."""
    heard: list[int] = []

    def fail(chunk: Chunk) -> None:
        raise OSError("the encoder is gone")

    processor = AudioProcessor(RuleBasedEncoder())
    sinks = {"the recording": fail, "the stream": lambda chunk: heard.append(len(chunk.stereo))}
    with AudioThread(FileSource(DEMO, mute=True), processor, ParameterStore(), sinks):
        assert wait_until(lambda: processor.features.time > 0.5)
    assert sum(heard) >= 24_000
    assert [line for line in messages if "encoder" in line] == [
        "the recording goes on after an error: the encoder is gone"
    ]


def test_nothing_depends_on_the_size_of_the_chunks() -> None:
    """Nor does the director, which gets the encoder's labels: 12 s of the demo's track, with its drop."""
    stereo = read_audio(DEMO, 12.0)
    snapshot = ParameterStore({"seed": 3}).snapshot()
    found = []
    for size in (480, 1600, 9600, len(stereo)):
        processor = AudioProcessor(open_encoder()[0])
        seen: dict[float, FrameParams] = {}
        for first in range(0, len(stereo), size):
            piece = stereo[first : first + size]
            processor.process(Chunk(piece.mean(axis=1), piece, captured_at=0.0), snapshot)
            seen[processor.params.time] = processor.params
        found.append(seen)
    assert any(params.direction.scene for params in found[0].values())
    for seen in found[1:]:
        assert all(found[0][now] == params for now, params in seen.items())


class _Clock:
    """A clock of another program at 90 BPM."""

    name = "Link"

    def position(self, at: float) -> ClockPosition:
        return ClockPosition(90.0, 1.5 * at)


def test_a_clock_and_a_resumed_position_reach_the_modulation() -> None:
    processor = AudioProcessor(RuleBasedEncoder(), beat_source=BeatSource((_Clock(),)))
    snapshot = ParameterStore().snapshot()
    motion = {"noise_position": 7.5, "pan_x": 1.0, "pan_y": 2.0, "zoom_steady": 3.0}
    processor.resume(motion, DirectorMemory(), snapshot)
    beats = []
    for n in range(1, 201):  # 2 s
        silence = np.zeros((480, 2), np.float32)
        processor.process(Chunk(silence[:, 0], silence, captured_at=10.0 + n / 100), snapshot)
        beats.append(processor.features.beats)
    params = processor.params
    assert 7.5 <= params.noise_position < 9.0 and params.zoom_steady == 3.0
    assert (processor.features.tempo, processor.features.confidence) == (90.0, 1.0)
    assert beats[-1] - beats[0] == 3 and processor.features.bar_phase == pytest.approx(18.0 / 4 % 1.0)
