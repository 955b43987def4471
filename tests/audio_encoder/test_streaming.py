"""The streaming TPoS encoder: block sizes, levels, gaps, and its folder."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest

from tpos_live.audio_encoder.checkpoint import EncoderError, read_encoder, text_hash, write_encoder
from tpos_live.audio_encoder.load import FOLDER, open_encoder
from tpos_live.audio_encoder.protocol import AudioEmbedding, AudioEncoder
from tpos_live.audio_encoder.rule_based import RuleBasedEncoder
from tpos_live.audio_encoder.streaming import FIRST_BANDS, FIRST_HOPS, Layout, TposEncoder

RATE = 48_000
TINY = Layout(channels=(4, 6), width=16, dim=8, query=4, rows=2, memory=20)


def random_weights(layout: Layout, seed: int = 0) -> dict[str, np.ndarray]:
    """Untrained weights in the shapes that `EncoderNet.export` writes."""
    rng = np.random.default_rng(seed)
    widths = (2, *layout.channels)
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        shapes[f"conv.{index}"] = (FIRST_HOPS, 2, FIRST_BANDS, after) if index == 0 else (3, before, 3, after)
    shapes[f"conv.{len(layout.channels)}"] = (3, layout.channels[-1] * layout.bands, layout.width)
    shapes["lstm"] = (2 * layout.width, 4 * layout.width)
    shapes["heads"] = (2 * layout.width, sum(layout.heads))
    weights = {"ageing": np.array([0.05], np.float32), "audible": np.array([45.0], np.float32)}
    for name, shape in shapes.items():
        inputs = np.prod(shape[:-1])
        weights[f"{name}.weight"] = (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
        weights[f"{name}.bias"] = (0.1 * rng.standard_normal(shape[-1])).astype(np.float32)
    return weights


def encoder(layout: Layout = TINY) -> TposEncoder:
    return TposEncoder(layout, random_weights(layout))


def sound(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise whose level and spectrum change all the time."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    swell = np.interp(np.arange(count), np.linspace(0, count, 12), rng.uniform(0.05, 1.0, 12))
    made = rng.standard_normal(count) * swell
    return (level * np.where(rng.random() < 0.5, made, np.cumsum(made) / 60)).astype(np.float32)


def close(a: list[AudioEmbedding], b: list[AudioEmbedding]) -> bool:
    return len(a) == len(b) and all(
        x.time == y.time and abs(x.density - y.density) < 1e-5 and np.abs(x.vector - y.vector).max() < 1e-5
        for x, y in zip(a, b, strict=True)
    )


def test_it_is_an_encoder() -> None:
    hearing: AudioEncoder = encoder()
    found = hearing.push(sound(1.0))
    assert hearing.name == "tpos" and hearing.dim == 8 and hearing.period == 0.02
    assert len(found) == 50 and found[-1].time == pytest.approx(1.0)
    for embedding in found[10:]:
        assert embedding.vector.dtype == np.float32 and np.linalg.norm(embedding.vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("size", [1, 7, 113, 479, 480, 481, 1024, 4096, 100_000])
def test_a_stream_equals_its_offline_run(size: int) -> None:
    heard = sound(0.25 if size == 1 else 3.0, seed=size)
    offline, stream, hearing = encoder().push(heard), [], encoder()
    for at in range(0, heard.size, size):
        stream += hearing.push(heard[at : at + size])
    assert close(stream, offline)


@pytest.mark.parametrize("seed", range(4))
def test_a_prefix_says_what_the_whole_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heard = sound(2.0, seed)
    end = int(rng.integers(RATE // 2, heard.size))
    whole, hearing, prefix, at = encoder().push(heard), encoder(), [], 0
    while at < end:
        block = min(int(rng.integers(1, 3000)), end - at)
        prefix += hearing.push(heard[at : at + block])
        at += block
    assert close(prefix, whole[: len(prefix)]) and len(prefix) == end // 480 // 2


def test_the_reset_forgets_all() -> None:
    hearing = encoder()
    first = hearing.push(sound(1.5, 1))
    hearing.push(sound(1.0, 2)[:-100])
    hearing.reset()
    assert close(hearing.push(sound(1.5, 1)), first)


def test_the_memory_is_of_ten_seconds_and_no_longer() -> None:
    """Without an LSTM, sound older than the attention memory has no effect, also after many memory lengths."""
    layout = Layout(**{**TINY.__dict__, "lstm": False})
    after = sound(2.0, 3)
    ends = [encoder(layout).push(np.concatenate([sound(3.0, seed), after]))[-1] for seed in (1, 2)]
    assert close([ends[0]], [ends[1]])
    assert not close([encoder().push(np.concatenate([sound(3.0, 1), sound(0.2, 3)]))[-1]], [ends[0]])


def test_a_pause_does_not_count() -> None:
    """Sound 45 dB below the loudest step in memory does not change the embedding; sound 30 dB below does."""
    layout = Layout(**{**TINY.__dict__, "lstm": False})
    loud = sound(0.5, 3)
    ends = {
        db: encoder(layout).push(np.concatenate([loud, sound(0.2, 4, 0.1 * 10 ** (db / 20))]))[-1]
        for db in (-30, -70, -75)
    }
    assert close([ends[-70]], [AudioEmbedding(ends[-70].time, ends[-75].vector, ends[-70].density)])
    assert np.abs(ends[-30].vector - ends[-70].vector).max() > 1e-3


def test_below_sixty_decibels_the_weight_fades() -> None:
    def weight(db: float) -> float:
        level = 10 ** (db / 20)
        return encoder().push((level * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32))[-1].density

    loud, edge, faint, gone = (weight(db) for db in (-40, -61, -68, -80))
    assert loud > 0 and gone == 0.0 and edge > 2 * faint > 0.0


@pytest.mark.parametrize(
    "heard", [np.zeros(RATE), np.full(RATE, np.nan), np.full(RATE, np.inf), np.ones(RATE), 1e9 * sound(1.0)]
)
def test_embeddings_of_any_samples_are_finite(heard: np.ndarray) -> None:
    hearing = encoder()
    for embedding in hearing.push(heard.astype(np.float32)) + hearing.push(sound(1.0)):
        assert np.isfinite(embedding.vector).all() and 0.0 <= embedding.density <= 1.0
        assert embedding.vector.any() or embedding.density == 0.0


def test_after_six_seconds_of_silence_a_sound_has_an_embedding_again() -> None:
    hearing = encoder()
    hearing.push(sound(1.0))
    silent = hearing.push(np.zeros(6 * RATE, np.float32))
    assert silent[-1].density == 0.0 and not silent[-1].vector.any()
    assert hearing.push(sound(0.5))[-1].vector.any()


@pytest.mark.parametrize(("seconds", "forgotten"), [(1.0, False), (4.0, True)])
def test_what_was_before_a_long_silence_is_forgotten(seconds: float, forgotten: bool) -> None:
    silence = np.zeros(round(seconds * RATE), np.float32)
    ends = []
    for before in (sound(1.5, 1), sound(1.5, 2)):
        hearing = encoder()
        hearing.push(np.concatenate([before, silence]))
        ends.append([AudioEmbedding(0.0, found.vector, found.density) for found in hearing.push(sound(1.0, 3))])
    assert close(*ends) == forgotten


def test_it_costs_less_than_a_millisecond_a_hop() -> None:
    hearing, heard = TposEncoder(Layout(), random_weights(Layout())), sound(2.0)
    hearing.push(heard)
    begin = time.process_time()
    hearing.push(heard)
    assert (time.process_time() - begin) / 200 < 1e-3


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A folder with a placeholder for the text encoder."""
    for part in ("text_encoder/model.safetensors", "tokenizer/tokenizer.json"):
        (tmp_path / part).parent.mkdir()
        (tmp_path / part).write_bytes(b"words")
    return tmp_path


def write(engine: Path, **changes: object) -> Path:
    phrases = ["rain", "fire", "dog bark"]
    metadata = {
        "layout": TINY.describe(), "text_encoder": text_hash(engine), "phrases": phrases, "scenes": 2,
        "texts": ["rain", "dog bark"],
    }  # fmt: skip
    write_encoder(
        engine / FOLDER, random_weights(TINY) | {"phrases": np.eye(3, 8, dtype=np.float32)}, metadata | changes
    )
    return engine / FOLDER


def test_what_is_written_is_read(engine: Path) -> None:
    (engine / FOLDER).mkdir()
    (engine / FOLDER / "README.md").write_text("a card")
    hearing = read_encoder(write(engine), engine)
    assert close(hearing.push(sound(1.0)), encoder().push(sound(1.0)))
    assert hearing.phrases == ("rain", "fire", "dog bark") and hearing.scenes == 2 and hearing.vectors.shape == (3, 8)
    # Of Ember's scenes only that which a sound is called as well.
    assert hearing.labels == ("rain", "dog bark") and hearing.label_scores(np.eye(8)[2]).argmax() == 1
    assert sorted(path.name for path in (engine / FOLDER).iterdir()) == [
        "README.md",
        "encoder.json",
        "encoder.safetensors",
    ]
    opened, why = open_encoder(engine)
    assert isinstance(opened, TposEncoder) and why == ""


def test_another_text_encoder_is_refused_with_the_remedy(engine: Path) -> None:
    write(engine)
    (engine / "text_encoder/model.safetensors").write_bytes(b"other words")
    with pytest.raises(EncoderError, match=r"another text encoder.*tpos-live train encoder --data DIR"):
        read_encoder(engine / FOLDER, engine)
    opened, why = open_encoder(engine)
    assert isinstance(opened, RuleBasedEncoder) and "plain rules" in why and "\n" not in why


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', json.dumps({"format": 1, "layout": {"wings": 2, "channels": []}})]
)
def test_broken_metadata_is_refused_in_one_line(engine: Path, text: str) -> None:
    (write(engine) / "encoder.json").write_text(text)
    with pytest.raises(EncoderError, match="train it again") as caught:
        read_encoder(engine / FOLDER, engine)
    assert "\n" not in str(caught.value)


def test_kinds_of_music_without_their_weights_are_refused(engine: Path) -> None:
    write(engine, kinds=["rock music", "jazz music"])
    with pytest.raises(EncoderError, match=r"cannot be used.*kinds"):
        read_encoder(engine / FOLDER, engine)


def test_broken_weights_and_no_folder_are_refused(engine: Path) -> None:
    with pytest.raises(EncoderError, match="no audio encoder"):
        read_encoder(engine / FOLDER, engine)
    (write(engine) / "encoder.safetensors").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match="cannot be used"):
        read_encoder(engine / FOLDER, engine)
    assert isinstance(open_encoder(engine)[0], RuleBasedEncoder)


def test_the_audio_encoder_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys; from tpos_live.audio_encoder.load import open_encoder; open_encoder(); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_included_encoder_is_small_and_names_rain() -> None:
    """It fits the included text encoder, is small, and labels heavy rain as rain."""
    from tpos_live.core.paths import shipped
    from tpos_live.training.synth.sound_effects import make

    hearing, why = open_encoder()
    assert isinstance(hearing, TposEncoder) and why == ""
    files = list((shipped("engines") / "ember" / FOLDER).iterdir())
    assert sum(path.stat().st_size for path in files) < 16 * 2**20
    assert {"README.md", "ATTRIBUTION.md"} <= {path.name for path in files}
    heard = hearing.push(make("rain", 0.8, 3.0, 123))[-1]
    near = hearing.csls_scorer(hearing.vectors)(heard.vector)
    nearest = [hearing.phrases[index] for index in np.argsort(near)[::-1][:5]]
    assert any("rain" in phrase for phrase in nearest) and heard.density > 0.2
