"""Weights with missing tensors or NaN, and frames with such values."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from fakes.render_show import Show
from fakes.waiting import wait_until
from safetensors.torch import load_file, save_file

from tpos_live.audio_encoder.checkpoint import WEIGHTS, EncoderError, read_encoder
from tpos_live.cli.main import cli
from tpos_live.conditioning.conditioning import Conditioning
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.paths import shipped
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions, NotFiniteError
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest

FILES = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
USED = {"unet": "conv_in.weight", "vae": "decoder.layers.0.weight", "text_encoder": "embeddings.LayerNorm.weight"}


def change(folder: Path, part: str, edit: object) -> None:
    path = folder / part / f"{FILES[part]}.safetensors"
    tensors = load_file(path)
    edit(tensors)  # type: ignore[operator]
    save_file(tensors, path, {"format": "pt"})


@pytest.fixture
def copy(flow_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flow_folder, tmp_path / "copy"))


@pytest.mark.parametrize("part", FILES)
def test_missing_tensors_are_refused_by_name(copy: Path, part: str) -> None:
    name = USED[part]
    change(copy, part, lambda tensors: tensors.pop(name))
    with pytest.raises(EngineError, match=r"is missing; fetch or install the engine again") as found:
        load_engine(copy, "cpu")
    assert name in str(found.value) and str(copy / part) in str(found.value) and "\n" not in str(found.value)


def test_many_missing_tensors_are_counted(copy: Path) -> None:
    change(copy, "unet", lambda tensors: [tensors.pop(name) for name in sorted(tensors)[:5]])
    with pytest.raises(EngineError, match="and 2 more is missing"):
        load_engine(copy, "cpu")


def test_what_nothing_uses_may_be_missing(copy: Path) -> None:
    change(copy, "vae", lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("encoder.")])
    change(copy, "text_encoder", lambda tensors: [tensors.pop(name) for name in list(tensors) if "pooler" in name])
    assert load_engine(copy, "cpu").latent_channels == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30, 2.0**15])
@pytest.mark.parametrize("part", FILES)
def test_weights_that_are_no_numbers_are_refused(copy: Path, part: str, value: float) -> None:
    change(copy, part, lambda tensors: tensors[USED[part]].view(-1)[3:4].fill_(value))
    with pytest.raises(EngineError, match=rf"{USED[part]} is damaged \(not finite, or huge\)"):
        load_engine(copy, "cpu")


def test_an_encoder_of_sound_that_is_no_numbers_is_refused(tmp_path: Path) -> None:
    engine = shipped("engines") / "ember"
    folder = Path(shutil.copytree(engine / "sound_encoder", tmp_path / "sound_encoder"))
    tensors = load_file(folder / WEIGHTS)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(EncoderError, match=f"{name} is not a number"):
        read_encoder(folder, engine)


def test_a_still_of_damaged_weights_fails_with_a_line(copy: Path, tmp_path: Path) -> None:
    change(copy, "unet", lambda tensors: tensors["conv_in.weight"].fill_(float("nan")))
    out = tmp_path / "still.png"
    result = CliRunner().invoke(cli, ["still", "--engine", str(copy), "--accelerator", "eager", "-o", str(out)])
    assert result.exit_code and isinstance(result.exception, EngineError) and not out.exists()


def test_a_frame_that_is_not_finite_is_not_given_out(flow: Engine) -> None:
    generator, broken = FrameGenerator(flow, backend="eager", options=GeneratorOptions(threads=1)), True
    predict = generator.backend.predict

    def some(*given: torch.Tensor) -> torch.Tensor:
        return predict(*given) * (float("nan") if broken else 1.0)

    generator.backend.predict = some  # type: ignore[method-assign]
    tokens, snapshot = torch.zeros(generator.prompt_length, flow.token_dim), ParameterStore().snapshot()
    for strength in (1.0, 0.5):
        with pytest.raises(NotFiniteError, match="the frame is not finite"):
            generator.generate(FrameRequest(FrameParams(strength=strength), Conditioning(tokens), snapshot))
    broken = False
    for strength in (1.0, 0.5, 0.5):  # nothing of it is left in the feedback
        assert (
            generator.generate(
                FrameRequest(FrameParams(strength=strength), Conditioning(tokens), snapshot)
            ).pixels.std()
            > 0
        )


def test_a_show_holds_the_last_good_frame_and_goes_on(flow: Engine, messages: list[str]) -> None:
    show = Show(flow)
    predict, broken = show.generator.backend.predict, False

    def some(*given: torch.Tensor) -> torch.Tensor:
        return predict(*given) * (float("nan") if broken else 1.0)

    show.generator.backend.predict = some  # type: ignore[method-assign]
    show.frame_params.put(FrameParams())
    with show.thread:
        assert wait_until(lambda: show.thread.drawn > 2)
        broken = True
        assert wait_until(lambda: "not finite" in show.thread.error)
        drawn, held = show.thread.drawn, show.frames.latest()
        assert held is not None and held.pixels.std() > 0
        broken = False
        assert wait_until(lambda: show.thread.drawn > drawn + 3)
        assert not show.thread.error
    assert any("holding the last frame" in line for line in messages)
