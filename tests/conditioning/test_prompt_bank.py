from __future__ import annotations

import itertools
import threading
import zlib

import pytest
import torch
from fakes.waiting import wait_until

from tpos_live.conditioning.conditioning import MAX_REGIONS
from tpos_live.conditioning.prompt_bank import PromptBank, blend, fold
from tpos_live.conditioning.text_cache import CACHED, TextCache
from tpos_live.core.envelope import fade_weight
from tpos_live.core.parameter_store import ParameterStore, Snapshot
from tpos_live.core.spherical import slerp
from tpos_live.diffusion.sampling.region_blend import shares


def encode(text: str) -> torch.Tensor:
    """States [24, 128] that differ for each text."""
    seed = zlib.crc32(text.encode())
    return torch.nn.functional.layer_norm(torch.randn(24, 128, generator=torch.Generator().manual_seed(seed)), (128,))


def bank() -> PromptBank:
    return PromptBank(TextCache(encode, synchronous=True))


def snapshot_of(**values: object) -> Snapshot:
    return ParameterStore({name.replace("_", "."): value for name, value in values.items()}).snapshot()  # type: ignore[misc]


def at(prompts: PromptBank, now: float, snapshot: Snapshot) -> torch.Tensor:
    tokens = prompts.tokens(now, snapshot)
    assert tokens is not None
    return tokens


def test_blend_is_independent_of_order_and_near_slerp() -> None:
    a, b, c = encode("a"), encode("b"), encode("c")
    one = blend([(a, 0.2), (b, 0.3), (c, 0.5)])
    assert torch.allclose(one, blend([(c, 5.0), (a, 2.0), (b, 3.0)]), atol=1e-5)
    assert torch.allclose(blend([(a, 1), (b, 1)]), slerp(a, b, 0.5), atol=1e-3)


@pytest.mark.parametrize("text", ["", "x" * 10_000, "🔥🌊", "夜の街", "مدينة", "a\x00b\n\t"])
def test_any_text_gives_its_own_embedding(text: str) -> None:
    prompts = bank()
    assert torch.equal(at(prompts, 0.0, snapshot_of(prompt=text)), encode(text))


def test_fade_is_continuous_monotonic_and_ends() -> None:
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    goal = encode("fire")
    track = [at(prompts, n / 100, snapshot_of(prompt="fire")).clone() for n in range(1, 300)]
    distances = [float((state - goal).norm()) for state in track]
    assert all(b <= a + 1e-4 for a, b in itertools.pairwise(distances))
    steps = [float((b - a).norm()) for a, b in itertools.pairwise(track)]
    assert max(steps) < 0.02 * float((encode("sea") - goal).norm())
    assert torch.equal(track[-1], goal) and not torch.equal(track[190], goal)


def test_new_target_in_a_fade_starts_from_here() -> None:
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    at(prompts, 0.01, snapshot_of(prompt="fire"))
    before = at(prompts, 1.0, snapshot_of(prompt="fire")).clone()
    after = at(prompts, 1.001, snapshot_of(prompt="snow")).clone()
    assert float((after - before).norm()) < 0.01 * float(before.norm())
    back = at(prompts, 1.002, snapshot_of(prompt="sea"))
    assert float((back - before).norm()) < 0.01 * float(before.norm())
    assert torch.equal(at(prompts, 9.0, snapshot_of(prompt="sea")), encode("sea"))


def test_fade_of_zero_is_a_cut() -> None:
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    assert torch.equal(at(prompts, 0.01, snapshot_of(prompt="fire", prompt_fade=0)), encode("fire"))


def test_bank_blends_by_weight_and_selects() -> None:
    values: dict[str, object] = {"prompt": "sea", "prompt.1": "fire", "prompt.1.weight": 0.25}
    prompts = bank()
    mixed = at(prompts, 0.0, ParameterStore(values).snapshot())  # type: ignore[arg-type]
    assert torch.allclose(mixed, blend([(encode("sea"), 0.75), (encode("fire"), 0.25)]), atol=1e-5)
    alone = bank()
    selected = at(alone, 0.0, ParameterStore({**values, "prompt.select": 1}).snapshot())  # type: ignore[arg-type]
    assert torch.equal(selected, encode("fire"))
    full = at(bank(), 0.0, ParameterStore({**values, "prompt.1.weight": 1.0}).snapshot())  # type: ignore[arg-type]
    assert torch.equal(full, encode("fire"))


def test_weights_move_without_jumps() -> None:
    prompts, store = bank(), ParameterStore({"prompt": "sea", "prompt.1": "fire", "prompt.2": "snow"})
    states = []
    for n in range(400):
        if n == 50:
            store.set("prompt.1.weight", 0.8)
        if n == 200:
            store.update({"prompt.1.weight": 0.0, "prompt.2.weight": 1.0})
        states.append(at(prompts, n / 100, store.snapshot()).clone())
    steps = [float((b - a).norm()) for a, b in itertools.pairwise(states)]
    assert max(steps) < 0.2 * float((encode("sea") - encode("fire")).norm())
    assert torch.allclose(states[-1], encode("snow"), atol=0.05)


def test_never_blocks_and_keeps_the_old_prompt() -> None:
    gate, read = threading.Event(), list[str]()

    def slow(text: str) -> torch.Tensor:
        if text != "sea":
            gate.wait(20)
        read.append(text)
        return encode(text)

    with TextCache(slow) as texts:
        prompts = PromptBank(texts)
        assert wait_until(lambda: prompts.tokens(0.0, snapshot_of(prompt="sea")) is not None)
        for n in range(100):
            assert torch.equal(at(prompts, n / 100, snapshot_of(prompt="fire", prompt_fade=0)), encode("sea"))
        assert read == ["sea"], "it waited for the text"
        gate.set()
        assert wait_until(
            lambda: torch.equal(at(prompts, 2.0, snapshot_of(prompt="fire", prompt_fade=0)), encode("fire"))
        )


def test_cache_is_bounded_and_encodes_once() -> None:
    calls: list[str] = []

    def counted(text: str) -> torch.Tensor:
        calls.append(text)
        return encode(text)

    texts = TextCache(counted, synchronous=True)
    for n in range(3 * CACHED):
        texts.get(str(n))
    texts.get(str(3 * CACHED - 1))
    assert len(calls) == 3 * CACHED and len(texts._known) == CACHED


def test_a_failing_encoder_does_not_stop_the_show() -> None:
    full = [True]

    def broken(text: str) -> torch.Tensor:
        if text == "bad" and full[0]:
            raise RuntimeError("out of memory")
        return encode(text)

    texts = TextCache(broken, synchronous=True)
    prompts = PromptBank(texts)
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    assert torch.equal(at(prompts, 1.0, snapshot_of(prompt="bad")), encode("sea"))
    assert "bad" in texts.error
    at(prompts, 2.0, snapshot_of(prompt="bad"))
    assert "bad" in texts.error, "as long as it is wanted"
    at(prompts, 3.0, snapshot_of(prompt="sea"))
    assert texts.error == ""
    full[0] = False
    at(prompts, 4.0, snapshot_of(prompt="bad"))
    assert torch.equal(at(prompts, 9.0, snapshot_of(prompt="bad")), encode("bad")) and texts.error == "", (
        "it is tried again"
    )


def weights(prompts: PromptBank, *texts: str) -> list[float]:
    """The weight of each text in the newest tokens; checks that their sum is 1."""
    found = [sum(w for states, w in prompts.parts if torch.equal(states, encode(text))) for text in texts]
    assert sum(w for _, w in prompts.parts) == pytest.approx(1.0) and len(prompts.parts) <= MAX_REGIONS
    return found


def test_a_fade_is_made_of_its_two_prompts() -> None:
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    assert weights(prompts, "sea") == [1.0]
    at(prompts, 0.0, snapshot_of(prompt="fire"))
    for now, part in ((0.5, 0.25), (1.0, 0.5), (1.9, 0.95)):
        at(prompts, now, snapshot_of(prompt="fire"))
        share = fade_weight(part)
        assert weights(prompts, "sea", "fire") == pytest.approx([1 - share, share])
    at(prompts, 2.1, snapshot_of(prompt="fire"))
    assert weights(prompts, "fire") == [1.0]


def test_parts_do_not_jump_when_a_fade_is_interrupted() -> None:
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    at(prompts, 0.0, snapshot_of(prompt="fire"))
    at(prompts, 1.2, snapshot_of(prompt="fire"))
    at(prompts, 1.2, snapshot_of(prompt="snow"))
    assert weights(prompts, "sea", "fire", "snow") == pytest.approx([1 - fade_weight(0.6), fade_weight(0.6), 0.0])
    at(prompts, 1.4, snapshot_of(prompt="snow"))
    new = fade_weight(0.1)
    old = [(1 - new) * (1 - fade_weight(0.6)), (1 - new) * fade_weight(0.6)]
    assert weights(prompts, "sea", "fire", "snow") == pytest.approx([*old, new])
    at(prompts, 1.4, snapshot_of(prompt="sea"))  # and back: what is left of it goes on from where it is
    at(prompts, 2.0, snapshot_of(prompt="sea"))
    assert weights(prompts, "sea")[0] > 0.3
    at(prompts, 3.5, snapshot_of(prompt="sea"))
    assert weights(prompts, "sea") == [1.0]


def test_the_new_prompts_area_grows_evenly_through_a_fade() -> None:
    """One third of the area in each third of the time; linear weights would give 26 %, 48 % and 26 %."""
    area = [shares([1 - weight, weight])[1] for weight in (fade_weight(n / 60) for n in range(61))]
    assert [area[20], area[40]] == pytest.approx([1 / 3, 2 / 3], abs=0.02)
    assert (area[0], area[60]) == pytest.approx((0.0, 1.0))
    steps = [after - before for before, after in itertools.pairwise(area)]
    assert min(steps) > 0.0 and max(steps) < 1.2 / 60


def test_parts_keep_their_order_through_a_fade() -> None:
    """The engine draws the first and the last part in different areas: a swapped order would swap the areas."""
    prompts = bank()
    at(prompts, 0.0, snapshot_of(prompt="sea"))
    at(prompts, 0.0, snapshot_of(prompt="fire"))
    for now in (0.2, 0.9, 1.1, 1.8):
        at(prompts, now, snapshot_of(prompt="fire"))
        assert [torch.equal(states, encode("fire")) for states, _ in prompts.parts] == [False, True]


def test_folding_keeps_the_sum_and_joins_the_weakest() -> None:
    a, b, c, d = (encode(text) for text in "abcd")
    folded = fold([(a, 0.4), (b, 0.1), (c, 0.3), (d, 0.2)], 3)
    assert [round(weight, 6) for _, weight in folded] == [0.4, 0.3, 0.3]
    assert folded[0][0] is a and folded[2][0] is c
    assert any(torch.allclose(states, blend([(b, 0.1), (d, 0.2)])) for states, _ in folded)
    assert [weight for _, weight in fold([(a, 0.5), (b, 0.25), (a, 0.25)], 3)] == pytest.approx([0.75, 0.25])


def test_slots_with_weight_are_parts() -> None:
    prompts = bank()
    values = {"prompt": "sea", "prompt.1": "fire", "prompt.1.weight": 0.25}
    at(prompts, 0.0, ParameterStore(values).snapshot())  # type: ignore[arg-type]
    assert weights(prompts, "sea", "fire") == pytest.approx([0.75, 0.25])
