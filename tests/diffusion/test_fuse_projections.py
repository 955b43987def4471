"""A UNet with fused projections predicts the same as before, and live LoRAs still change its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fakes.tiny_engine import make_tiny_engine

from tpos_live.core.paths import shipped
from tpos_live.diffusion.backends.fuse_projections import (
    CrossAttention,
    FusedTimeProjections,
    SelfAttention,
    fuse_projections,
)
from tpos_live.diffusion.model.engine import Engine, load_engine


def engine_of(kind: str, folder: Path) -> Engine:
    if kind == "ember":
        return load_engine(shipped("engines") / "ember", "cpu")
    return load_engine(make_tiny_engine(folder / kind, kind), "cpu")


@torch.inference_mode()
def predict(engine: Engine, rows: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    latent = torch.randn(rows, engine.latent_channels, 8, 8, generator=generator)
    count = engine.layout.rows if engine.layout is not None else engine.text_tokens + 4
    tokens = torch.randn(rows, count, engine.token_dim, generator=generator)
    timestep = torch.linspace(20.0, 900.0, rows)
    return engine.unet(latent, timestep, encoder_hidden_states=tokens, return_dict=False)[0]


@pytest.mark.parametrize("kind", ["flow", "sd-turbo", "sdxl", "ember"])
def test_fused_projections_predict_the_same(tmp_path: Path, kind: str) -> None:
    engine = engine_of(kind, tmp_path)
    unet = getattr(engine.unet, "unet", engine.unet)
    before = predict(engine)
    names = {name: parameter.clone() for name, parameter in unet.named_parameters()}
    assert fuse_projections(unet) and fuse_projections(unet)  # the second time there is nothing to do
    after = predict(engine)
    assert float((after - before).norm() / before.norm()) < 1e-5
    processors = [type(processor) for processor in unet.attn_processors.values()]
    assert {SelfAttention, CrossAttention} <= set(processors)
    assert isinstance(unet.time_embedding, FusedTimeProjections) == (
        kind in ("flow", "sd-turbo")
    )  # the others add to it
    assert all(torch.equal(names[name], value) for name, value in unet.named_parameters() if name in names)


def test_a_write_to_a_projection_reaches_the_fused_weight(turbo: Engine, tmp_path: Path) -> None:
    plain = load_engine(turbo.folder, "cpu")
    other = load_engine(turbo.folder, "cpu")
    layers = [dict(engine.unet.named_modules()) for engine in (plain, other)]
    names = [name for name in layers[0] if name.endswith((".to_q", ".to_k", ".to_v", ".time_emb_proj"))]
    assert len(names) > 10
    fuse_projections(other.unet)  # the layers are those from before, as a live LoRA has them
    for name in names:
        change = torch.randn(layers[0][name].weight.shape, generator=torch.Generator().manual_seed(len(name)))
        for each in layers:
            with torch.no_grad():
                each[name].weight.add_(change, alpha=0.05)
    there, expected = predict(other), predict(plain)
    assert float((there - expected).norm() / expected.norm()) < 1e-5
    assert float((there - predict(turbo)).norm() / expected.norm()) > 1e-2


def test_an_attention_of_another_kind_is_not_fused(turbo: Engine) -> None:
    engine = load_engine(turbo.folder, "cpu")
    attention = next(module for module in engine.unet.modules() if getattr(module, "is_cross_attention", False))
    attention.residual_connection = True
    before = dict(engine.unet.attn_processors)
    assert not fuse_projections(engine.unet) and engine.unet.attn_processors == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
def test_fused_projections_predict_the_same_on_a_card(turbo: Engine) -> None:
    engine = load_engine(turbo.folder, "cuda")
    args = torch.randn(2, 4, 8, 8).half().cuda(), torch.tensor([20.0, 900.0]).cuda()
    tokens = torch.randn(2, 81, engine.token_dim).half().cuda()
    with torch.inference_mode():
        before = engine.unet(*args, encoder_hidden_states=tokens, return_dict=False)[0]
        fuse_projections(engine.unet)
        after = engine.unet(*args, encoder_hidden_states=tokens, return_dict=False)[0]
    assert float((after - before).norm() / before.norm()) < 1e-2
