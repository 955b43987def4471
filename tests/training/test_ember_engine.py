"""The engine in the box: complete, small, and it draws what its families say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.metadata import read_metadata
from tpos_live.evaluation.classifier.model import load_classifier
from tpos_live.evaluation.harness.sampler import SamplerHarness, as_tensor
from tpos_live.scenes.families import FAMILIES
from tpos_live.training.image_model.export import SIZES
from tpos_live.training.image_model.recipe import PLAIN, SCALARS
from tpos_live.training.text.captions import PHRASES
from tpos_live.training.text.families_file import read_families

ENGINE = Path(__file__).parents[2] / "engines" / "ember"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def harness() -> SamplerHarness:
    return SamplerHarness(load_engine(ENGINE, "cpu"), "eager")


def draw(harness: SamplerHarness, prompt: str, seed: int = 1, steps: int = 1) -> np.ndarray:
    noise = harness.noise(torch.Generator().manual_seed(seed))
    return harness.draw(harness.engine.texts.encode(prompt), PLAIN, noise, steps)


def test_the_folder_is_complete_and_small() -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert (ENGINE / part).is_dir(), part
    files = [path for path in ENGINE.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= 30 * MEGABYTE for path in files)
    assert sum(path.stat().st_size for path in files) <= 64 * MEGABYTE
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".toml", ".txt"}


def test_it_says_what_it_is() -> None:
    metadata = read_metadata(ENGINE)
    assert metadata.name == "ember" and set(metadata.sizes) <= set(SIZES)
    assert metadata.unet_inputs is not None and metadata.scalars == list(SCALARS)
    offered, trained = read_families(ENGINE)
    assert len(offered) >= 4 and set(offered) <= set(trained) <= set(FAMILIES)


def test_each_family_that_it_offers_is_drawn(harness: SamplerHarness) -> None:
    classifier, _ = load_classifier(ENGINE)
    offered = read_families(ENGINE).offered
    frames = [draw(harness, PHRASES[name][0], seed) for name in offered for seed in (1, 2)]
    with torch.inference_mode():
        logits = classifier(as_tensor(frames))
    named = [classifier.families[at] for at in logits.argmax(1).tolist()]
    right = [found == name for found, name in zip(named, [name for name in offered for _ in (1, 2)], strict=True)]
    assert np.mean(right) >= 0.9, list(zip(offered, named[::2], named[1::2], strict=True))


def test_any_number_of_its_steps_draws(harness: SamplerHarness) -> None:
    for steps in harness.engine.metadata.steps:
        assert draw(harness, "neon jellyfish", steps=steps).std() > 5


@pytest.mark.parametrize("prompt", ["", "x" * 10_000, "海と空", "🔥🔥🔥"])
def test_any_prompt_gives_an_image(harness: SamplerHarness, prompt: str) -> None:
    assert draw(harness, prompt).std() > 5


def test_two_prompts_share_an_image(harness: SamplerHarness) -> None:
    """Each covers a part of it: in the mean of six images a place is nearer to the one or to the other."""
    fire, ocean = (harness.engine.texts.encode(text) for text in ("fire", "calm ocean"))
    covered = []
    for seed in range(6):
        noise = harness.noise(torch.Generator().manual_seed(seed))
        ends = [harness.draw(states, PLAIN, noise).astype(float) for states in (fire, ocean)]
        both = harness.blend([(fire, 0.5), (ocean, 0.5)], PLAIN, noise).astype(float)
        nearer = [np.abs(both - end).mean(2) for end in ends]
        covered.append((nearer[0] < nearer[1]).mean())
    assert 0.25 < np.mean(covered) < 0.75, covered


def test_its_sizes_draw() -> None:
    engine = load_engine(ENGINE, "cpu")
    for size in engine.metadata.sizes:
        image = draw(SamplerHarness(engine, "eager", size), "ocean")
        assert image.shape == (size[1], size[0], 3) and image.std() > 5
