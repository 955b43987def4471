"""A slow encoder gets a cheaper preset, then a lower frame rate; and more work again when it has time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tpos_live.display.encoder_presets import EncoderController
from tpos_live.display.recorder import Recorder


def run(
    steps: EncoderController, seconds: float, took: Callable[[EncoderController], float], start: float = 0.0
) -> list[str]:
    """Frames as an encoder gets them that takes `took` seconds for one; the lines that were said."""
    said, now, owed = [], start, 0.0
    while now < start + seconds:
        busy, period = took(steps), steps.every / steps.fps
        now += max(busy, period)
        owed += max(busy / period - 1.0, 0.0)
        steps.note(busy, int(owed))
        owed %= 1.0
        said.append(steps.decide(now))
    return [line for line in said if line]


def test_an_encoder_in_time_is_left_alone() -> None:
    steps = EncoderController(30.0)
    assert run(steps, 300, lambda s: 0.03) == []
    assert (steps.preset, steps.every) == ("superfast", 1)


def test_a_cheaper_preset_is_enough() -> None:
    steps = EncoderController(30.0)
    said = run(steps, 120, lambda s: 0.05 if s.preset == "superfast" else 0.02)
    assert (steps.preset, steps.every) == ("ultrafast", 1)
    assert len(said) == 1 and "50 ms a frame" in said[0] and "ultrafast" in said[0]


def test_after_the_cheapest_preset_the_frame_rate_is_lowered() -> None:
    steps = EncoderController(30.0)
    said = run(steps, 60, lambda s: 0.06)
    assert steps.every == 2 and len(said) == 2 and "15 frames per second" in said[1]
    steps = EncoderController(30.0)
    run(steps, 120, lambda s: 0.5)
    assert steps.fps / steps.every == 5.0


def test_a_little_too_slow_keeps_the_rate_and_is_said_once_a_minute() -> None:
    steps = EncoderController(30.0)
    said = run(steps, 130, lambda s: 0.037)
    assert steps.every == 1 and len(said) == 4 and "27.0 per second" in said[1] and "\n" not in "".join(said)


def test_after_a_hiccup_all_comes_back_and_a_failed_attempt_waits_longer() -> None:
    steps = EncoderController(30.0)
    run(steps, 12, lambda s: 0.1)
    assert steps.every > 1
    run(steps, 200, lambda s: 0.012 if s.preset == "superfast" else 0.006, start=12.0)
    assert (steps.preset, steps.every) == ("superfast", 1)
    steps = EncoderController(30.0)
    said = run(steps, 600, lambda s: 0.05 if s.preset == "superfast" else 0.01)
    assert 3 <= len(said) <= 6, "30, 60, 120 … seconds between attempts"


def test_where_the_preset_cannot_change_the_rate_does() -> None:
    steps = EncoderController(30.0)
    steps.keep_preset()
    assert "15 frames" in run(steps, 10, lambda s: 0.06)[0] and steps.preset == "superfast"


def test_the_status_says_that_frames_are_left_out() -> None:
    recorder = Recorder(Path("a.mp4"))
    assert recorder.line == "recording 0 fps"
    recorder._steps.every = 2
    assert recorder.line == "recording 0 of 30 fps"
