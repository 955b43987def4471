"""The two networks that draw, read from an engine's folder when they are first needed.

Where a compiled engine draws they are never needed, and importing diffusers for them would cost a start seconds.
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
"""What must stand in the configurations for an engine to be known without its modules."""
_ADDED_FACTS = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")
"""And of a UNet that wants a pooled embedding."""


_OFFLINE = threading.RLock()
"""Held while the environment of the process says that there is no network."""
LARGEST = 2.0**14
"""No trained weight is larger."""
_SHORTEST = 4
"""Tokens of the shortest text that is read: its begin, two words and its end."""


class Networks:
    """UNet and decoder of one folder, in evaluation mode, without gradients.

    Thread contract: `unet` and `vae` may be asked for from any thread; the first to ask loads both and the others
    wait. Raises EngineError then, with one line, for weights that cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        vae_class: str,
        device: torch.device,
        loras: list[LoraFile],
        inputs: tuple[UnetInputs, Layout] | None = None,
    ) -> None:
        """vae_class: of engine.DECODERS. inputs: what the UNet is given beside its latent, and its rows. loras: merged
        into the UNet when it is loaded; the live ones can be moved from then on, by `live`."""
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
        """Whether the files of configuration say all that must be known of the modules before they are loaded."""
        unet = self.configs["unet"]
        added = unet.get("addition_embed_type") != ADDED or all(fact in unet for fact in _ADDED_FACTS)
        facts = all(fact in self.configs[part] for part, facts in _FACTS.items() for fact in facts)
        return bool(self._blocks or "downscale" in self.configs["vae"]) and added and facts

    @property
    def _blocks(self) -> list[int]:
        """Channels of the decoder's blocks, empty where its configuration does not say."""
        config = self.configs["vae"]
        return list(config.get("decoder_block_out_channels") or config.get("block_out_channels") or [])

    @property
    def factor(self) -> int:
        """Pixels along one side of a latent pixel."""
        if (downscale := self.configs["vae"].get("downscale")) is not None:
            return int(downscale)
        assert self._blocks  # else the modules were loaded, and their configuration is whole
        return int(2 ** (len(self._blocks) - 1))

    @property
    def pooled(self) -> int:
        """Length of the pooled embedding that the UNet finds in the first row of its tokens; 0 = there is none."""
        return pooled_width(self.configs["unet"])

    @property
    def decoder_overflows(self) -> bool:
        """Whether the decoder gives infinities in half precision: Stable Diffusion XL's own does, tiny ones do not."""
        return bool(self.pooled and self.configs["vae"].get("force_upcast"))

    def load(self, text_encoders: Mapping[str, torch.nn.Module] | None = None) -> Mapping[str, Any]:
        """The modules by name. text_encoders: by name too, get their share of the LoRAs, also of the live ones, and for
        good: texts are encoded once and kept."""
        with self._loading:
            if self._modules:
                return self._modules
            # Imported before the libraries are made quiet: importing sets their loggers up anew.
            classes = {"unet": _class_of("UNet2DConditionModel"), "vae": _class_of(self.vae_class)}
            with offline(), quiet():
                modules = {part: load_part(self.folder, part, cls) for part, cls in classes.items()}
                parts = {"unet": modules["unet"], **(text_encoders or {})}
                live = self._merge(parts)
                modules["vae"].encoder = torch.nn.Identity()  # images are never encoded; a third of its memory
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
        """Merge the LoRAs, but for what is to be live: that is returned, with its weight in the description."""
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
    """The autoencoder of an engine's folder once more, for `encode` alone: in evaluation mode, its decoder empty.

    `Networks` leaves the encoder out, for most shows never encode an image. Any thread may call it, which takes up to
    seconds. Raises EngineError if the folder has no encoder.
    """
    folder = networks.folder / "vae"
    dtype = torch.float32 if networks.decoder_overflows else networks.dtype
    if networks.vae_class == "AutoencoderPixelShuffle":
        vae: Any = PatchEncoder.read(folder, int(networks.configs["vae"]["latent_channels"]), networks.factor)
    else:
        with offline(), quiet():
            vae = load_part(networks.folder, "vae", _class_of(networks.vae_class), unused=())
            vae.decoder = torch.nn.Identity()
    torch.nn.Module.to(vae, device=networks.device, dtype=dtype)  # the class's own `to` warns of what is meant
    vae.eval().requires_grad_(False)
    check_weights(folder, vae)
    return vae


def check_weights(where: Path, module: torch.nn.Module) -> None:
    """Raise EngineError for weights that are not finite or larger than any that was trained: a bit has flipped, or a
    training has failed. One look at each number."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if not float(weight.abs().max() if weight.numel() else 0.0) < LARGEST:
                raise EngineError(f"{where}: {name} is damaged (not finite, or huge); fetch or install it again")


def check_reader(where: Path, longest: int, words: int, rows: int) -> None:
    """Raise EngineError for a tokenizer that does not fit its text encoder. longest: tokens of a text at most. words:
    that the tokenizer knows. rows: of the text encoder, one for each."""
    if longest < _SHORTEST:
        raise EngineError(f"{where}: texts have {longest} tokens at most, too few; fetch or install the engine again")
    if words > rows:
        what = f"it knows {words} words, its text encoder {rows}; the parts are of different engines, or damaged"
        raise EngineError(f"{where}: {what}; fetch or install the engine again")


def _class_of(name: str) -> Any:
    # From their own modules: the package's lazy index costs a second more.
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
    """No library asks the network while an engine loads; one thread at a time."""
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
    """Libraries' progress bars and notices stay off the performer's terminal."""
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
