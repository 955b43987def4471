"""LoRA files as the tools write them: each spelling of the same matrices changes the same layers by the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file

from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.lora import Change, read_lora
from tpos_live.diffusion.model.stability_names import stability_names

QUERY = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_out.0"
KEY = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
CONVOLUTION = "up_blocks.1.resnets.0.conv_shortcut"
ENDS = ("time_embedding.linear_1", "conv_out")
ATTENTIONS = (QUERY, OUT, KEY)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    """As Stable Diffusion XL's: three resolutions, two blocks each, no attention in the first."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16, 16), layers_per_block=2, norm_num_groups=4, cross_attention_dim=24,
        attention_head_dim=4, transformer_layers_per_block=(1, 1, 2), use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), addition_embed_type="text_time",
        addition_time_embed_dim=8, projection_class_embeddings_input_dim=68,
    )  # fmt: skip


def matrices(unet: UNet2DConditionModel, *names: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Down and up of each layer, of rank 2."""
    generator = torch.Generator().manual_seed(1)
    made = {}
    for name in names:
        weight = unet.get_submodule(name).weight
        kernel = (1,) * (weight.dim() - 2)
        made[name] = (
            torch.randn(2, *weight.shape[1:], generator=generator),
            torch.randn(len(weight), 2, *kernel, generator=generator),
        )
    return made


def theirs(unet: UNet2DConditionModel, name: str) -> str:
    return next(other for other, ours in stability_names(unet).items() if ours == name)


def old(name: str) -> str:
    """As diffusers' first attention processors called it."""
    layer, _, word = name.removesuffix(".0").rpartition(".to_")
    return f"{layer}.processor.to_{word}_lora"


Spelling = tuple[Callable[[UNet2DConditionModel, str], str], str, str]
SPELLINGS: dict[str, Spelling] = {
    "kohya": (lambda _, name: f"lora_unet_{name.replace('.', '_')}", ".lora_down", ".lora_up"),
    "kohya, Stability's names": (
        lambda unet, name: f"lora_unet_{theirs(unet, name).replace('.', '_')}", ".lora_down", ".lora_up",
    ),
    "ComfyUI": (lambda unet, name: f"diffusion_model.{theirs(unet, name)}", ".lora_A", ".lora_B"),
    "a checkpoint's prefix": (
        lambda unet, name: f"model.diffusion_model.{theirs(unet, name)}", ".lora_down", ".lora_up"
    ),
    "diffusers": (lambda _, name: f"unet.{name}", ".lora.down", ".lora.up"),
    "diffusers with PEFT": (lambda _, name: f"unet.{name}", ".lora_A", ".lora_B"),
    "PEFT": (lambda _, name: f"base_model.model.{name}", ".lora_A", ".lora_B"),
    "PEFT, its adapter named": (lambda _, name: f"base_model.model.{name}", ".lora_A.default", ".lora_B.default"),
    "diffusers' first": (lambda _, name: f"unet.{old(name)}", ".down", ".up"),
    "diffusers' very first": (lambda _, name: old(name), ".down", ".up"),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_changes_the_same_layers(unet: UNet2DConditionModel, tmp_path: Path, spelling: str) -> None:
    spell, down, up = SPELLINGS[spelling]
    names = ATTENTIONS
    if "first" not in spelling:
        names += (CONVOLUTION, "down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv")
    if spelling.startswith(("kohya", "ComfyUI")):
        names += ENDS
    made = matrices(unet, *names)
    tensors = {f"{spell(unet, name)}{down}.weight": low for name, (low, _) in made.items()}
    tensors |= {f"{spell(unet, name)}{up}.weight": high for name, (_, high) in made.items()}
    save_file(tensors, tmp_path / "x.safetensors")
    changes = {change.layer: change for change in read_lora({"unet": unet}, tmp_path / "x.safetensors")}
    assert set(changes) == {unet.get_submodule(name) for name in names}
    for name, (low, high) in made.items():
        change: Change = changes[unet.get_submodule(name)]
        assert torch.equal(change.down, low.flatten(1)) and torch.equal(change.up, high.flatten(1))
        assert change.scale == 1.0


def test_diffusers_turns_stabilitys_names_back_into_its_own(unet: UNet2DConditionModel) -> None:
    """By its converter of checkpoints, of every weight; each name once."""
    names = stability_names(unet)
    given = {
        f"model.diffusion_model.{other}.{kind}": weight
        for other, ours in names.items()
        for kind, weight in unet.get_submodule(ours).named_parameters(recurse=False)
    }
    converted = convert_ldm_unet_checkpoint(given, unet.config)
    own = unet.state_dict()
    assert converted.keys() == own.keys() and all(torch.equal(converted[name], own[name]) for name in own)


def test_a_network_of_another_kind_has_no_such_names() -> None:
    assert stability_names(torch.nn.Linear(2, 2)) == {}


@pytest.mark.parametrize(
    ("settings", "scale"),
    [({}, 1.0), ({"unet.lora_alpha": 8, "unet.r": 2}, 4.0), ({"unet.lora_alpha": 8, "unet.use_rslora": True}, 32**0.5),
     ({"text_encoder.lora_alpha": 8}, 1.0), ([], 1.0)],
)  # fmt: skip
def test_diffusers_writes_alpha_into_the_header(
    unet: UNet2DConditionModel, tmp_path: Path, settings: object, scale: float
) -> None:
    ((low, high),) = matrices(unet, KEY).values()
    tensors = {f"unet.{KEY}.lora_A.weight": low, f"unet.{KEY}.lora_B.weight": high}
    save_file(tensors, tmp_path / "x.safetensors", {"lora_adapter_metadata": json.dumps(settings)})
    (change,) = read_lora({"unet": unet}, tmp_path / "x.safetensors")
    assert change.scale == pytest.approx(scale)


def test_an_alpha_of_a_layer_counts_before_the_header(unet: UNet2DConditionModel, tmp_path: Path) -> None:
    ((low, high),) = matrices(unet, KEY).values()
    tensors = {f"unet.{KEY}.lora_A.weight": low, f"unet.{KEY}.lora_B.weight": high}
    tensors[f"unet.{KEY}.alpha"] = torch.tensor(1.0)
    header = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 8})}
    save_file(tensors, tmp_path / "x.safetensors", header)
    assert read_lora({"unet": unet}, tmp_path / "x.safetensors")[0].scale == 0.5


def test_a_text_encoders_first_names(xl, tmp_path: Path) -> None:
    layer = "text_encoder.text_model.encoder.layers.0.self_attn"
    tensors = {}
    for name in ("to_q_lora", "to_out_lora", "k_proj.lora_linear_layer"):
        tensors |= {f"{layer}.{name}.down.weight": torch.ones(2, 16), f"{layer}.{name}.up.weight": torch.ones(16, 2)}
    save_file(tensors, tmp_path / "x.safetensors")
    changes = read_lora(dict(xl.texts.modules), tmp_path / "x.safetensors")
    found = {id(change.layer) for change in changes}
    modules = dict(xl.texts.modules["text_encoder"].named_modules())
    words = {name.rpartition(".")[2] for name, module in modules.items() if id(module) in found}
    assert words == {"q_proj", "k_proj", "out_proj"}


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("lora_unet_x.hada_w1_a", "is a LoHa"),
        ("lora_unet_x.lokr_w1", "is a LoKr"),
        ("lora_unet_x.lora_mid.weight", "LoCon with a third matrix"),
        ("lora_unet_x.dora_scale", "is a DoRA"),
        ("base_model.model.x.lora_magnitude_vector.weight", "is a DoRA"),
        ("lora_unet_x.oft_blocks", "is a OFT"),
        ("lora_unet_x.on_input", "is a IA3"),
        ("lora_unet_x.diff", "is a full difference"),
        ("transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight", "not of a LoRA for Stable Diffusion"),
        ("unet.down_blocks.0.attn2.to_k.lora_A.weight", "made for Stable Diffusion XL; choose a LoRA for this engine"),
    ],
)
def test_what_is_no_lora_for_this_engine_is_one_line(
    unet: UNet2DConditionModel, tmp_path: Path, key: str, word: str
) -> None:
    save_file({key: torch.ones(2, 2048)}, tmp_path / "x.safetensors")
    with pytest.raises(EngineError, match=word) as caught:
        read_lora({"unet": unet}, tmp_path / "x.safetensors")
    assert "\n" not in str(caught.value) and "x.safetensors" in str(caught.value)


@pytest.mark.parametrize("header", ["{", "[" * 100_000, json.dumps({"unet.alpha_pattern": {"to_k": 4}})])
def test_a_header_that_cannot_be_used_is_one_line(unet: UNet2DConditionModel, tmp_path: Path, header: str) -> None:
    tensors = {f"unet.{KEY}.lora_A.weight": torch.ones(2, 24)}
    save_file(tensors, tmp_path / "x.safetensors", {"lora_adapter_metadata": header})
    with pytest.raises(EngineError, match=r"header is damaged|alpha_pattern"):
        read_lora({"unet": unet}, tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("low", "high", "alpha", "said"),
    [
        (torch.ones(2, 24), torch.ones(0, 2), 1, "is of another architecture"),
        (torch.ones(0, 24), torch.ones(16, 0), 1, "is of another architecture"),
        (torch.ones(2, 24, dtype=torch.complex64), torch.ones(16, 2), 1, "holds no numbers or huge ones"),
        (torch.full((2, 24), 1e30), torch.ones(16, 2), 1, "holds no numbers or huge ones"),
        (torch.ones(2, 24), torch.ones(16, 2), 10**400, "holds no numbers or huge ones"),
        (torch.ones(2, 24), torch.ones(16, 2), float("nan"), "holds no numbers or huge ones"),
    ],
)
def test_matrices_of_any_kind_are_one_line(
    unet: UNet2DConditionModel, tmp_path: Path, low: torch.Tensor, high: torch.Tensor, alpha: float, said: str
) -> None:
    tensors = {f"unet.{KEY}.lora_A.weight": low, f"unet.{KEY}.lora_B.weight": high}
    header = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": alpha})}
    save_file(tensors, tmp_path / "x.safetensors", header)
    with pytest.raises(EngineError, match=said):
        read_lora({"unet": unet}, tmp_path / "x.safetensors")
