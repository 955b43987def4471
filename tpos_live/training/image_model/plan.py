"""Hyperparameters of Ember's training, for a small CPU and for a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.scenes.families import FAMILIES


@dataclass(frozen=True)
class Plan:
    """Hyperparameters; the defaults are for a small CPU. Shares of the time are 0 to 1.

    channels: of the UNet. capacity: images in the pools. rate: peak learning rate. ema: decay of the averaged weights.
    text, latent: shares of the time for text encoder and autoencoder. joint: last share of the UNet's time in which
    the decoder is trained too, with the pixel loss of every image; latent_weight: weight of the latent loss then.
    pixel_every: steps between two that use the pixel loss, before `joint`. self_start: share of the UNet's time after
    which some rows start from the UNet's own first step. reuse: how often an image is served on average, at most.
    log_every: steps between two readings of the losses, which wait for the device. rendered: images in a batch of
    renders where there is no render process; 0 = the batch size. save: seconds between checkpoints. compiled: compile
    the UNet, which takes some minutes on a CPU. families: scenes to train. often: families drawn twice as often as the
    others. render_process: on a CPU, render in a separate process.
    """

    channels: tuple[int, ...] = (128, 256)
    batch: int = 32
    capacity: int = 6000
    rate: float = 1.2e-3
    ema: float = 0.998
    text: float = 0.1
    latent: float = 0.12
    joint: float = 0.5
    latent_weight: float = 0.05
    pixel_every: int = 4
    self_start: float = 0.5
    reuse: float = 5.0
    log_every: int = 1
    rendered: int = 0
    save: float = 240.0
    sizes: tuple[tuple[float, int, int], ...] = ((0.85, 32, 32), (0.06, 24, 40), (0.05, 32, 56), (0.04, 36, 64))
    """Share of the images, rows and columns of their noise: 256x256, 320x192, 448x256, 512x288."""
    compiled: bool = False
    families: tuple[str, ...] = tuple(FAMILIES)
    often: tuple[str, ...] = ()
    render_process: bool = True


ON_A_CARD = Plan(
    batch=512,
    capacity=60_000,
    rate=1.6e-3,
    joint=0.7,
    log_every=25,
    rendered=4096,
    save=150.0,
    compiled=True,
)
"""For a GPU, which renders many images at once itself: 4,096 take as long as 256, because the time goes into launching
kernels. The pools take 12 GB of GPU memory, a step 13 GB."""
