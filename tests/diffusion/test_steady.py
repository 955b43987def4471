"""The steady state: frames leave nothing behind in Python, and nothing moves.

CPython itself remembers up to 4,096 attribute names that were looked up last (its type cache). Each call from C by a
name, such as torch asking a list for `__dlpack__`, brings a new copy of it, so that tracemalloc shows
some hundred bytes a frame in torch's and our lines alike until the cache is full, at a quarter of a megabyte. Free
lists of tuples and floats do the same. Both are emptied before each count here: what is left is ours.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.bench.overhead import NullBackend
from tpos_live.conditioning.audio_conditioner import PhraseBankConditioner
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.frame import Frame
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.mailbox import Mailbox
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends.cuda_graph import networks
from tpos_live.diffusion.backends.eager import EagerBackend
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine
from tpos_live.diffusion.sampling.captured import CapturedPipeline
from tpos_live.diffusion.sampling.sampler import FrameConditioning, SamplerInputs
from tpos_live.runtime.render_thread import RenderThread

SIZE = (64, 64)
LEAST = (16, 16)
WARM_UP = 400
"""Frames until our own caches are full: keyframes of the noise, the pool of frames."""
FRAMES = 250
"""Frames of each of two counts."""
MOST = 1000
"""Bytes that so many frames may leave: less than one small object for every tenth of them."""


def grown(draw: Callable[[int], object], warm_up: int = WARM_UP, count: int = FRAMES) -> int:
    """Bytes of Python's memory that `count` frames leave behind, after `warm_up` of them.

    The smaller of two counts, one after the other: what grows with frames is in both, what some library or an
    older thread of the test process does once is in one.
    """

    def held() -> int:
        gc.collect()
        sys._clear_type_cache()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        for n in range(warm_up):
            draw(n)
        counts = [held()]
        for begin in (warm_up, warm_up + count):
            for n in range(begin, begin + count):
                draw(n)
            counts.append(held())
        return min(counts[1] - counts[0], counts[2] - counts[1])
    finally:
        tracemalloc.stop()


class Turns:
    """The render thread's own work, frame by frame, with sound that changes all the time."""

    def __init__(self, engine: Engine, strength: float, steps: int, hollow: bool = True) -> None:
        self.generator = FrameGenerator(engine, SIZE, "eager", GeneratorOptions(threads=1))
        if hollow:
            self.generator.use(NullBackend(1))
        texts = TextCache(engine.texts.encode, synchronous=True)
        heard = PhraseBankConditioner(("fire", "rain"), engine.texts.encode_all, engine.metadata.audio_tokens)
        self.frames: Mailbox[Frame] = Mailbox()
        self.embeddings: Mailbox[AudioEmbedding] = Mailbox()
        store = ParameterStore({"steps": steps})
        builder = ConditioningBuilder(
            PromptBank(texts), heard, DirectedScene(texts), self.generator.prompt_length, engine.trained_with_audio
        )
        self._thread = RenderThread(self.generator, builder, Mailbox(), self.embeddings, store, self.frames)
        self._strength = strength
        self.pixels: set[int] = set()

    @torch.inference_mode()
    def draw(self, n: int) -> None:
        now, turn = n / 30, n / 50
        vector = np.array([np.cos(turn) ** 2, np.sin(turn) ** 2], np.float32)
        self.embeddings.put(AudioEmbedding(vector=vector, density=0.8, time=now))
        self._thread._draw(
            FrameParams(
                time=now, noise_position=now, pan_x=n / 500, audio_weight=0.7, intensity=0.5, strength=self._strength
            )
        )
        frame = self.frames.take()
        assert frame is not None
        self.pixels.add(frame.pixels.ctypes.data)

    def addresses(self) -> dict[str, int]:
        """Of every buffer that the generator and its loop hold."""
        parts = (
            self.generator.conditioner,
            self.generator._eager,
            self.generator._eager._loop._state,
            self.generator._feedback,
        )
        found = {f"{type(part).__name__}.{name}": value for part in parts for name, value in vars(part).items()}
        return {name: value.data_ptr() for name, value in found.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize(("name", "strength", "steps"), [("flow", 0.6, 2), ("turbo", 1.0, 1)])
def test_frames_leave_nothing_behind(request: pytest.FixtureRequest, name: str, strength: float, steps: int) -> None:
    """Everything that the render thread does for a frame, except the networks."""
    turns = Turns(request.getfixturevalue(name), strength, steps)
    turns.draw(0)
    addresses = turns.addresses()
    assert len(addresses) > 6
    assert grown(turns.draw) < MOST
    assert turns.addresses() == addresses and len(turns.pixels) == 6


def test_an_object_that_stays_each_frame_is_noticed() -> None:
    """The same count, of a loop that keeps one number a frame."""
    kept: list[float] = []
    assert grown(lambda n: kept.append(n / 7)) > 5 * MOST


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_networks_leave_nothing_behind(flow: Engine, small: Engine) -> None:
    """The render thread with the networks, and a captured pipeline."""
    turns = Turns(flow, 1.0, 1, hollow=False)
    eager = turns.generator.backend
    assert isinstance(eager, EagerBackend)
    turns.generator.use(NullBackend(1))  # what fills in WARM_UP frames is not the networks'
    turns.draw(0)
    held = turns.addresses()

    def draw(n: int) -> None:
        if n == WARM_UP:
            turns.generator.use(eager)
        turns.draw(n)

    assert grown(draw, warm_up=WARM_UP + 20) < MOST
    assert turns.addresses() == held and len(turns.pixels) == 6
    whole, plan = CapturedPipeline(BackendRequest(small, LEAST, 81), *networks(small)), small.schedule.plan(1)
    noise, tokens = torch.randn_like(whole.latent), torch.randn(1, 81, small.token_dim)
    addresses = whole.latent.data_ptr(), whole.pixels.data_ptr()
    assert grown(lambda _n: whole.draw(SamplerInputs(plan, noise, FrameConditioning(tokens))), warm_up=20) < MOST
    assert (whole.latent.data_ptr(), whole.pixels.data_ptr()) == addresses
