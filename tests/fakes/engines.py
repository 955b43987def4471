"""Small engines, built once a session.

PyTorch is imported when the first is built: tests that run in a process of their own rarely need one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tpos_live.diffusion.model.engine import Engine


def _made(factory: pytest.TempPathFactory, name: str, kind: str, **options: Any) -> Path:
    from fakes.tiny_engine import make_tiny_engine

    return make_tiny_engine(factory.mktemp(name), kind, **options)  # type: ignore[arg-type]


def _loaded(folder: Path) -> Engine:
    from tpos_live.diffusion.model.engine import load_engine

    return load_engine(folder, "cpu")


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory, "flow", "flow")


@pytest.fixture(scope="session")
def turbo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(tmp_path_factory, "turbo", "sd-turbo")


@pytest.fixture(scope="session")
def flow(flow_folder: Path) -> Engine:
    return _loaded(flow_folder)


@pytest.fixture(scope="session")
def turbo(turbo_folder: Path) -> Engine:
    return _loaded(turbo_folder)


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two text encoders."""
    return _made(tmp_path_factory, "xl", "sdxl", metadata={"size": [96, 64], "multiple": 32})


@pytest.fixture(scope="session")
def xl(xl_folder: Path) -> Engine:
    return _loaded(xl_folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The least that has a residual block, an attention to the tokens and a decoder: compiling takes its time."""
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    metadata = {"multiple": 8, "size": [16, 16], "guidance": False}
    folder = _made(tmp_path_factory, "small", "sd-turbo", metadata=metadata)
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=8, block_out_channels=(16,), layers_per_block=1, norm_num_groups=8, cross_attention_dim=32,
        attention_head_dim=2, mid_block_type=None, down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("UpBlock2D",),
    ).save_pretrained(folder / "unet")  # fmt: skip
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 0),
    ).save_pretrained(folder / "vae")  # fmt: skip
    return _loaded(folder)
