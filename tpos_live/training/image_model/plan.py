"""Sizes of a training, for a small CPU and for a card."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.scenes.families import FAMILIES


@dataclass(frozen=True)
class Plan:
    """Sizes of a training; the defaults are for a small CPU.

    text, latent: parts of the minutes for text encoder and autoencoder. joint: part of the UNet's time, at its end,
    in which the decoder learns from the UNet's own latents, and every image of a step counts by its pixels; loose:
    what an error of latents counts then. pixels: every so many steps pixels count too. again: part of the UNet's
    time after which some rows start from its own first step. reuse: times that an image is served, at most, in the
    mean. told: steps between two readings of the losses, each of which waits for the device. rendered: images that
    are made at once where the training renders itself; 0 = those of a step. save: seconds between checkpoints.
    compiled: compile the UNet for a CPU, which wants some minutes before it saves any. families: what is learned.
    often: families drawn twice as often as the others. apart: on a CPU, render in a process of its own.
    """

    channels: tuple[int, ...] = (128, 256)
    batch: int = 32
    capacity: int = 6000
    rate: float = 1.2e-3
    ema: float = 0.998
    text: float = 0.1
    latent: float = 0.12
    joint: float = 0.5
    loose: float = 0.05
    pixels: int = 4
    again: float = 0.5
    reuse: float = 5.0
    told: int = 1
    rendered: int = 0
    save: float = 240.0
    sizes: tuple[tuple[float, int, int], ...] = ((0.85, 32, 32), (0.06, 24, 40), (0.05, 32, 56), (0.04, 36, 64))
    """Share of the images, rows and columns of their noise: 256x256, 320x192, 448x256, 512x288."""
    compiled: bool = False
    families: tuple[str, ...] = tuple(FAMILIES)
    often: tuple[str, ...] = ()
    apart: bool = True


ON_A_CARD = Plan(
    batch=512,
    capacity=60_000,
    rate=1.6e-3,
    joint=0.7,
    told=25,
    rendered=4096,
    save=150.0,
    compiled=True,
)
"""A card renders where it trains, many images at once: 4,096 take as long as 256, for Python starts the kernels. The
pool takes 12 GB, a step 13."""
