from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from fakes.made_states import encode, encode_all

from tpos_live.audio_encoder.csls import CslsScorer
from tpos_live.audio_encoder.protocol import AudioEmbedding
from tpos_live.conditioning.audio_conditioner import FAINT, HOLD, NEW, SLEW, SURE, PhraseBankConditioner
from tpos_live.conditioning.builder import ConditioningBuilder
from tpos_live.conditioning.conditioning import Conditioning, EditDirections, Regions
from tpos_live.conditioning.directed_scene import DirectedScene
from tpos_live.conditioning.phrase_conditioner import choose_audio_conditioner
from tpos_live.conditioning.prompt_bank import PromptBank
from tpos_live.conditioning.text_cache import TextCache
from tpos_live.core.frame_params import FrameParams
from tpos_live.core.parameter_store import ParameterStore

CONCEPTS = ("rain", "fire", "birds")
LOUD = FrameParams(audio_weight=0.5)


def embedding(concept: int, density: float = 1.0) -> AudioEmbedding:
    return AudioEmbedding(0.0, np.eye(3, dtype=np.float32)[concept], density)


@dataclasses.dataclass
class Built:
    """A builder and its newest result."""

    builder: ConditioningBuilder
    last: Conditioning | None = None

    @property
    def regions(self) -> Regions | None:
        return self.last.regions if self.last else None

    @property
    def edits(self) -> EditDirections | None:
        return self.last.edits if self.last else None


def builder(sound: bool = True, hears: bool = True, mode: str = "append") -> Built:
    texts = TextCache(encode, synchronous=True)
    audio = PhraseBankConditioner(CONCEPTS, encode_all, 4) if sound else None
    return Built(ConditioningBuilder(PromptBank(texts), audio, DirectedScene(texts), 28, hears, mode))


def mix(m: Built, now: float, params: FrameParams, heard: AudioEmbedding | None, **values: object) -> torch.Tensor:
    store = ParameterStore({"prompt": "sea", **{k.replace("_", "."): v for k, v in values.items()}})  # type: ignore[arg-type]
    m.last = m.builder.build(now, store.snapshot(), params, heard)
    assert m.last is not None
    return m.last.prompt_embeds.clone()


@pytest.mark.parametrize("hears", [True, False])
def test_weight_zero_is_exactly_no_sound(hears: bool) -> None:
    silent = mix(builder(False, hears), 0.0, LOUD, None)
    assert silent.shape == (28, 128)
    assert torch.equal(silent[24:], torch.zeros(4, 128) if hears else encode("sea")[20:])
    for mode in ("append", "blend", "grow"):
        for params, heard in ((FrameParams(audio_weight=0.0), embedding(1)), (LOUD, embedding(1, 0.0)), (LOUD, None)):
            m = builder(hears=hears)
            for n in range(100):
                mixed = mix(m, n / 30, params, heard, audio_mode=mode)
            assert torch.equal(mixed, silent) and m.regions is None


def test_append_leaves_the_prompt_alone_and_blend_turns_it() -> None:
    appended, blended = builder(), builder()
    for n in range(300):
        one = mix(appended, n / 30, LOUD, embedding(1))
        two = mix(blended, n / 30, LOUD, embedding(1), audio_mode="blend")
    assert torch.equal(one[:24], encode("sea"))
    assert torch.allclose(one[24:], 0.5 * encode("fire")[1:5], atol=0.02)
    closer = float((two[:24] - encode("fire")).norm())
    assert closer < 0.8 * float((encode("sea") - encode("fire")).norm())
    whole = builder(hears=False)
    for n in range(300):
        three = mix(whole, n / 30, FrameParams(audio_weight=1.0), embedding(1))
    assert torch.allclose(three[24:], encode("fire")[1:5], atol=0.02)


def test_a_change_of_class_takes_about_two_seconds_without_a_jump() -> None:
    m = builder()
    for n in range(200):
        mixed = mix(m, n / 50, LOUD, embedding(0))
    start, states = mixed, []
    for n in range(200, 400):
        states.append(mix(m, n / 50, LOUD, embedding(2)))
    end = states[-1]
    way = float((end - start).norm())
    moved = [float((state - start).norm()) / way for state in states]
    reached = next(n for n, share in enumerate(moved) if share > 0.9) / 50
    assert 0.5 < reached <= SLEW
    steps = [float((b - a).norm()) for a, b in zip([start, *states], states, strict=False)]
    assert max(steps) < 0.1 * way


@pytest.mark.parametrize("each", [0.06, 0.7])
def test_a_flickering_class_is_held_once_it_is_not_new(each: float) -> None:
    sound = PhraseBankConditioner(CONCEPTS, encode_all, 4)
    leaders = []
    for n in range(1000):
        sound.follow(embedding(int(n / 50 / each) % 2), n / 50)
        leaders.append(int(sound._all.goal.argmax()))
    changes = [n / 50 for n in range(1, 1000) if leaders[n] != leaders[n - 1]]
    later = [at for at in changes if at >= NEW]
    assert len(changes) > len(later), "what is new is not held"
    assert all(b - a >= HOLD - 1e-6 for a, b in itertools.pairwise(later))
    assert bool(later) == (each > SURE), "and what comes for a moment does not count"


def grown(classes: list[int], before: float = 0.0) -> list[tuple[float, np.ndarray]]:
    """Strength and phrase weights after each 20 ms of a sound that begins in silence. before: density of a hum in that
    silence."""
    sound = PhraseBankConditioner(CONCEPTS, encode_all, 4)
    for n in range(200):
        sound.follow(AudioEmbedding(0.0, embedding(2).vector, before), n / 50)
    found = []
    for n, one in enumerate(classes, 200):
        sound.follow(embedding(one), n / 50)
        found.append((sound.strength(), sound._all.weights.copy()))
    return found


@pytest.mark.parametrize("before", [0.0, 0.5 * FAINT])
def test_a_new_sounds_first_guess_is_taken_back(before: float) -> None:
    seen = grown([0] * 10 + [1] * 60, before)
    assert seen[5][1].argmax() == 0 and seen[25][1].argmax() == 1  # 0.5 s, where it was held for 1.5 s
    assert seen[-1][1][1] > 0.9
    wrong = sum(strength * (1 - weights[1]) for strength, weights in seen)
    assert wrong < 0.1 * sum(strength for strength, _weights in seen)
    steps = [abs(b[0] * b[1] - a[0] * a[1]).max() for a, b in itertools.pairwise(seen)]
    assert max(steps) < 0.05  # of the picture, in 20 ms


def test_a_new_sound_grows_slowly_at_first_and_is_there_after_a_second() -> None:
    seen = [strength for strength, _weights in grown([1] * 150)]
    assert seen[9] < 0.1 and 0.5 < seen[49] < seen[149] and seen[149] > 0.95
    assert all(b >= a for a, b in itertools.pairwise(seen))


def test_changing_the_mode_does_not_jump() -> None:
    m = builder()
    for n in range(200):
        before = mix(m, n / 50, LOUD, embedding(1))
    states = [mix(m, 4 + n / 50, LOUD, embedding(1), audio_mode="blend") for n in range(100)]
    steps = [float((b - a).norm()) for a, b in zip([before, *states], states, strict=False)]
    assert max(steps) < 0.1 * float((states[-1] - before).norm())


def test_invalid_embeddings_are_ignored() -> None:
    sound = PhraseBankConditioner(CONCEPTS, encode_all, 4)
    sound.follow(embedding(1), 0.0)
    sound.follow(AudioEmbedding(0.0, np.full(3, np.nan, np.float32), 1.0), 1.0)
    sound.follow(AudioEmbedding(0.0, np.ones(7, np.float32), 1.0), 2.0)
    assert torch.isfinite(sound.sentence()).all()
    sound.follow(AudioEmbedding(0.0, np.zeros(3, np.float32), 0.0), 3.0)
    for n in range(200):
        sound.follow(None, 3 + n / 10)
    assert sound.strength() == 0.0 and sound.heard() == ""


def test_the_conditioner_is_chosen_by_what_the_encoder_offers() -> None:
    @dataclasses.dataclass
    class Named:
        concepts: tuple[str, ...] = CONCEPTS

    assert isinstance(choose_audio_conditioner(Named(), encode_all, 4), PhraseBankConditioner)
    assert choose_audio_conditioner(object(), encode_all, 4) is None


def test_without_a_prompt_a_sound_that_is_there_has_the_whole_image() -> None:
    m, values = builder(), {"prompt": "", "audio_mode": "blend"}
    whole = FrameParams(audio_weight=1.0)
    for n in range(200):
        found = mix(m, 0.1 * n, whole, embedding(0, 0.4), **values)
    assert torch.allclose(found[:24], encode("rain"), atol=1e-4)
    said = mix(m, 20.1, whole, embedding(0, 0.4), prompt="sea", audio_mode="blend")
    assert (said - found).abs().mean() < 0.3, "a prompt comes back on a fade"


def test_a_fade_gives_each_prompt_a_region_with_the_sound_unless_they_are_mixed() -> None:
    m = builder()
    mix(m, 0.0, LOUD, None, prompt="sea")
    assert m.regions is None
    mix(m, 0.0, LOUD, None, prompt="fire")
    for n in range(31):
        mixed = mix(m, n / 30, LOUD, embedding(1), prompt="fire")
    assert m.regions is not None and m.regions.weights == pytest.approx((0.5, 0.5))
    found = {text for text in ("sea", "fire") for one in m.regions.prompt_embeds if torch.equal(one[:24], encode(text))}
    assert found == {"sea", "fire"}
    assert all(torch.equal(one[24:], mixed[24:]) for one in m.regions.prompt_embeds), "both hear the same"
    mix(m, 1.1, LOUD, embedding(1), prompt="fire", prompt_between="mix")
    assert m.regions is None
    mix(m, 2.5, LOUD, embedding(1), prompt="fire")
    assert m.regions is None


@pytest.mark.parametrize("hears", [True, False])
def test_a_sound_that_grows_is_a_scene_beside_the_prompt(hears: bool) -> None:
    m = builder(hears=hears, mode="grow")
    for n in range(300):
        mix(m, n / 30, LOUD, embedding(1))
    assert m.regions is not None and m.regions.weights == pytest.approx((1 - 0.5**0.75, 0.5**0.75), abs=0.01)
    prompt, sound = m.regions.prompt_embeds
    assert torch.equal(prompt[:24], encode("sea")) and torch.allclose(sound[:24], encode("fire"), atol=0.02)
    rest = torch.zeros(2, 4, 128) if hears else torch.stack([prompt[20:24], sound[20:24]])
    assert torch.equal(m.regions.prompt_embeds[:, 24:], rest), "as in silence: each scene is a text"


def test_a_sound_grows_and_goes_without_a_jump() -> None:
    m, shares = builder(mode="grow"), []
    for n in range(600):
        mix(m, n / 50, LOUD, embedding(1, 1.0 if 100 < n < 300 else 0.0))
        shares.append(m.regions.weights[-1] if m.regions else 0.0)
    assert max(shares) > 0.5 and shares[0] == shares[-1] == 0.0
    eased = np.array(shares) ** 2 * (3 - 2 * np.array(shares))
    assert np.abs(np.diff(eased)).max() < 0.05


def test_the_engine_s_own_mode_is_taken_where_nobody_says_otherwise() -> None:
    for own, asked in itertools.product(("append", "grow"), ("auto", "append", "grow")):
        m = builder(mode=own)
        for n in range(100):
            mix(m, n / 30, LOUD, embedding(1), audio_mode=asked)
        assert (m.regions is not None) == ((own if asked == "auto" else asked) == "grow")


def test_the_sound_keeps_a_scene_of_its_own_beside_many_prompts() -> None:
    m = builder(mode="grow")
    slots = {f"prompt_{n}": text for n, text in enumerate(("sea", "birds", "dunes"), 1)}
    slots |= {f"prompt_{n}_weight": 0.3 for n in (1, 2, 3)}
    for n in range(100):
        mix(m, n / 30, LOUD, embedding(1), **slots)
    assert m.regions is not None and len(m.regions.weights) == 3 and sum(m.regions.weights) == pytest.approx(1)
    assert torch.allclose(m.regions.prompt_embeds[-1, :24], encode("fire"), atol=0.02)


def test_without_a_prompt_a_sound_that_grows_has_the_whole_image() -> None:
    m = builder(mode="grow")
    for n in range(200):
        found = mix(m, 0.1 * n, LOUD, embedding(0, 0.4), prompt="")
    assert m.regions is None and torch.allclose(found[:24], encode("rain"), atol=1e-4)


def test_the_mood_of_the_sound_reaches_every_scene() -> None:
    @dataclasses.dataclass
    class Moody:
        phrases: tuple[str, ...] = CONCEPTS
        vectors: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3, dtype=np.float32))
        scenes: int = 3
        moods: tuple[str, ...] = ("birds",)

        def csls_scorer(self, places: np.ndarray) -> CslsScorer:
            return CslsScorer(places)

    heard = AudioEmbedding(0.0, np.array([0.7, 0.0, 0.714], np.float32), 1.0)
    alone = AudioEmbedding(0.0, np.array([0.0, 0.0, 1.0], np.float32), 1.0)
    for hears in (True, False):
        texts, audio = TextCache(encode, synchronous=True), choose_audio_conditioner(Moody(), encode_all, 4)
        m = Built(ConditioningBuilder(PromptBank(texts), audio, DirectedScene(texts), 28, hears, "grow"))
        for n in range(300):
            mix(m, n / 30, LOUD, heard)
        assert m.regions is not None and torch.allclose(m.regions.prompt_embeds[1, :24], encode("rain"), atol=0.05)
        if hears:
            assert all(torch.allclose(scene[24:], encode("birds")[1:5], atol=0.05) for scene in m.regions.prompt_embeds)
        else:
            assert torch.equal(m.regions.prompt_embeds[0], torch.cat([encode("sea"), encode("sea")[20:]]))
        for n in range(300):
            mixed = mix(m, 10 + n / 30, LOUD, alone)
        assert m.regions is None and torch.equal(mixed[:24], encode("sea")), "a mood shows nothing of its own"
        if hears:
            assert torch.allclose(mixed[24:], encode("birds")[1:5], atol=0.05)


def test_the_builder_reports_each_new_prompt() -> None:
    """Live and offline share this path: the builder reports the prompt, not its callers."""
    told: list[str] = []
    texts = TextCache(encode, synchronous=True)
    m = Built(ConditioningBuilder(PromptBank(texts), None, DirectedScene(texts), 28, follow=told.append))
    mix(m, 0.0, LOUD, None)
    mix(m, 0.1, LOUD, None, prompt="fire")
    assert told == ["sea", "fire"]
