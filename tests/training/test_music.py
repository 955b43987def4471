"""Made music: kind and mood are known, the busier the more notes; and what is said of music that a teacher heard."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from tpos_live.audio.source import RATE
from tpos_live.training.audio_model.clips import made_music
from tpos_live.training.audio_model.sound_to_scene import SHOWN
from tpos_live.training.audio_model.yamnet_teacher import LONGEST, STRETCHES, stretches
from tpos_live.training.errors import DataError
from tpos_live.training.synth.genre_tags import FAINT, KINDS, TIMBRE_SHARE, TIMBRES, in_words, split_music_labels
from tpos_live.training.synth.music import song
from tpos_live.training.synth.score import Score
from tpos_live.training.synth.styles import DRUMS, STYLES


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def soundfont(path: Path, instruments: int = 128) -> Path:
    """The least that is a soundfont: one looped wave, which is all instruments and the drum kit."""
    wave = (12_000 * np.sin(2 * np.pi * np.arange(4_800) / 48)).astype("<i2")
    smpl = wave.tobytes() + b"\0" * 92
    name = b"wave".ljust(20, b"\0")
    banks = [(number, 0) for number in range(instruments)] + [(0, DRUMS)]
    presets = b"".join(
        struct.pack("<20sHHHIII", name, number, bank, bag, 0, 0, 0) for bag, (number, bank) in enumerate(banks)
    ) + struct.pack("<20sHHHIII", b"EOP".ljust(20, b"\0"), 0, 0, len(banks), 0, 0, 0)
    parts = [
        (b"phdr", presets),
        (b"pbag", b"".join(struct.pack("<HH", bag, 0) for bag in range(len(banks) + 1))),
        (b"pmod", b"\0" * 10),
        (b"pgen", struct.pack("<HH", 41, 0) * len(banks) + b"\0" * 4),
        (b"inst", struct.pack("<20sH", name, 0) + struct.pack("<20sH", b"EOI".ljust(20, b"\0"), 1)),
        (b"ibag", struct.pack("<4H", 0, 0, 2, 0)),
        (b"imod", b"\0" * 10),
        (b"igen", struct.pack("<6H", 54, 1, 53, 0, 0, 0)),
        (b"shdr", struct.pack("<20sIIIIIBbHH", name, 0, 4_800, 48, 4_752, RATE, 81, 0, 0, 1)
         + struct.pack("<20sIIIIIBbHH", b"EOS".ljust(20, b"\0"), 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    ]  # fmt: skip
    info = (
        b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0") + chunk(b"INAM", b"tiny\0\0")
    )
    body = chunk(b"LIST", info) + chunk(b"LIST", b"sdta" + chunk(b"smpl", smpl))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(key, data) for key, data in parts))
    path.write_bytes(chunk(b"RIFF", b"sfbk" + body))
    return path


def needs_tinysoundfont() -> None:
    if not os.environ.get("NEEDS_SOUNDFONT"):
        pytest.importorskip("tinysoundfont", reason="plays made music, in training alone")


@pytest.fixture(scope="module")
def font(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_tinysoundfont()
    return soundfont(tmp_path_factory.mktemp("font") / "tiny.sf2")


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_is_heard_and_the_same_twice(style: str, font: Path) -> None:
    made = song(style, 0.5, 1.0, 7, font)
    assert made.sound.shape == (RATE,) and np.isfinite(made.sound).all()
    assert np.sqrt(np.mean(made.sound**2)) > 0.01
    assert -1 <= made.energy <= 1 and -1 <= made.light <= 1
    assert np.array_equal(made.sound, song(style, 0.5, 1.0, 7, font).sound)
    assert not np.array_equal(made.sound, song(style, 0.5, 1.0, 8, font).sound)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_the_busier_the_more_notes(style: str) -> None:
    """Beat for beat, over several pieces; what is written, without a soundfont."""
    made = STYLES[style]

    def notes(busy: float) -> int:
        count = 0
        for seed in range(20):
            score = Score(np.random.default_rng(seed), 0.5, 32.0, 50, made.scales[0], made.chords[0], busy)
            for part in made.parts:
                part.write(score)
            count += len(score.notes)
        return count

    assert notes(0.9) >= notes(0.1)
    # and where it is not, the tempo makes it so
    assert notes(0.9) > notes(0.1) or made.tempo[1] > 1.1 * made.tempo[0]


def test_calm_dark_and_driving_styles_are_called_so(font: Path) -> None:
    assert song("ambient music", 0.3, 1.0, 0, font).energy < -0.5
    techno, metal = song("techno music", 0.9, 1.0, 0, font), song("heavy metal music", 0.9, 1.0, 0, font)
    assert techno.energy == 1.0 and metal.light < -0.8
    assert song("chiptune music", 0.5, 1.0, 1, font).light > 0.5


def test_made_music_is_told_in_words(font: Path) -> None:
    songs = list(made_music(1, 0, font))
    assert len(songs) == len(STYLES) and len({one.name for one in songs}) == len(STYLES)
    for one in songs:
        style = one.name.split("/")[0]
        assert next(iter(one.labels)) == KINDS[style][0] and sum(one.labels.values()) == pytest.approx(1)
        assert one.mono.dtype == np.float32 and np.abs(one.mono).max() <= 4.0


def test_a_file_that_is_no_soundfont_is_named(tmp_path: Path) -> None:
    needs_tinysoundfont()
    (tmp_path / "a.sf2").write_bytes(b"nothing")
    for path in (tmp_path / "a.sf2", tmp_path / "none.sf2"):
        with pytest.raises(DataError, match=r"\.sf2 is not a soundfont") as raised:
            song("techno music", 0.5, 1.0, 0, path)
        assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="has no instrument"):
        song("choir music", 0.5, 1.0, 0, soundfont(tmp_path / "one.sf2", instruments=1))


def test_styles_have_words_and_kinds_have_scenes() -> None:
    assert set(STYLES) <= set(KINDS)
    assert {name for names in TIMBRES.values() for name in names} <= {told[0] for told in KINDS.values()}
    names = {told[0] for kind, told in KINDS.items() if len(told) > 1 or kind in STYLES}
    assert names <= set(SHOWN)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_shares_add_up(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    for energy, light in [(0.0, 0.0), *rng.uniform(-1, 1, (5, 2)).tolist()]:
        words = in_words(kind, energy, light)
        assert sum(words.values()) == pytest.approx(1) and min(words.values()) > 0
        assert next(iter(words)) == KINDS[kind][0]


def test_music_is_told_by_its_kinds() -> None:
    labels = split_music_labels({"music": 0.9, "techno": 0.04, "house music": 0.02, "clang": 0.3, "jazz": FAINT / 2})
    assert "music" not in labels and "jazz music" not in labels and labels["clang"] == 0.3
    assert sum(labels.values()) == pytest.approx(1.2)
    assert labels["techno music"] == pytest.approx(2 * labels["house music"])
    assert labels["electronic music"] == pytest.approx(0.9 * TIMBRE_SHARE) and labels["energetic"] > 0.3
    # What is not surely music, or of no kind, stays as it is, but a kind that is no word of ours.
    for other in ({"music": 0.3, "techno": 0.04}, {"music": 0.9, "techno": FAINT / 2}, {"music": 0.9}, {"rain": 0.8}):
        assert split_music_labels(other) == {name: score for name, score in other.items() if name != "techno"}
    assert split_music_labels(in_words("techno music", 1.0, -0.5)) == in_words("techno music", 1.0, -0.5)


def test_long_files_are_heard_in_stretches() -> None:
    short = np.arange(12 * RATE, dtype=np.float32)
    assert [one.name for one in stretches("a", short)] == ["a"]
    assert len(stretches("a", short)[0].mono) == LONGEST * RATE
    for seconds in (30, 65, 600):
        mono = np.arange(seconds * RATE, dtype=np.float32)
        found = stretches("b.ogg", mono)
        assert len(found) == min(seconds // 15, STRETCHES) and len({one.name for one in found}) == len(found)
        assert all(len(one.mono) == LONGEST * RATE for one in found)
        begin = [one.mono[0] for one in found]
        assert begin[0] > 0 and np.diff(begin).min() > LONGEST * RATE, "none overlap, none begins at the beginning"
        assert [int(one.name.split("@")[1]) for one in found] == [int(at // RATE) for at in begin]
