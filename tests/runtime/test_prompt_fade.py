"""A change of the prompt, in pixels: Ember fades between prompts without a jump."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings import EngineSettings, Settings
from tpos_live.runtime.pipeline import Pipeline

FPS = 20
FADE = 2.0


@pytest.mark.slow
@pytest.mark.parametrize("interrupted_at", [None, 1.0])
def test_no_step_of_a_fade_stands_out(interrupted_at: float | None) -> None:
    """The frame changes most in the middle; a step much larger than its neighbours is seen as a cut."""
    settings = Settings(engine=EngineSettings(accelerator="eager", size="256"))
    store = ParameterStore({"prompt": "fire", "prompt.fade": FADE})
    images = []
    with Pipeline(settings, live=False) as pipeline:
        for n in range(int((FADE + (interrupted_at or 0.0)) * FPS) + 3):
            params = FrameParams(time=n / FPS, noise_position=1.0, intensity=0.5)
            frame = pipeline.draw(params, None, store.snapshot(), n / FPS)
            assert frame is not None
            images.append(frame.pixels.astype(np.float32))
            if n == 0:
                store.set("prompt", "ocean")
            elif n / FPS == interrupted_at:
                store.set("prompt", "nebula")
    steps = np.sort([np.abs(after - before).mean() for before, after in pairwise(images)])
    assert np.abs(images[-1] - images[0]).mean() > 20
    assert steps[-1] < 1.5 * steps[-3]
