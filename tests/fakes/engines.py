"""Small engines, built once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.tiny_engine import make_tiny_engine

from tpos_live.diffusion.model.engine import Engine, load_engine


@pytest.fixture(scope="session")
def flow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("flow"), "flow")


@pytest.fixture(scope="session")
def turbo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_engine(tmp_path_factory.mktemp("turbo"), "sd-turbo")


@pytest.fixture(scope="session")
def flow(flow_folder: Path) -> Engine:
    return load_engine(flow_folder, "cpu")


@pytest.fixture(scope="session")
def turbo(turbo_folder: Path) -> Engine:
    return load_engine(turbo_folder, "cpu")


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two text encoders."""
    folder = tmp_path_factory.mktemp("xl")
    return make_tiny_engine(folder, "sdxl", metadata={"size": [96, 64], "multiple": 32})


@pytest.fixture(scope="session")
def xl(xl_folder: Path) -> Engine:
    return load_engine(xl_folder, "cpu")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The least that has a residual block, an attention to the tokens and a decoder: compiling takes its time."""
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    folder = make_tiny_engine(
        tmp_path_factory.mktemp("small"), "sd-turbo", metadata={"multiple": 8, "size": [16, 16], "guidance": False}
    )
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
    return load_engine(folder, "cpu")
