"""A render to hard, fast kicks, by the parts of a real show, flashes at most three times in any second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_flash_limiter import FPS, flashes

from tpos_live.audio.source import RATE
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.flash_limiter import luminance
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.pipeline import Pipeline

BPM = 180.0
SIZE = (128, 72)
EVERYTHING = {f"map.{drum}.{target}": 2.0 for drum in ("kick", "onset") for target in ("light", "speed")}
HARD = {
    **EVERYTHING, "map.kick.bloom": 1.0, "map.kick.intensity": 1.0, "map.kick.zoom": 0.5, "audio.sensitivity": 4.0,
    "seed": 7,
}  # fmt: skip


def hard_kick(seconds: float) -> np.ndarray:
    """A kick with a click on every beat, at full scale: float32 [n, 2]."""
    since = np.arange(round(seconds * RATE)) / RATE % (60.0 / BPM)
    noise = np.random.default_rng(0).standard_normal(len(since))
    body = np.exp(-since / 0.1) * np.sin(2 * np.pi * (50 * since + 4 * (1 - np.exp(-since / 0.03))))
    mono = np.clip(body + 0.3 * noise * np.exp(-since / 0.004), -1.0, 1.0)
    return np.repeat(mono[:, None], 2, axis=1).astype(np.float32)


def shown(values: dict[str, float], seconds: float) -> np.ndarray:
    """Relative luminance [pictures, h, w] of a render."""
    settings = load_settings(
        {
            "engine.name": "ember",
            "engine.size": "128",
            "engine.threads": 1,
            "engine.accelerator": "eager",
            "parameters.prompt": "fireworks",
        },
        here=Path("/nowhere"),
    )
    snapshot = ParameterStore({**settings.start_values(), "out.inbetween": False, **values}).snapshot()
    compositor, interpolator, out = CpuCompositor(SIZE), FrameInterpolator(SIZE), []
    with Pipeline(settings, live=False) as pipeline:
        audio_processor = AudioProcessor(pipeline.encoder)
        for params in analyze_frames(audio_processor, snapshot, hard_kick(seconds), FPS):
            frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=params.time)
            interpolator.take(frame)
            display_frame = interpolator.display_frame(params.time, params, snapshot)
            out.append(
                luminance(
                    compositor.compose(display_frame.postfx, display_frame.newest, display_frame.previous) / 255.0
                )
            )
    return np.array(out)


COARSE = pytest.mark.xfail(reason="the limiter sees means over a twelfth of the frame, not texture that moves in them")
"""With seed 0 there are three flashes by chance, with seed 7 four."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "values", [pytest.param({}, id="default map"), pytest.param(HARD, id="everything up", marks=COARSE)]
)
def test_a_hard_kick_at_180_bpm_never_flashes_more_than_three_times_a_second(values: dict[str, float]) -> None:
    frames_shown = shown(values, 5.0)
    assert frames_shown.std(axis=0).mean() > 1e-3, "the picture moves"
    assert flashes(frames_shown) <= 3
