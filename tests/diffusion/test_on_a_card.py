"""Captured graphs on a card draw the same as eager code on a CPU; without a card the same code runs without graphs.

`python -m pytest tests/diffusion/test_on_a_card.py` is the first thing to run on a new kind of card.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fakes.tiny_engine import make_tiny_engine
from test_live_lora import FILES, attention, write_lora

from tpos_live.conditioning.conditioning import Conditioning, EditDirections, Regions
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends import cuda_graph
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.noise_field import NoiseField

SIZE = (64, 64)
CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
DEVICES = ["cpu", pytest.param("cuda", marks=CARD)]
TEXTS = ("blue sea", "fire", "rain at night")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small engine whose first LoRA is live."""
    live = [{"file": FILES[0], "weight": 1.0, "live": True}]
    folder = make_tiny_engine(tmp_path_factory.mktemp("card"), "sd-turbo", metadata={"guidance": True})
    write_lora(load_engine(folder, "cpu"), folder / FILES[0], 0, attention)
    return make_tiny_engine(folder, "sd-turbo", metadata={"guidance": True, "loras": live})


class Set:
    """A generator on a device, and pictures of moments of a set."""

    def __init__(self, folder: Path, device: str, recorded: bool) -> None:
        self.engine = load_engine(folder, device)
        self.generator = FrameGenerator(self.engine, SIZE, "eager", GeneratorOptions(threads=1))
        if recorded:
            self.generator.use(cuda_graph.load("cuda-graph", self.generator.request))
        self.generator.settle()
        rows = [self.engine.texts.encode(text).float() for text in TEXTS]
        self.tokens = torch.stack(
            [F.pad(states, (0, 0, 0, self.generator.prompt_length - len(states))) for states in rows]
        )

    def draw(self, frame_params: list[FrameParams], scenes: int = 1, sounds: int = 0, **parameters: Any) -> np.ndarray:
        """float [pictures, H, W, 3]; from noise alone, nothing of an earlier set."""
        self.generator.reset()
        snapshot = ParameterStore(parameters).snapshot()
        shared = Regions(self.tokens[:scenes], (1 / scenes,) * scenes) if scenes > 1 else None
        led = EditDirections(self.tokens[3 - sounds :], (1 / sounds,) * sounds, 1.0) if sounds else None
        drawn = [
            self.generator.generate(
                FrameRequest(params, Conditioning(self.tokens[0], regions=shared, edits=led), snapshot)
            ).pixels.copy()
            for params in frame_params
        ]
        return np.stack(drawn).astype(float)


def moments(**fields: Any) -> list[FrameParams]:
    return [FrameParams(time=n / 30, noise_position=n / 7, pan_x=n / 50, **fields) for n in range(4)]


CASES: dict[str, Callable[[Set], np.ndarray]] = {
    "one step": lambda show: show.draw(moments()),
    "four steps": lambda show: show.draw(moments(), steps=4),
    "two prompts": lambda show: show.draw(moments(), scenes=2),
    "three prompts": lambda show: show.draw(moments(), scenes=3, steps=2),
    "guidance": lambda show: show.draw(moments(guidance=2.0), steps=2),
    "a fade under guidance": lambda show: show.draw(moments(guidance=2.0), scenes=2),
    "two sounds lead": lambda show: show.draw(moments(audio_guidance=1.0), sounds=2),
    "from the last picture": lambda show: show.draw(moments(strength=0.6)),
    "a LoRA on its way": lambda show: show.draw([*moments(), *moments(loras=(0.0, 1.0, 1.0, 1.0))]),
}


@pytest.mark.parametrize("device", DEVICES)
def test_captured_frames_are_those_of_eager(folder: Path, device: str) -> None:
    plain, recorded = Set(folder, "cpu", recorded=False), Set(folder, device, recorded=True)
    most = 3.0 if device == "cpu" else 12.0  # half precision
    for name, case in CASES.items():
        expected, found = case(plain), case(recorded)
        assert expected.std() > 1 and len(np.unique(expected.reshape(len(expected), -1), axis=0)) == len(expected), name
        assert np.abs(expected - found).max() <= most, name
        assert np.abs(expected - found).mean() < most / 6, name


@pytest.mark.parametrize("device", DEVICES)
def test_a_captured_graph_uses_weights_that_changed_after_the_capture(folder: Path, device: str) -> None:
    show = Set(folder, device, recorded=True)
    first = show.draw(moments())
    gone = show.draw(moments(loras=(0.0, 1.0, 1.0, 1.0)) * 3)[-4:]
    show.draw(moments() * 3)
    assert np.abs(gone - first).max() > 8 and np.array_equal(show.draw(moments()), first)


@pytest.mark.parametrize("device", DEVICES)
def test_noise_is_the_same_wherever_it_is_made(device: str) -> None:
    plain, other = NoiseField(4, 36, 64), NoiseField(4, 36, 64, device=device)
    for n in range(200):
        seed, at = n // 80, (n * 0.037, n * 0.011, n * -0.007)
        expected, found = plain.at(seed, n // 100, *at), other.at(seed, n // 100, *at)
        other.look_ahead()
        assert float((expected - found.cpu()).abs().max()) < 1e-4


@CARD
def test_a_steady_show_asks_the_card_for_nothing(folder: Path) -> None:
    from tpos_live.bench.overhead import device_counts

    show = Set(folder, "cuda", recorded=True)
    snapshot = ParameterStore().snapshot()
    frame_params = [FrameParams(time=n / 60, noise_position=n / 60) for n in range(300)]
    counts = device_counts(
        lambda n: show.generator.generate(FrameRequest(frame_params[n], Conditioning(show.tokens[0]), snapshot)), 250
    )
    assert counts == {"allocations": 0.0, "driver_allocations": 0.0, "syncs": 0.0}
