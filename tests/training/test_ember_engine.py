"""The engine in the box: complete, small, loaded by stock classes, and it draws."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from tpos_live.diffusion.model.metadata import read_metadata
from tpos_live.training.image_model.export import SIZES
from tpos_live.training.image_model.recipe import SCALARS
from tpos_live.training.scenes.families import FAMILIES

ENGINE = Path(__file__).parents[2] / "engines" / "ember"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def pipeline():  # type: ignore[no-untyped-def]
    from diffusers import StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(ENGINE)
    made.set_progress_bar_config(disable=True)
    return made


def test_the_folder_is_complete_and_small() -> None:
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        assert (ENGINE / part).is_dir(), part
    files = [path for path in ENGINE.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= 20 * MEGABYTE for path in files)
    assert sum(path.stat().st_size for path in files) <= 32 * MEGABYTE
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".toml", ".txt"}


def test_it_says_what_it_is() -> None:
    metadata = read_metadata(ENGINE)
    assert metadata.name == "ember" and set(metadata.sizes) <= set(SIZES)
    assert [scalar for scalar in SCALARS if scalar in metadata.scalars] == metadata.scalars
    families = tomllib.loads((ENGINE / "families.toml").read_text(encoding="utf-8"))["families"]
    assert len(families) >= 12 and set(families) <= set(FAMILIES)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_stock_diffusers_draws_from_text_alone(pipeline, steps: int) -> None:  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(1)
    image = pipeline(
        "neon jellyfish", height=256, width=256, num_inference_steps=steps, guidance_scale=0,
        generator=generator, output_type="pt",
    ).images  # fmt: skip
    assert image.shape == (1, 3, 256, 256) and image.isfinite().all() and image.std() > 0.02


@pytest.mark.parametrize("prompt", ["", "x" * 10_000, "海と空", "🔥🔥🔥"])
def test_any_prompt_gives_a_picture(pipeline, prompt: str) -> None:  # type: ignore[no-untyped-def]
    image = pipeline(prompt, height=64, width=64, num_inference_steps=1, guidance_scale=0, output_type="pt").images
    assert image.isfinite().all()


def test_a_wide_size_draws(pipeline) -> None:  # type: ignore[no-untyped-def]
    image = pipeline("ocean", height=256, width=448, num_inference_steps=1, guidance_scale=0, output_type="pt").images
    assert image.shape == (1, 3, 256, 448) and image.isfinite().all()


def test_image_to_image_runs(pipeline) -> None:  # type: ignore[no-untyped-def]
    from diffusers import StableDiffusionImg2ImgPipeline

    other = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    image = other("fire", image=torch.rand(1, 3, 128, 128), strength=0.5, num_inference_steps=2, guidance_scale=0,
                  output_type="pt").images  # fmt: skip
    assert image.shape == (1, 3, 128, 128) and image.isfinite().all()
