"""A live show on a CPU: each frame computes one row of the UNet's batch, and reuses the others of earlier frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_tiny_engine
from test_generator import START, prompt

from tpos_live.conditioning.conditioning import Conditioning, Regions
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

LIVE = GeneratorOptions(threads=1, in_turn=True)
STEP = 0.03
"""Seconds between two frames."""


@pytest.fixture(scope="module", params=["flow", "sd-turbo"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(make_tiny_engine(tmp_path_factory.mktemp("engine"), request.param), "cpu")


class Drawn:
    """Draws frames of two prompts, and counts the rows of the UNet of each."""

    def __init__(self, engine: Engine, options: GeneratorOptions = LIVE) -> None:
        self.generator = FrameGenerator(engine, (64, 64), "eager", options)
        self.rows = 0
        self._predict = self.generator.backend.predict
        self.generator.backend.predict = self._counted  # type: ignore[method-assign]

    def _counted(self, latent: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        self.rows += len(latent)
        return self._predict(latent, *rest)

    def frame(self, params: FrameParams, second: float, texts: str = "red sun,blue sea", steps: int = 1) -> np.ndarray:
        """second: weight of the last prompt; the others share the rest."""
        self.rows = 0
        tokens = torch.stack([prompt(self.generator.engine, self.generator, text) for text in texts.split(",")])
        rest = len(tokens) - 1
        regions = Regions(tokens, (*[(1 - second) / rest] * rest, second)) if rest else None
        snapshot = ParameterStore({"steps": steps}).snapshot()
        request = FrameRequest(params, Conditioning(tokens[0], regions=regions), snapshot)
        return self.generator.generate(request).pixels.copy()


def at(n: int, moved: float = 0.0) -> FrameParams:
    return replace(START, time=START.time + n * STEP, noise_position=START.noise_position + n * moved)


def test_a_fade_draws_one_row_a_frame(engine: Engine) -> None:
    live = Drawn(engine)
    counts = []
    for n in range(20):
        live.frame(at(n), (n + 1) / 21)
        counts.append(live.rows)
    assert counts == [1] * 20
    rest = Drawn(engine, GeneratorOptions(threads=1))
    rest.frame(at(0), 0.5)
    assert rest.rows == 2, "frames that are rendered offline depend on their own moment alone"


def test_a_fade_begins_with_the_picture_of_the_prompt_that_goes(engine: Engine) -> None:
    """However much of the picture the new prompt has in its first frame, that frame draws one row, as all others."""
    live, whole = Drawn(engine), Drawn(engine, GeneratorOptions(threads=1))
    for n, second in enumerate((0.0, 0.0, 0.2, 0.24)):
        texts = "red sun,blue sea" if second else "red sun"
        found, expected = live.frame(at(n), second, texts), whole.frame(at(n), second, texts)
        assert live.rows == 1
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_new_prompt_that_is_seen_at_once_leaves_nothing_to_the_picture_before(engine: Engine) -> None:
    live, whole = Drawn(engine), Drawn(engine, GeneratorOptions(threads=1))
    live.frame(at(0), 1.0, "fog")
    found, expected = live.frame(at(1), 0.5), whole.frame(at(1), 0.5)
    assert live.rows == 2
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_three_rows_take_turns_too(engine: Engine) -> None:
    live = Drawn(engine)
    counts = []
    for n in range(7):
        live.frame(at(n), 0.3, "red sun,blue sea,fog")
        counts.append(live.rows)
    assert counts == [3, *[1] * 6]


def test_what_stands_still_is_drawn_as_if_all_rows_were(engine: Engine) -> None:
    live, whole = Drawn(engine), Drawn(engine, GeneratorOptions(threads=1))
    for n, second in enumerate((0.4, 0.4, 0.45, 0.5, 0.6)):
        found, expected = live.frame(at(n), second), whole.frame(at(n), second)
        assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_moving_frame_is_no_further_off_than_its_own_step(engine: Engine) -> None:
    """The other row's part is that of the frame before: its picture, not its prediction with another noise."""
    live, whole = Drawn(engine), Drawn(engine, GeneratorOptions(threads=1))
    before = None
    for n in range(8):
        found, expected = (drawn.frame(at(n, 0.02), 0.5).astype(float) for drawn in (live, whole))
        if before is not None:
            assert np.abs(found - expected).mean() <= np.abs(expected - before).mean()
        before = expected


def test_a_cut_in_a_fade_draws_the_row_that_has_most_of_the_picture(engine: Engine) -> None:
    """The other one is that of the frame before, and has its turn next: a cut cost two rows, 1.7 times as long."""
    for second in (0.3, 0.7):
        live, whole = Drawn(engine), Drawn(engine, GeneratorOptions(threads=1))
        for n in range(3):
            before = live.frame(at(n), second).astype(int)
        cut = [replace(at(n), cut_index=START.cut_index + 1) for n in (3, 4)]
        first, then = live.frame(cut[0], second).astype(int), live.frame(cut[1], second).astype(int)
        assert live.rows == 1
        expected = [whole.frame(params, second).astype(int) for params in cut]
        assert np.abs(first - expected[0]).mean() < 0.6 * np.abs(before - expected[0]).mean()
        assert np.abs(then - expected[1]).max() <= 1


def test_a_cut_where_no_row_has_most_of_the_picture_draws_all(engine: Engine) -> None:
    live, texts = Drawn(engine), "red sun,blue sea,fog"
    for n in range(3):
        live.frame(at(n), 0.4, texts)
    live.frame(replace(at(3), cut_index=START.cut_index + 1), 0.4, texts)
    assert live.rows == 3


@pytest.mark.parametrize(
    "why", ["a pause", "a jump back", "one prompt between", "another count", "another fade", "reset"]
)
def test_all_rows_are_drawn_where_the_frames_before_are_of_no_use(engine: Engine, why: str) -> None:
    live = Drawn(engine)
    for n in range(3):
        live.frame(at(n), 0.5)
    assert live.rows == 1
    params, second, texts = at(3), 0.5, "red sun,blue sea"
    if why == "a pause":
        params = at(30)
    elif why == "a jump back":
        params = at(1)
    elif why == "one prompt between":
        live.frame(at(3), 1.0, "red sun")
    elif why == "another count":
        texts = "red sun,blue sea,fog"
    elif why == "another fade":  # the prompt of the first row is gone
        live.frame(at(3), 0.75)
        live.frame(at(4), 0.95)
        params, second, texts = at(5), 0.15, "blue sea,fog"
    else:
        live.generator.reset()
    live.frame(params, second, texts)
    assert live.rows == texts.count(",") + 1


def test_frames_of_several_steps_draw_all_rows(engine: Engine) -> None:
    live = Drawn(engine)
    for n in range(3):
        live.frame(at(n), 0.5, steps=2)
        assert live.rows == 4


def test_a_damaged_frame_leaves_nothing_behind(engine: Engine) -> None:
    live = Drawn(engine)
    for n in range(3):
        live.frame(at(n), 0.5)
    predict = live.generator.backend.predict
    live.generator.backend.predict = lambda *given: predict(*given) * float("nan")  # type: ignore[method-assign]
    with pytest.raises(Exception, match="not finite"):
        live.frame(at(3), 0.5)
    live.generator.backend.predict = predict  # type: ignore[method-assign]
    live.frame(at(4), 0.5)
    assert live.rows == 2
