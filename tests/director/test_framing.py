"""Shots: the frame stays inside the image, and only cuts jump."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tpos_live.core.direction import SECTIONS
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.director.framing import LARGEST, Framing, Shot, draw
from tpos_live.display.postfx import postfx_params
from tpos_live.display.tone_mapping import place_image


@pytest.mark.parametrize("prompted", [True, False])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_shot_stays_in_its_image(section: str, prompted: bool) -> None:
    rng, shot = random.Random(1), Shot()
    for _ in range(200):
        before, shot = shot, draw(section, shot, rng, prompted=prompted)
        reach = 0.5 * shot.zoom / (1 + shot.zoom)
        assert 0 <= shot.zoom <= LARGEST and abs(shot.x) <= reach + 1e-9 and abs(shot.y) <= reach + 1e-9
        assert shot.x * before.x <= 0, "from one side to the other"


def test_an_ease_has_no_jump_and_a_cut_is_at_once() -> None:
    framing = Framing()
    framing.take(Shot(zoom=0.3, x=0.1), 2.0)
    zooms = [framing.step().zoom for _ in range(250)]
    assert max(abs(b - a) for a, b in pairwise(zooms)) < 0.005
    assert zooms[-1] == pytest.approx(0.3)
    framing.take(Shot(), 0.0)
    assert framing.step().zoom == 0.0


def test_a_push_never_leaves_its_limits() -> None:
    for push in (0.05, -0.05):
        framing = Framing()
        framing.take(Shot(zoom=0.2, push=push), 0.0)
        zooms = [framing.step().zoom for _ in range(6000)]
        assert min(zooms) >= 0 and max(zooms) <= LARGEST


def test_the_place_moves_what_is_shown() -> None:
    """A shift to the right by a tenth of the image moves the frame's centre a tenth to the right."""
    snapshot = ParameterStore().snapshot()
    params = FrameParams(zoom=0.3)
    middle = place_image(postfx_params(params, snapshot, None, None, 0.0, 0.0), (256, 256), (512, 512))
    from dataclasses import replace

    moved = replace(params, direction=replace(params.direction, x=0.1, y=-0.05))
    placed = place_image(postfx_params(moved, snapshot, None, None, 0.0, 0.0), (256, 256), (512, 512))
    assert placed.shift[0] - middle.shift[0] == pytest.approx(0.1)
    assert placed.shift[1] - middle.shift[1] == pytest.approx(-0.05)
    assert placed.matrix == middle.matrix
