"""Textual inversions: a prompt that names one is read as diffusers' pipeline reads it; a bad file stops nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.messages import heard_messages
from fakes.tiny_engine import POOLED
from safetensors.torch import save_file

from tpos_live.conditioning.vocabulary import rewritten
from tpos_live.core.errors import EngineError
from tpos_live.diffusion.model.engine import Engine, load_engine
from tpos_live.diffusion.model.textual_inversion import Expansion, read_inversions


@pytest.fixture
def copy(turbo_folder: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(turbo_folder, tmp_path / "engine"))
    (folder / "embeddings").mkdir()
    return folder


@pytest.fixture
def xl_copy(xl_folder: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(xl_folder, tmp_path / "xl"))
    (folder / "embeddings").mkdir()
    return folder


def rows(number: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(number, width, generator=torch.Generator().manual_seed(seed))


def write(folder: Path, name: str, **tensors: torch.Tensor) -> None:
    save_file(tensors, folder / "embeddings" / f"{name}.safetensors")


@torch.inference_mode()
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("text", ["<cat-toy>", "a <cat-toy> in the sea", "sea, <cat-toy>, <cat-toy>", "sea"])
def test_a_text_is_read_as_by_the_stock_pipeline(copy: Path, text: str, number: int) -> None:
    from diffusers import StableDiffusionPipeline

    learned = rows(number, 32)
    stock = StableDiffusionPipeline.from_pretrained(copy)
    stock.load_textual_inversion({"<cat-toy>": learned if number > 1 else learned[0]})
    expected, _ = stock.encode_prompt(text, "cpu", 1, False)
    write(copy, "toy", **{"<cat-toy>": learned if number > 1 else learned[0]})
    assert torch.equal(load_engine(copy, "cpu").texts.encode(text), expected[0])


@torch.inference_mode()
@pytest.mark.parametrize("end", ["as written", "the largest of all"])
def test_both_encoders_of_sdxl_get_theirs(xl_copy: Path, xl: Engine, end: str) -> None:
    """Also with the published number for the end of a text, 2, with which new tokens would be taken for the end."""
    from diffusers import StableDiffusionXLPipeline

    first, second = rows(2, 16), rows(2, 24, 1)
    stock: Any = StableDiffusionXLPipeline.from_pretrained(xl_copy, add_watermarker=False)
    stock.load_textual_inversion(first, "style", text_encoder=stock.text_encoder, tokenizer=stock.tokenizer)
    stock.load_textual_inversion(second, "style", text_encoder=stock.text_encoder_2, tokenizer=stock.tokenizer_2)
    expected, _, pooled, _ = stock.encode_prompt("a style sea", device="cpu", do_classifier_free_guidance=False)
    if end != "as written":
        path = xl_copy / "text_encoder_2" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": 2}))
    write(xl_copy, "style", clip_l=first, clip_g=second)
    engine = load_engine(xl_copy, "cpu")
    states = engine.texts.encode("a style sea")
    assert torch.allclose(states[1:], expected[0], atol=1e-6)
    assert torch.allclose(states[0, :POOLED], pooled[0], atol=1e-6)
    assert torch.equal(engine.texts.encode("blue sea"), xl.texts.encode("blue sea")), (
        "texts without it stay as they were"
    )


@pytest.mark.parametrize("key", ["emb_params", "*", "string_to_param.*", "<anything>"])
def test_a_prompt_names_it_by_its_file_in_any_case(copy: Path, turbo: Engine, key: str) -> None:
    write(copy, "EasyNegative", **{key: rows(2, 32)})
    with heard_messages() as heard:
        engine = load_engine(copy, "cpu")
    (line,) = heard
    assert line.startswith("embeddings that a prompt can name: ") and "easynegative" in line
    named = engine.texts.encode("easynegative sea")
    assert torch.equal(named, engine.texts.encode("EASYNEGATIVE  sea")) and not torch.equal(
        named, turbo.texts.encode("easynegative sea")
    )
    assert torch.equal(engine.texts.encode("easynegatives"), turbo.texts.encode("easynegatives")), (
        "a longer word is another one"
    )


def test_one_file_may_hold_several_tokens(copy: Path, turbo: Engine) -> None:
    write(copy, "pair", **{"<one>": rows(1, 32)[0], "<two>": rows(2, 32, 1)})
    engine = load_engine(copy, "cpu")
    texts = [engine.texts.encode(text) for text in ("<one>", "<two>", "<one> <two>", "<three>")]
    assert all(not torch.equal(texts[0], other) for other in texts[1:])
    assert torch.equal(engine.texts.encode("pair"), turbo.texts.encode("pair"))


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("pickle", "a pickle can run code"),
        ("cut", "damaged, or no safetensors file"),
        ("width", "was made for Stable Diffusion 1, and not for this engine"),
        ("xl", "was made for Stable Diffusion XL, and not for this engine"),
        ("numbers", "is damaged"),
        ("scalar", "is no textual inversion"),
        ("nameless", "has no name"),
    ],
)
def test_a_bad_file_is_one_line_and_the_engine_is_used_without_it(
    copy: Path, turbo: Engine, case: str, word: str
) -> None:
    bad = copy / "embeddings" / ("bad.pt" if case == "pickle" else "bad.safetensors")
    tensors = {"emb_params": rows(1, 768 if case == "width" else 32)}
    if case == "xl":
        tensors = {"clip_l": rows(1, 768), "clip_g": rows(1, 1280)}
    elif case == "numbers":
        tensors = {"emb_params": torch.full((1, 32), torch.nan)}
    elif case == "scalar":
        tensors = {"emb_params": torch.tensor(1.0)}
    elif case == "nameless":
        tensors = {"": rows(1, 32), "x": rows(1, 32)}
    save_file(tensors, bad)
    if case == "cut":
        bad.write_bytes(bad.read_bytes()[:20])
    write(copy, "good", emb_params=rows(1, 32))
    (copy / "embeddings" / "readme.txt").write_text("what they are")
    with heard_messages() as heard:
        engine = load_engine(copy, "cpu")
    assert len(heard) == 2 and word in heard[0] and heard[0].endswith("the engine is used without it")
    assert torch.equal(engine.texts.encode("bad"), turbo.texts.encode("bad"))
    assert not torch.equal(engine.texts.encode("good"), turbo.texts.encode("good"))
    with pytest.raises(EngineError, match=word) as caught:
        read_inversions(bad, [32])
    assert "\n" not in str(caught.value)


def test_the_syntax_of_other_programs_leaves_its_name(copy: Path) -> None:
    write(copy, "toy", **{"<cat-toy>": rows(1, 32)})
    engine = load_engine(copy, "cpu")
    text = rewritten("(<cat-toy>:1.2) AND sea", None)
    assert torch.equal(engine.texts.encode(text), engine.texts.encode("<cat-toy>, sea"))


def test_two_files_with_one_name_are_told(copy: Path) -> None:
    write(copy, "a", emb_params=rows(1, 32))
    write(copy, "b", **{"A": rows(1, 32, 1), "x": rows(1, 32)})
    with heard_messages() as heard:
        load_engine(copy, "cpu")
    assert "another embedding is called A" in heard[0]


def test_words_are_replaced_and_parts_of_words_are_not() -> None:
    expand = Expansion({"ab": "[1]", "<ab>": "[2] [3]", "c.d": "[4]"})
    assert expand("AB abc <ab> c.d cxd ab,ab").split() == ["[1]", "abc", "[2]", "[3]", "[4]", "cxd", "[1]", ",", "[1]"]
    assert Expansion({})("ab") == "ab"


@pytest.mark.parametrize("text", ["c\u0131ty", "\u017fky", "\u212aind", "\u0130"])
def test_letters_whose_case_is_not_the_names_are_no_error(text: str) -> None:
    """As a Turkish keyboard writes them: `re` takes a dotless i for an i, and lower case does not."""
    Expansion({"city": "[1]", "sky": "[1]", "kind": "[1]", "i\u0307": "[1]"})(text)
