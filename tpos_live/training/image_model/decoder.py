"""Train only the decoder of an engine: `python -m tpos_live.training.image_model.decoder ENGINE MINUTES`.

The UNet does not change, so its latents are computed once, and some minutes of training are enough. Half of the images
show two prompts, because there the UNet's error is largest and a grid of patches is most visible. A quarter of the
steps use the encoder's latents of the renders with a little noise: image-to-image needs these decoded well too.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tpos_live.core.atomic import atomic_folder
from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle
from tpos_live.training.image_model import autoencoder
from tpos_live.training.image_model.checkpoint import begin_from
from tpos_live.training.image_model.dataset import PACKING, Renderer, Words
from tpos_live.training.image_model.export import tidy
from tpos_live.training.image_model.rectified_flow import T_MAX, build_unet, one_step
from tpos_live.training.precision import autocast
from tpos_live.training.text.families_file import read_families

RATE = 6e-4
CELLS = (24, 40)
"""Rows and columns of the noise: 320x192 pixels, where a grid is most visible."""
MAKING = 0.25
"""Share of the time for rendering images and computing latents."""
BATCH = 6
KEPT = 0.5
"""Share of the old weights in the weights that are written. The mean of old and trained weights had the smallest error:
0.1455, against 0.1463 (old) and 0.1458 (trained)."""
OWN = 0.25
"""Share of the steps that use the encoder's latents of the renders."""


@torch.inference_mode()
def make_pairs(
    run: Path, families: list[str], vae: Any, seconds: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The UNet's latents of new images, the encoder's latents of their renders (both half [n, C, h, w]), the renders
    (uint8), and sampling weights [n]: images of two prompts have the same total weight as all others."""
    from transformers import AutoTokenizer, BertModel

    unet = build_unet()
    unet.load_state_dict(load_file(run / "unet.safetensors"))
    unet.eval()
    encoder = BertModel.from_pretrained(run / "text_encoder").float().eval()
    words = Words(encoder, AutoTokenizer.from_pretrained(run / "tokenizer"))
    renderer, end = Renderer(CELLS, seed, families), time.monotonic() + seconds
    drawn: list[torch.Tensor] = []
    own, images, two = [], [], []
    while time.monotonic() < end or not drawn:
        made = renderer.make(8)
        noise = torch.nn.functional.pixel_unshuffle(made.noise.float(), PACKING)
        with autocast("cpu"):
            drawn.append(one_step(unet, noise, torch.full((8,), T_MAX), words.tokens(made.recipes)).half())
        own.append(vae.encode(made.image.float() / 127.5 - 1).half())
        images.append(made.image)
        two += [float(len(recipe.texts) > 1) for recipe in made.recipes]
    both = torch.tensor(two)
    often = both / both.sum().clamp(min=1) + (1 - both) / (1 - both).sum().clamp(min=1)
    return torch.cat(drawn), torch.cat(own), torch.cat(images), often


def train_decoder(engine: Path, minutes: float, seed: int = 0) -> None:
    """Train the decoder on the CPU and write it into the engine folder `engine`."""
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        begin_from(engine, run)
        vae = AutoencoderPixelShuffle.from_pretrained(run / "vae", deblocking=autoencoder.DEBLOCKING).float()
        families = read_families(engine).trained
        drawn, own, images, often = make_pairs(run, families, vae, 60 * minutes * MAKING, seed)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    vae.train().encoder.requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), lr=RATE, weight_decay=0.0, betas=(0.9, 0.98))
    begin, length, steps = time.monotonic(), 60 * minutes * (1 - MAKING), 0
    while (spent := time.monotonic() - begin) < length or not steps:
        left = max(1 - spent / length, 0.0)
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (steps + 1) / 50) * (0.02 + 0.98 * min(1.0, 1.5 * left))
        at = torch.multinomial(often, BATCH, replacement=True)
        latents = drawn[at].float()
        if torch.rand(()) < OWN:
            latents = own[at].float()
            latents += autoencoder.JITTER * torch.randn_like(latents)
        render = images[at].float() / 255
        with autocast("cpu"):
            image = autoencoder.decode(vae, latents).float()
        loss = autoencoder.pixel_loss(image, render)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step()
        steps += 1
    vae.load_state_dict({name: torch.lerp(value, before[name], KEPT) for name, value in vae.state_dict().items()})
    with atomic_folder(engine / "vae") as fresh:
        vae.eval().half().save_pretrained(fresh)
        tidy(fresh / "config.json")
        for path in fresh.iterdir():
            path.chmod(0o644)
    print(f"{steps} steps on {len(drawn)} images; loss of the last step {loss.item():.4f}")


if __name__ == "__main__":
    train_decoder(Path(sys.argv[1]), float(sys.argv[2]))
