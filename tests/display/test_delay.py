"""The measured latency from the newest sound to the shown frame, with the clock passed in; and its use for the beat."""

from __future__ import annotations

import numpy as np
import pytest

from tpos_live.audio.source import Chunk
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.display.pacing import STALE, ShownMeter
from tpos_live.runtime.audio_thread import AudioProcessor


def test_the_delay_is_that_of_what_is_shown() -> None:
    meter = ShownMeter()
    assert meter.delay == 0.0
    for k in range(120):
        meter.note(10.0 + k / 60, None, heard_at=9.96 + k / 60 + (k % 3 - 1) * 0.005)
    assert meter.delay == pytest.approx(0.04, abs=0.003)


def test_no_sound_and_sound_that_hangs_say_nothing() -> None:
    meter = ShownMeter()
    meter.note(5.0, None)
    assert meter.delay == 0.0
    meter.note(5.0, None, heard_at=4.97)
    for k in range(100):
        meter.note(5.0 + STALE + k / 60, None, heard_at=4.97)
    assert meter.delay == pytest.approx(0.03)


def test_the_audio_processor_moves_beats_ahead_by_the_delay() -> None:
    snapshot = ParameterStore({"tempo": 120.0, "map.beat.zoom": 0.1}).snapshot()

    def peak(delay: float) -> int:
        audio_processor = AudioProcessor(RuleBasedEncoder(), delay=lambda: delay)
        zooms = []
        for hop in range(400):
            audio_processor.process(
                Chunk(np.zeros(480, np.float32), np.zeros((480, 2), np.float32), 0.01 * hop), snapshot
            )
            zooms.append(audio_processor.params.zoom)
        return int(np.argmax(zooms[-50:]))

    assert (peak(0.0) - peak(0.12)) % 50 == 12
