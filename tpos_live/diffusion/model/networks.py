"""UNet and decoder of an engine's folder, loaded at their first use.

A compiled backend never needs them, and importing diffusers for them would delay the start by seconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.live_lora import LiveLoras
from tpos_live.diffusion.model.load_part import load_part, read_json
from tpos_live.diffusion.model.lora import Change, merge, read_lora
from tpos_live.diffusion.model.metadata import LoraFile, UnetInputs
from tpos_live.diffusion.model.patch_encoder import PatchEncoder
from tpos_live.diffusion.model.sdxl import ADDED, PooledUnet, pooled_width
from tpos_live.diffusion.model.unet_inputs import ExtendedUnet, ExtraInputs, Layout

_FACTS = {"unet": ("in_channels", "out_channels", "cross_attention_dim"), "vae": ("latent_channels", "scaling_factor")}
"""Values that the configurations must have for lazy loading."""
_ADDED_FACTS = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")
"""The same for a UNet with a pooled embedding."""


_OFFLINE = threading.RLock()
"""Held while the environment variables of the process switch the libraries to offline mode."""
LARGEST = 2.0**14
"""No trained weight is larger."""
_SHORTEST = 4
"""Least maximum length of a text in tokens: begin, two words and end."""


class Networks:
    """UNet and decoder of one folder, in evaluation mode, without gradients.

    Thread contract: any thread may call `load`; the first call loads both, and other threads wait meanwhile. It raises
    EngineError, one line, for weights that cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        vae_class: str,
        device: torch.device,
        loras: list[LoraFile],
        inputs: tuple[UnetInputs, Layout] | None = None,
    ) -> None:
        """vae_class: one of engine.DECODERS. loras: merged into the UNet at loading; `live` can change the live ones
        then. inputs: the UNet's extra inputs, and the layout of its tokens; None for a UNet without."""
        self.folder, self.vae_class, self.device, self._loras = folder, vae_class, device, loras
        self._inputs = inputs
        self.dtype = torch.float16 if device.type == "cuda" else torch.float32
        self.configs: dict[str, Mapping[str, Any]] = {
            part: read_json(folder / part / "config.json") for part in ("unet", "vae")
        }
        self._loading = threading.Lock()
        self._modules: dict[str, Any] = {}
        self.live = LiveLoras()

    @property
    def loaded(self) -> bool:
        """Whether the modules are in memory."""
        return bool(self._modules)

    @property
    def known(self) -> bool:
        """Whether the configuration files have all values that are needed before the modules are loaded."""
        unet = self.configs["unet"]
        added = unet.get("addition_embed_type") != ADDED or all(fact in unet for fact in _ADDED_FACTS)
        facts = all(fact in self.configs[part] for part, facts in _FACTS.items() for fact in facts)
        return bool(self._blocks or "downscale" in self.configs["vae"]) and added and facts

    @property
    def _blocks(self) -> list[int]:
        """Channels of the decoder's blocks; empty where its configuration lacks them."""
        config = self.configs["vae"]
        return list(config.get("decoder_block_out_channels") or config.get("block_out_channels") or [])

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent pixel."""
        if (downscale := self.configs["vae"].get("downscale")) is not None:
            return int(downscale)
        assert self._blocks  # else the modules are loaded, and their configuration is complete
        return int(2 ** (len(self._blocks) - 1))

    @property
    def pooled(self) -> int:
        """Length of the pooled embedding in the first row of the UNet's tokens; 0 = there is none."""
        return pooled_width(self.configs["unet"])

    @property
    def decoder_overflows(self) -> bool:
        """Whether the decoder overflows in half precision: Stable Diffusion XL's own does, tiny ones do not."""
        return bool(self.pooled and self.configs["vae"].get("force_upcast"))

    def load(self, text_encoders: Mapping[str, torch.nn.Module] | None = None) -> Mapping[str, Any]:
        """The modules by name. text_encoders: by name; all LoRAs, also live ones, are merged into them permanently,
        because texts are encoded once and cached."""
        with self._loading:
            if self._modules:
                return self._modules
            # Imported before `quiet`, because importing sets the levels of the libraries' loggers.
            classes = {"unet": _class_of("UNet2DConditionModel"), "vae": _class_of(self.vae_class)}
            with offline(), quiet():
                modules = {part: load_part(self.folder, part, cls) for part, cls in classes.items()}
                parts = {"unet": modules["unet"], **(text_encoders or {})}
                live = self._merge(parts)
                modules[
                    "vae"
                ].encoder = (
                    torch.nn.Identity()
                )  # `load_encoder` loads it where it is needed; saves a third of the memory
                self.configs = {part: dict(module.config) for part, module in modules.items()}
                for part, module in modules.items():
                    dtype = torch.float32 if part == "vae" and self.decoder_overflows else self.dtype
                    module.to(device=self.device, dtype=dtype).eval().requires_grad_(False)
                self.live = LiveLoras(live)
            for part, module in modules.items():
                check_weights(self.folder / part, module)
            if self.pooled:
                modules["unet"] = PooledUnet(modules["unet"], self.pooled, self.factor).eval()
            if self._inputs is not None:
                given, layout = self._inputs
                modules["unet"] = ExtendedUnet(
                    modules["unet"], ExtraInputs(given.packing, given.fields, given.blurs), layout
                ).eval()
            self._modules = modules
            return modules

    def _merge(self, parts: Mapping[str, torch.nn.Module]) -> list[tuple[list[Change], float]]:
        """Merge the LoRAs, except the live changes of the UNet. Returns these, with their weights in the metadata."""
        live = []
        for lora in self._loras:
            changes = read_lora(parts, self.folder / lora.file)
            moving = [change for change in changes if lora.live and change.part == "unet"]
            if lora.live and not moving:
                what = "changes the text encoder alone, and texts are read once"
                raise EngineError(f"{self.folder / lora.file}: {what}; remove its live = true")
            if moving:
                live.append((moving, lora.weight))
            merge((change for change in changes if not (lora.live and change.part == "unet")), lora.weight)
        return live


def load_encoder(networks: Networks) -> Any:
    """A second autoencoder of an engine's folder, with the encoder only, in evaluation mode.

    `Networks` leaves the encoder out, because most shows never encode an image. Any thread may call this; it takes up
    to seconds. Raises EngineError if the folder has no encoder.
    """
    folder = networks.folder / "vae"
    dtype = torch.float32 if networks.decoder_overflows else networks.dtype
    if networks.vae_class == "AutoencoderPixelShuffle":
        vae: Any = PatchEncoder.read(folder, int(networks.configs["vae"]["latent_channels"]), networks.factor)
    else:
        with offline(), quiet():
            vae = load_part(networks.folder, "vae", _class_of(networks.vae_class), unused=())
            vae.decoder = torch.nn.Identity()
    torch.nn.Module.to(vae, device=networks.device, dtype=dtype)  # diffusers' own `to` would warn
    vae.eval().requires_grad_(False)
    check_weights(folder, vae)
    return vae


def check_weights(where: Path, module: torch.nn.Module) -> None:
    """Raise EngineError for weights that are not finite or are larger than LARGEST, after a flipped bit or a failed
    training. Reads each value once."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if not float(weight.abs().max() if weight.numel() else 0.0) < LARGEST:
                raise EngineError(f"{where}: {name} is damaged (not finite, or huge); fetch or install it again")


def check_reader(where: Path, longest: int, words: int, rows: int) -> None:
    """Raise EngineError for a tokenizer that does not fit its text encoder. longest: most tokens of a text. words: size
    of the tokenizer's vocabulary. rows: size of the text encoder's embedding table."""
    if longest < _SHORTEST:
        raise EngineError(f"{where}: texts have {longest} tokens at most, too few; fetch or install the engine again")
    if words > rows:
        what = f"it knows {words} words, its text encoder {rows}; the parts are of different engines, or damaged"
        raise EngineError(f"{where}: {what}; fetch or install the engine again")


def _class_of(name: str) -> Any:
    # Imported from their own modules, because the package's lazy index takes one second more.
    if name == "UNet2DConditionModel":
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        return UNet2DConditionModel
    if name == "AutoencoderTiny":
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

        return AutoencoderTiny
    if name == "AutoencoderPixelShuffle":
        from tpos_live.diffusion.model.pixel_shuffle_vae import AutoencoderPixelShuffle

        return AutoencoderPixelShuffle
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Switch the libraries to offline mode while an engine loads; one thread at a time."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    with _OFFLINE:
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(dict.fromkeys(names, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and notices off the performer's terminal."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
