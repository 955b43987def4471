"""Single-file checkpoints: what an engine is made of one draws as the networks that were written into it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from fakes.checkpoints import Kind, make_parts, original, write_checkpoint
from fakes.tiny_engine import make_tiny_engine
from safetensors.torch import save_file

from tpos_live.cli.engines import engines
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.hub.checkpoint_config import ONE, TWO, XL, unet_config
from tpos_live.diffusion.hub.download import damaged
from tpos_live.diffusion.hub.listing import rows
from tpos_live.diffusion.hub.presets import load_preset
from tpos_live.diffusion.hub.resolve import resolve_engine
from tpos_live.diffusion.hub.single_file import import_checkpoint
from tpos_live.diffusion.model.engine import load_engine
from tpos_live.diffusion.model.stability_names import stability_names

KINDS: tuple[Kind, ...] = ("1", "2", "xl")


@pytest.fixture(scope="module")
def parts() -> dict[Kind, dict[str, torch.nn.Module]]:
    return {kind: make_parts(kind) for kind in KINDS}


@pytest.fixture
def home(tmp_path: Path, turbo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fetched engines lie: one is there, whose words are those of the checkpoints."""
    monkeypatch.setenv("TPOS_LIVE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shutil.copytree(turbo_folder, tmp_path / "engines" / "sd-turbo")
    return tmp_path / "engines"


@pytest.mark.parametrize("kind", KINDS)
def test_every_generation_becomes_an_engine_with_the_same_weights(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]], kind: Kind
) -> None:
    file = write_checkpoint(tmp_path / "My style v2.safetensors", kind, parts[kind])
    folder = import_checkpoint(file, like="sd-turbo")
    assert folder == home / "My-style-v2" and damaged(folder) == []
    engine = load_engine(folder, "cpu")
    unet = engine.unet.state_dict() if kind != "xl" else engine.unet.unet.state_dict()
    for name, weight in parts[kind]["unet"].state_dict().items():
        assert torch.equal(unet[name], weight.half().float()), name
    decoder = engine.vae.state_dict()
    for name, weight in parts[kind]["vae"].state_dict().items():
        assert name.startswith(("encoder.", "quant_conv.")) or torch.equal(decoder[name], weight.half().float()), name
    for name, encoder in engine.texts.modules.items():
        for key, weight in parts[kind][name].state_dict().items():
            assert torch.equal(encoder.state_dict()[key], weight.half().float()), key
    for name, module in parts[kind].items():
        ours = {"unet": engine.networks.configs["unet"], "vae": engine.networks.configs["vae"]}.get(name)
        if ours is None:
            continue
        for fact in ("block_out_channels", "layers_per_block", "cross_attention_dim", "attention_head_dim"):
            assert fact not in module.config or _plain(ours[fact]) == _plain(module.config[fact]), fact
    assert engine.vae.config.scaling_factor == (0.13025 if kind == "xl" else 0.18215)
    assert engine.texts.encode("sea").isfinite().all()


def _plain(value: object) -> object:
    return list(value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("kind", KINDS)
def test_diffusers_makes_the_same_of_the_file(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]], kind: Kind
) -> None:
    """Its `from_single_file`, with our configurations."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    file = write_checkpoint(tmp_path / "one.safetensors", kind, parts[kind])
    folder = import_checkpoint(file, like="sd-turbo")
    pipeline = StableDiffusionXLPipeline if kind == "xl" else StableDiffusionPipeline
    theirs = pipeline.from_single_file(str(file), config=str(folder), local_files_only=True, torch_dtype=torch.float16)
    for name in parts[kind]:
        ours = type(getattr(theirs, name)).from_pretrained(folder / name, torch_dtype=torch.float16).state_dict()
        for key, weight in getattr(theirs, name).state_dict().items():
            assert torch.equal(ours[key], weight.half()), f"{name} {key}"


PUBLISHED: dict[Kind, dict[str, Any]] = {
    "1": {
        "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "cross_attention_dim": 768,
        "attention_head_dim": 8, "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    },
    "2": {
        "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20], "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "use_linear_projection": True,
    },
    "xl": {
        "block_out_channels": [320, 640, 1280], "layers_per_block": 2, "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20], "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
        "up_block_types": ["CrossAttnUpBlock2D"] * 2 + ["UpBlock2D"], "use_linear_projection": True,
        "transformer_layers_per_block": [1, 2, 10], "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    },
}  # fmt: skip
"""Of Stable Diffusion 1.5, SD-Turbo and SDXL-Turbo, as far as the shapes depend on them."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_configurations_are_read_from_shapes(kind: Kind) -> None:
    """Networks of the true size, without memory for their weights."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config = PUBLISHED[kind]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    names = stability_names(unet)
    shapes = {
        f"model.diffusion_model.{other}.{end}": tuple(weight.shape)
        for other, ours in names.items()
        for end, weight in unet.get_submodule(ours).named_parameters(recurse=False)
    }
    shapes["conditioner.embedders.1.model.text_projection"] = (1280, 1280)
    found = unet_config({"1": ONE, "2": TWO, "xl": XL}[kind], shapes)
    assert {name: found[name] for name in config} == config


def test_it_is_converted_once_and_again_when_the_file_changes(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_checkpoint(tmp_path / "style.safetensors", "2", parts["2"])
    folder, line = resolve_engine(str(file))
    assert folder == home / "style" and line == "engine: style.safetensors"
    before = (folder / "fetched.json").stat().st_mtime_ns
    assert resolve_engine(str(file))[0] == folder == resolve_engine("style")[0]
    assert (folder / "fetched.json").stat().st_mtime_ns == before
    write_checkpoint(file, "2", make_parts("2", seed=1))
    assert resolve_engine(str(file))[0] == folder
    assert (folder / "fetched.json").stat().st_mtime_ns > before
    (folder / "unet" / "config.json").write_text("{}")
    checked = CliRunner().invoke(engines, ["check", "style"], standalone_mode=False)
    assert checked.return_value == 1 and f"`tpos-live engines import {file} --name style` repairs it" in checked.output
    (folder / "embeddings").mkdir()
    (folder / "embeddings" / "mine.safetensors").write_bytes(b"of the performer")
    import_checkpoint(file, "style")
    assert damaged(folder) == [] and (folder / "embeddings" / "mine.safetensors").is_file()
    row = next(row for row in rows() if row.name == "style")
    assert row.state == f"imported from {file}" and "style.safetensors" in row.licence


def test_stable_diffusion_1_gets_the_lora_and_scheduler_of_few_steps(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]]
) -> None:
    file = write_checkpoint(tmp_path / "photo.safetensors", "1", parts["1"])
    with pytest.raises(EngineError, match="`tpos-live engines fetch sd15-lcm` first, or --like sd-turbo"):
        import_checkpoint(file)
    donor = import_checkpoint(file, "base", "sd-turbo").rename(home / "sd15-lcm")
    shutil.rmtree(donor / "vae")
    shutil.copytree(home / "sd-turbo" / "vae", donor / "vae")
    (donor / "lora").mkdir()
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    width = parts["1"]["unet"].get_submodule(name).weight.shape
    tensors = {
        f"unet.{name}.lora_A.weight": torch.ones(1, width[1]),
        f"unet.{name}.lora_B.weight": torch.ones(width[0], 1),
    }
    save_file(tensors, donor / "lora" / "0.safetensors")
    result = CliRunner().invoke(engines, ["import", str(file), "--name", "mine"], standalone_mode=False)
    assert result.return_value == 0 and result.output.endswith(f"engine: {home / 'mine'}\n")
    engine = load_engine(home / "mine", "cpu")
    preset = load_preset("sd15-lcm")
    assert engine.metadata.steps == preset.steps and engine.metadata.guidance == preset.guidance
    assert (
        json.loads((home / "mine" / "scheduler" / "scheduler_config.json").read_text())["_class_name"] == "LCMScheduler"
    )
    assert type(engine.vae).__name__ == "AutoencoderTiny"
    changed = engine.unet.get_submodule(name).weight - parts["1"]["unet"].get_submodule(name).weight
    assert torch.allclose(changed, torch.ones(width), atol=1e-2)
    xl = write_checkpoint(tmp_path / "xl.safetensors", "xl", parts["xl"])
    with pytest.raises(EngineError, match="is Stable Diffusion XL, and sd15-lcm is not"):
        import_checkpoint(xl, like="sd15-lcm")


def test_a_checkpoint_that_predicts_v_says_so(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]]
) -> None:
    tensors = {name: tensor.detach().contiguous() for name, tensor in original("xl", parts["xl"]).items()}
    save_file(tensors | {"v_pred": torch.tensor([])}, tmp_path / "v.safetensors")
    folder = import_checkpoint(tmp_path / "v.safetensors")
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    assert config["prediction_type"] == "v_prediction"


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("absent", "there is no such file"),
        ("folder", "is a folder; name a file, or show an engine's own folder with --engine"),
        ("pickle", "is a pickle, which can run code"),
        ("cut", "damaged or cut off"),
        ("empty", "damaged or cut off"),
        ("flux", "is Flux"),
        ("sd3", "is Stable Diffusion 3"),
        ("lora", "is a LoRA"),
        ("embedding", "is a textual inversion"),
        ("inpainting", "is for inpainting"),
        ("other", "no checkpoint of Stable Diffusion 1, 2 or XL"),
        ("text", "has no text encoder in it"),
        ("vae", "has no decoder in it"),
        ("missing", "is missing; download it again"),
        ("block", "is missing"),
        ("preset", "there is no preset"),
        ("name", "is no name for an engine of your own"),
        ("words", "CLIP's 74 words are nowhere on this computer"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]], case: str, word: str
) -> None:
    file = tmp_path / ("x.ckpt" if case == "pickle" else "x.safetensors")
    tensors = {name: tensor.detach().contiguous() for name, tensor in original("2", parts["2"]).items()}
    name, like = "x", "sd-turbo"
    first = "model.diffusion_model.input_blocks.0.0.weight"
    kinds = {"flux": "double_blocks.0.img_attn.qkv.weight", "sd3": "model.diffusion_model.joint_blocks.0.x",
             "lora": "lora_unet_mid_block.lora_up.weight", "embedding": "emb_params", "other": "weight"}  # fmt: skip
    if case in kinds:
        tensors = {kinds[case]: torch.ones(1)}
    elif case == "inpainting":
        tensors[first] = torch.ones(64, 9, 3, 3)
    elif case in ("text", "vae"):
        gone = {"text": "cond_stage", "vae": "first_stage"}[case]
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(gone)}
    elif case == "missing":
        del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    elif case == "block":
        del tensors["model.diffusion_model.out.2.weight"]
    elif case == "preset":
        like = "sd-tubro"
    elif case == "name":
        name = "sd-turbo"
    elif case == "words":
        shutil.rmtree(home / "sd-turbo" / "tokenizer")
    if case == "folder":
        file.mkdir()
    elif case != "absent":
        save_file(tensors, file)
    if case == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif case == "empty":
        file.write_bytes(b"")
    with pytest.raises(EngineError, match=word) as caught:
        import_checkpoint(file, name, like)
    assert "\n" not in str(caught.value)
    assert [path.name for path in home.iterdir()] == ["sd-turbo"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
def test_a_full_disk_is_told_as_such_and_not_as_a_damaged_file(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]]
) -> None:
    import resource

    file = tmp_path / "x.safetensors"
    save_file({name: tensor.detach().contiguous() for name, tensor in original("2", parts["2"]).items()}, file)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(EngineError, match=r"cannot be written .*make room") as caught:
            import_checkpoint(file, "x", "sd-turbo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "damaged" not in str(caught.value) and [path.name for path in home.iterdir()] == ["sd-turbo"]


def test_a_name_of_another_engine_is_not_overwritten(
    home: Path, tmp_path: Path, parts: dict[Kind, dict[str, torch.nn.Module]]
) -> None:
    file = write_checkpoint(tmp_path / "mine.safetensors", "2", parts["2"])
    make_tiny_engine(home / "mine")
    with pytest.raises(EngineError, match="is another engine; choose another name with --name"):
        import_checkpoint(file)
    assert (home / "mine" / "text_encoder" / "config.json").is_file()
