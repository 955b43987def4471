"""The metadata of an engine: `tpos_live.json` in its Stable Diffusion folder.

The renderer has no code for special engines; it reads this file. A folder without it is a plain Stable Diffusion engine
and gets the defaults below.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tpos_live.core.errors import EngineError, first_line
from tpos_live.core.parameters import LORAS, AudioMode

METADATA_FILE = "tpos_live.json"
EMBEDDINGS = "embeddings"
"""Folder of an engine's textual inversions."""
ONE, SECOND = ("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")
"""Folders of an engine's text encoders and their tokenizers; most engines have one pair."""
SCALAR_HARMONICS = 4
SCALAR_WIDTH = 2 * SCALAR_HARMONICS + 1
"""Coordinates of the token that one scalar uses (see `scalar_tokens`)."""
ALIKE = 0.13
"""Largest |log| of the ratio of two aspect ratios that count as equal: at most 1/8 of the image is cropped."""


class Scalar(BaseModel):
    """A global value of the image in [0, 1], given to the UNet as one token: the noise cannot give it.

    source: what drives it. "intensity" follows the sound's intensity. "seed" is drawn from the seed and drifts by
    `rate` per unit of the noise trajectory. "clock" grows by `rate` per unit. "share" is the area of a second prompt
    (see `UnetInputs`). cyclic: 0 and 1 mean the same (a hue, a phase); other scalars are reflected at 0 and 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Literal["intensity", "seed", "clock", "share"]
    rate: float = Field(0.0, allow_inf_nan=False)
    cyclic: bool = False


_Side = Annotated[int, Field(ge=8, le=8192)]
_Width = Annotated[float, Field(gt=0.0, le=64.0)]


class UnetInputs(BaseModel):
    """Extra inputs of a UNet that draws two prompts in one pass (see `unet_inputs.py`).

    packing: noise cells along one side of a position. fields: number of noise channels, from the first, that are
    low-passed. blurs: standard deviations of the low-passes in positions, one number or (along y, along x). The tokens
    are, in order: a prompt, audio tokens, scalars, a second prompt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    packing: int = Field(ge=1, le=8)
    fields: int = Field(ge=1, le=64)
    blurs: list[_Width | tuple[_Width, _Width]] = Field(max_length=16)


class LoraWeight(BaseModel):
    """The weight with which a LoRA is merged at loading (0 = not at all, 1 = as trained).

    live: its weight in the UNet can change in a show; `lora.1` is the factor on this weight for the engine's first live
    LoRA, `lora.2` for the second, and so on. A live LoRA keeps a second copy of the weights that it changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(1.0, ge=-4.0, le=4.0, allow_inf_nan=False)
    live: bool = False

    @model_validator(mode="after")
    def _moves(self) -> Self:
        if self.live and not self.weight:
            raise ValueError("the weight of a live LoRA is what lora.1 to lora.4 are times of; it cannot be 0")
        return self


def _few_live(loras: list[Any]) -> list[Any]:
    if sum(lora.live for lora in loras) > len(LORAS):
        raise ValueError(f"at most {len(LORAS)} LoRAs can be live; merge the others (live = false)")
    return loras


FEW_LIVE = AfterValidator(_few_live)
"""Validator of a list of LoRAs: at most as many live ones as there are `lora.N` parameters."""


class LoraFile(LoraWeight):
    """A LoRA of the engine folder. file: relative to the folder."""

    file: str = Field(pattern=r"^[^/\\.][^\\]*\.safetensors$")


class EngineMetadata(BaseModel):
    """Sizes are (width, height) in pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = ""
    licence: str = "unknown"
    size: tuple[_Side, _Side] = (512, 512)
    sizes: list[tuple[_Side, _Side]] = Field(default_factory=list)
    multiple: int = Field(default=64, ge=8, le=1024)
    steps: list[int] = Field(default_factory=lambda: [1, 2, 4])
    guidance: bool = True
    audio_tokens: int = Field(default=4, ge=0, le=64)
    trained_with_sound: bool = True
    """Whether the UNet was trained with audio tokens; a fetched engine was not, and gets them like further words."""
    detail: float = Field(default=0.0, ge=0.0, le=3.0)
    """Fine structure that the display adds to enlarged frames, in engine pixels: for engines with soft images."""
    vivid: float = Field(default=0.0, ge=0.0, le=1.0)
    """How much the display deepens the colours of bright and of grey frames: for engines that draw them pale."""
    audio_mode: AudioMode = "append"
    """The mode of the sound's conditioning where `audio.mode` is auto."""
    scalars: list[Scalar] = Field(default_factory=list)
    unet_inputs: UnetInputs | None = None
    loras: Annotated[list[LoraFile], FEW_LIVE] = Field(default_factory=list)

    def size_for(self, output: tuple[int, int]) -> tuple[int, int]:
        """The one of `size` and `sizes` whose aspect ratio is nearest to that of `output` = (width, height); the
        smallest of several."""

        def apart(size: tuple[int, int]) -> float:
            return round(abs(math.log(size[0] * output[1] / (size[1] * output[0]))), 1)

        return min((self.size, *self.sizes), key=lambda size: (apart(size), size[0] * size[1]))

    def light_size_for(self, output: tuple[int, int]) -> tuple[int, int]:
        """The smallest of `size` and `sizes` with about the aspect ratio of `output`, for a processor with few cores;
        as `size_for` where there is none.

        Only listed sizes: at a size without training the engine may leave out a sun or a jellyfish.
        """

        def apart(size: tuple[int, int]) -> float:
            return abs(math.log(size[0] * output[1] / (size[1] * output[0])))

        fitting = [size for size in (self.size, *self.sizes) if apart(size) <= ALIKE]
        return min(fitting, key=lambda size: size[0] * size[1]) if fitting else self.size_for(output)


def read_metadata(folder: Path) -> EngineMetadata:
    """The content of `tpos_live.json` in an engine folder; the defaults where there is none.

    Raises EngineError for a file that cannot be read or is not valid.
    """
    path = folder / METADATA_FILE
    if not path.exists():
        return EngineMetadata(name=folder.name)
    try:
        return EngineMetadata.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(map(str, first["loc"]))
        raise EngineError(f"{path}: not a valid engine description: {entry}: {first['msg']}; correct it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(
            f"{path}: not a valid engine description ({first_line(error)}); reinstall the engine"
        ) from error
