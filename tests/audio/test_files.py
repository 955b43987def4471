from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tpos_live.audio.files import AudioClip, open_audio, read_audio, stream_audio
from tpos_live.audio.source import RATE, AudioError


def sine(rate: int, seconds: float = 1.0, channels: int = 2) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels"),
    [
        ("a.wav", "PCM_16", 48_000, 2),
        ("a.wav", "PCM_U8", 44_100, 1),
        ("a.wav", "PCM_24", 96_000, 2),
        ("a.wav", "FLOAT", 48_000, 6),
        ("a.wav", "PCM_16", 8_000, 1),
        ("a.flac", "PCM_16", 44_100, 2),
        ("a.ogg", "VORBIS", 48_000, 2),
        ("a.ogg", "VORBIS", 44_100, 1),
        ("a.aiff", "PCM_16", 44_100, 2),
        ("a.mp3", "MPEG_LAYER_III", 44_100, 2),
        ("a.opus", "OPUS", 48_000, 2),
    ],
)
def test_any_format_rate_and_channels_become_stereo_at_48_khz(
    tmp_path: Path, name: str, subtype: str, rate: int, channels: int
) -> None:
    container = "OGG" if name.endswith("opus") else None
    soundfile.write(tmp_path / name, sine(rate, 2, channels), rate, subtype, format=container)
    sound = read_audio(tmp_path / name)
    assert sound.dtype == np.float32 and sound.shape[1] == 2
    assert len(sound) == pytest.approx(2 * RATE, abs=0.06 * RATE)  # MP3 pads its ends
    middle = sound[RATE // 2 : RATE // 2 + RATE]
    assert np.abs(np.fft.rfft(middle[:, 0])).argmax() == 440
    assert middle.std() == pytest.approx(0.3536, abs=0.01)
    assert np.allclose(sound[:, 0], sound[:, 1], atol=1e-3)


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(44_100, 5), 44_100)
    assert len(read_audio(tmp_path / "a.wav", 1.5)) == 1.5 * RATE
    assert len(read_audio(tmp_path / "a.wav", 99)) == pytest.approx(5 * RATE, abs=2)
    assert read_audio(str(tmp_path / "a.wav"), 0.001).shape == (48, 2)


def test_chosen_channels(tmp_path: Path) -> None:
    samples = sine(48_000, 0.1, 4) * np.array([0, 1, 0, 0], np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 48_000)
    heard = [max(np.abs(b).max() for b in AudioClip(tmp_path / "a.wav", None, c).blocks()) for c in ((2,), (1, 3))]
    assert heard == pytest.approx([0.5, 0.0], abs=1e-3)
    with pytest.raises(AudioError, match="channels 1 to 4"):
        next(AudioClip(tmp_path / "a.wav", None, (5,)).blocks())


def test_streaming_equals_reading(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (100_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 44_100, "FLOAT")
    streams = []
    for block in (777, 4096, 1 << 20):
        with open_audio(tmp_path / "a.wav") as file:
            streams.append(np.concatenate(list(stream_audio(file, live=False, block=block))))
    assert np.array_equal(streams[0], streams[1]) and np.array_equal(streams[0], streams[2])
    assert np.array_equal(streams[0], read_audio(tmp_path / "a.wav"))


def test_a_loop_has_no_seam(tmp_path: Path) -> None:
    """A sine of whole periods, looped at 44.1 kHz, gives a seamless sine at 48 kHz."""
    soundfile.write(tmp_path / "a.wav", sine(44_100, 0.5, 1), 44_100, "FLOAT")
    heard = []
    with open_audio(tmp_path / "a.wav") as file:
        for block in stream_audio(file, loop=True):
            heard.append(block)
            if sum(map(len, heard)) > 3 * RATE:
                break
    sound = np.concatenate(heard)[1000:, 0]
    wanted = 0.5 * np.sin(2 * np.pi * 440 * (1000 + np.arange(len(sound))) / RATE)
    assert np.abs(sound - wanted).max() < 0.002


def test_what_is_not_a_number_is_silence(tmp_path: Path) -> None:
    samples = sine(48_000, 0.1)
    samples[100:110] = np.nan
    samples[200] = np.inf
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    sound = read_audio(tmp_path / "a.wav")
    assert np.isfinite(sound).all() and not sound[100:110].any() and not sound[200].any()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_a_file_cut_short_plays_as_far_as_it_goes(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, np.random.default_rng(0).uniform(-0.3, 0.3, (200_000, 2)), 48_000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 6 // 10])
    sound = read_audio(tmp_path / name)
    assert 0.3 * 200_000 < len(sound) < 0.8 * 200_000


def _broken(folder: Path) -> list[tuple[str, str]]:
    (folder / "text.wav").write_text("this is not sound\n" * 100)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(5000))
    soundfile.write(folder / "hollow.wav", np.zeros((0, 2)), 48_000)
    (folder / "header.flac").write_bytes(b"fLaC")
    return [
        ("missing.wav", "no such sound file"),
        (".", "folder, not a sound file"),
        ("text.wav", "cannot be read as sound"),
        ("empty.wav", "is empty"),
        (os.devnull, "is a device or a pipe"),
        ("noise.mp3", "cannot be read as sound|no sound in it|damaged"),
        ("hollow.wav", "no sound in it"),
        ("header.flac", "cannot be read as sound"),
    ]


def test_what_is_no_sound_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, message in _broken(tmp_path):
        with pytest.raises(AudioError, match=message) as caught:
            read_audio(tmp_path / name)
        assert "\n" not in str(caught.value), name
