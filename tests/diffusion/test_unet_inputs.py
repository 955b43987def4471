"""A UNet with extra inputs: their values, and two prompts in one pass."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.tiny_engine import make_paired_engine

from tpos_live.conditioning.conditioning import Conditioning, Regions
from tpos_live.core.errors import EngineError
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.diffusion.backends.openvino import is_available
from tpos_live.diffusion.generator import FrameGenerator, GeneratorOptions
from tpos_live.diffusion.model.backend import BackendRequest
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.unet_inputs import WAVES, ExtraInputs, Layout, extra_channels, pack, positions, summary
from tpos_live.diffusion.sampling.frame_conditioning import FrameRequest
from tpos_live.diffusion.sampling.noise_field import NoiseField
from tpos_live.diffusion.sampling.unet_tokens import paired as pair
from tpos_live.evaluation.harness.sampler import SamplerHarness


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(make_paired_engine(tmp_path_factory.mktemp("paired")), "cpu")


def test_low_passes_keep_white_noise_at_unit_variance_up_to_the_border() -> None:
    noise = torch.randn(4000, 8, 5, 7, generator=torch.Generator().manual_seed(1))
    blurs = (1.0, 2.0, (2.0, 0.5))
    found = ExtraInputs(2, 2, blurs)(noise)
    assert found.shape == (4000, 8 + extra_channels(2, blurs), 5, 7)
    assert torch.equal(found[:, :8], noise)
    soft = found[:, 8:14]
    assert (soft.var(0) - 1).abs().max() < 0.1 and soft.mean(0).abs().max() < 0.1
    one = soft[:, 0].flatten(1)
    assert torch.corrcoef(one[:, :2].T)[0, 1] > 0.7  # neighbours are alike
    middle, below, beside = soft[:, 4, 2, 2], soft[:, 4, 3, 2], soft[:, 4, 2, 3]
    below, beside = (torch.corrcoef(torch.stack([middle, other]))[0, 1] for other in (below, beside))
    assert below > 0.8 > 0.5 > beside


def test_positions_follow_the_shape_of_the_image() -> None:
    square, wide = positions(8, 8), positions(8, 16)
    assert square.shape == (1, WAVES, 8, 8) and wide.shape == (1, WAVES, 8, 16)
    assert np.abs(square).max() < 2 and np.allclose(square[0, -4], -square[0, -4, :, ::-1])
    # the middle of a wide picture is a square one
    assert np.allclose(wide[:, :, :, 4:12], square, atol=1e-6)


def test_packing_keeps_every_number_and_the_place_of_a_cell() -> None:
    noise = torch.randn(1, 2, 6, 8)
    packed = pack(noise, 2)
    assert packed.shape == (1, 8, 3, 4) and torch.equal(packed.flatten().sort()[0], noise.flatten().sort()[0])
    assert torch.equal(packed[0, :4, 1, 2], noise[0, 0, 2:4, 4:6].flatten())


def test_a_packed_field_moves_by_less_than_a_position() -> None:
    field, plain = NoiseField(8, 4, 6, packing=2), NoiseField(2, 8, 12)
    for walk, right, up in ((0.0, 0.0, 0.0), (3.3, 1 / 12, 0.0), (7.1, 0.3, -0.2)):
        assert torch.equal(field.at(3, 1, walk, right, up), pack(plain.at(3, 1, walk, right, up), 2))


def test_the_summary_takes_each_part_from_its_rows() -> None:
    layout = Layout(text=3, audio=2, scalars=1)
    assert layout.second == 6 and layout.rows == 9
    tokens = torch.arange(9.0).view(1, 9, 1)
    assert summary(tokens, layout).flatten().tolist() == [0.0, 1.0, 6.0, 7.0, 3.5, 5.0]


def _draw(engine: Engine, scenes: Regions | None, tokens: torch.Tensor) -> tuple[np.ndarray, int]:
    """The image, and the UNet's batch size for it."""
    generator = FrameGenerator(engine, backend="eager", options=GeneratorOptions(threads=1))
    rows = 0
    predict = generator.backend.predict

    def counted(latent: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        nonlocal rows
        rows += len(latent)
        return predict(latent, *rest)

    generator.backend.predict = counted  # type: ignore[method-assign]
    frame = generator.generate(
        FrameRequest(
            FrameParams(noise_position=1.3),
            Conditioning(tokens, regions=scenes),
            ParameterStore({"seed": 4}).snapshot(),
        )
    )
    return frame.pixels.copy(), rows


def _tokens(engine: Engine, text: str) -> torch.Tensor:
    states = engine.texts.encode(text)
    return torch.cat([states, states.new_zeros(engine.metadata.audio_tokens, states.shape[1])])


def test_two_prompts_are_one_pass_and_each_pair_of_three_is_a_row(paired: Engine) -> None:
    sea, fire, fog = (_tokens(paired, text) for text in ("sea", "fire", "fog"))
    alone, rows = _draw(paired, None, sea)
    assert rows == 1
    both, rows = _draw(paired, Regions(torch.stack([sea, fire]), (0.5, 0.5)), sea)
    assert rows == 1 and not np.array_equal(both, alone)
    other, _ = _draw(paired, Regions(torch.stack([sea, fog]), (0.5, 0.5)), sea)
    more, _ = _draw(paired, Regions(torch.stack([sea, fire]), (0.2, 0.8)), sea)
    assert not np.array_equal(both, other) and not np.array_equal(both, more)
    three = Regions(torch.stack([sea, fire, fog]), (0.4, 0.3, 0.3))
    assert _draw(paired, three, sea)[1] == 3
    assert _draw(paired, replace(three, heard=True), sea)[1] == 2


def test_prompts_and_sounds_come_and_go_without_a_jump(paired: Engine) -> None:
    """Where a region has next to no weight, the frame is that without it, in each place."""
    sea, fire, fog, rain = (_tokens(paired, text) for text in ("sea", "fire", "fog", "rain"))
    little = 1e-5

    def drawn(*regions: tuple[torch.Tensor, float]) -> np.ndarray:
        embeds, weights = zip(*regions, strict=True)
        scenes = Regions(torch.stack(embeds), weights, heard=embeds[-1] is rain) if len(regions) > 1 else None
        return _draw(paired, scenes, embeds[0])[0].astype(int)

    for with_it, without in (
        ([(sea, 1 - little), (fire, little)], [(sea, 1.0)]),
        ([(sea, little), (fire, 1 - little)], [(fire, 1.0)]),
        ([(sea, little), (fire, 0.6 - little), (rain, 0.4)], [(fire, 0.6), (rain, 0.4)]),
        ([(sea, 0.6 - little), (fire, little), (rain, 0.4)], [(sea, 0.6), (rain, 0.4)]),
        ([(sea, 0.6), (fire, 0.4 - little), (fog, little)], [(sea, 0.6), (fire, 0.4)]),
        ([(sea, 0.6), (fire, little), (fog, 0.4 - little)], [(sea, 0.6), (fog, 0.4)]),
        ([(sea, little), (fire, 0.6), (fog, 0.4 - little)], [(fire, 0.6), (fog, 0.4)]),
    ):
        assert np.abs(drawn(*with_it) - drawn(*without)).max() <= 2


def test_a_pair_is_continuous_in_its_weight() -> None:
    first, second = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1))
    found = [pair(first, second, weight) for weight in np.linspace(1e-6, 1 - 1e-6, 2001).tolist()]
    for here, there in pairwise(found):
        assert (here[0] - there[0]).abs().max() < 0.1 and (here[1] - there[1]).abs().max() < 0.1
        assert abs(here[2] - there[2]) < 0.01 and 0 <= here[2] <= 1
    begin, end = found[0], found[-1]
    assert torch.equal(begin[0], first) and begin[1].abs().max() < 1e-3 and begin[2] < 1e-3
    assert torch.equal(end[0], second) and end[1].abs().max() < 1e-3 and end[2] < 1e-3


def test_measurements_draw_as_a_show_does(paired: Engine) -> None:
    harness = SamplerHarness(paired, "eager", threads=1)
    noise, scalars = harness.moment(4, 1.3, 0.5)
    sea, fire = paired.texts.encode("sea"), paired.texts.encode("fire")
    grown = harness.blend([(sea, 0.3), (fire, 0.7)], scalars, noise)
    scenes = Regions(torch.stack([_tokens(paired, "sea"), _tokens(paired, "fire")]), (0.3, 0.7))
    generator = FrameGenerator(paired, backend="eager", options=GeneratorOptions(threads=1))
    params = FrameParams(noise_position=1.3, intensity=0.5)
    frame = generator.generate(
        FrameRequest(
            params, Conditioning(scenes.prompt_embeds[0], regions=scenes), ParameterStore({"seed": 4}).snapshot()
        )
    )
    assert np.array_equal(frame.pixels, grown)


def test_it_converts_for_openvino(paired: Engine, tmp_path: Path) -> None:
    size = (96, 64)  # of different sides, so none can stand for the other
    paired = load_engine(paired.folder, "cpu")  # eager has made the other one's decoder bfloat16 where that is native
    if not is_available("openvino", "cpu")[0]:
        pytest.skip("no OpenVINO here")
    from tpos_live.diffusion.backends.openvino import OpenVinoBackend, convert
    from tpos_live.diffusion.sampling.unet_tokens import UnetTokens

    rows = UnetTokens(paired).sequence_length
    convert(BackendRequest(paired, size, rows), tmp_path)
    runner = OpenVinoBackend(tmp_path, "f32")
    noise = torch.randn(1, 8, size[1] // 16, size[0] // 16)
    tokens = torch.randn(1, rows, 128)
    with torch.no_grad():
        want = paired.unet(noise, torch.tensor([999.0]), encoder_hidden_states=tokens)[0]
    got = runner.predict(noise, torch.tensor([999.0]), tokens)
    assert (got - want).abs().max() < 5e-3 * want.abs().max()  # its weights are kept in half precision


def test_bad_inputs_are_refused_with_a_line(paired: Engine, tmp_path: Path) -> None:
    folder = make_paired_engine(tmp_path / "engine")
    described = json.loads((folder / "tpos_live.json").read_text())
    for given in (
        {"packing": 0},
        {"blurs": [-1.0]},
        {"blurs": [[1.0, -2.0]]},
        {"blurs": [[1.0]]},
        {"fields": 0},
        {"blurs": "soft"},
        {"more": 1},
    ):
        changed = described | {"unet_inputs": described["unet_inputs"] | given}
        (folder / "tpos_live.json").write_text(json.dumps(changed))
        with pytest.raises(EngineError, match="not a valid engine description"):
            load_engine(folder, "cpu")
    changed = described | {"unet_inputs": described["unet_inputs"] | {"blurs": [1.0]}}
    (folder / "tpos_live.json").write_text(json.dumps(changed))
    with pytest.raises(EngineError, match="the parts are of different engines"):
        load_engine(folder, "cpu")


def test_a_decoder_is_saved_and_loaded_by_its_class(paired: Engine) -> None:
    assert type(paired.vae).__name__ == "AutoencoderPixelShuffle" and paired.factor == 16
    assert paired.latent_channels == 8 and paired.packing == 2
    image = load_engine(paired.folder, "cpu").vae.decode(torch.randn(2, 8, 3, 5))[0]
    assert image.shape == (2, 3, 48, 80)
