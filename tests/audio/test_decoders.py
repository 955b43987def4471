"""Files in formats that libsndfile does not know, and damaged files, from real encoders."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from tpos_live.audio.decoders import FFmpegDecoder, open_decoder
from tpos_live.audio.file_source import FileSource
from tpos_live.audio.files import AudioClip, AudioFile, read_audio, stream_audio
from tpos_live.audio.source import RATE, AudioError, SourceState
from tpos_live.runtime.frame_analysis import frame_pieces


def sine(rate: int, seconds: float, channels: int = 2, frequency: float = 440) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def music(rate: int, seconds: float) -> np.ndarray:
    """A sine of growing amplitude with noise, so that every position differs."""
    n = round(rate * seconds)
    noise = np.random.default_rng(0).normal(0, 0.03, (n, 2))
    return (sine(rate, seconds) * np.linspace(0.4, 1, n)[:, None] + noise).astype(np.float32)


def encode(path: Path, samples: np.ndarray, rate: int, codec: str) -> None:
    """Write float32 [n, c] with FFmpeg's encoder `codec`; the suffix selects the container."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=stream.frame_size or 1024)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "channels"),
    [
        ("a.m4a", "aac", 44_100, 2),
        ("a.m4a", "alac", 44_100, 2),
        ("a.m4a", "alac", 96_000, 1),
        ("a.mp4", "aac", 48_000, 6),
        ("a.aac", "aac", 48_000, 2),
        ("a.wma", "wmav2", 44_100, 2),
        ("a.mkv", "ac3", 48_000, 2),
        ("a.webm", "libopus", 48_000, 2),
        ("a.mka", "pcm_s24le", 48_000, 2),
    ],
)
def test_what_libsndfile_does_not_know_is_decoded_by_ffmpeg(
    tmp_path: Path, name: str, codec: str, rate: int, channels: int
) -> None:
    encode(tmp_path / name, sine(rate, 2, channels), rate, codec)
    sound = read_audio(tmp_path / name)
    assert sound.dtype == np.float32 and len(sound) == pytest.approx(2 * RATE, abs=0.1 * RATE)
    middle = sound[RATE // 2 : RATE // 2 + RATE]
    assert np.abs(np.fft.rfft(middle[:, 0])).argmax() == 440
    assert middle.std() == pytest.approx(0.3536, abs=0.07 if channels == 6 else 0.02)  # one of six is for deep sound
    with AudioFile(tmp_path / name) as file:
        assert (file.samplerate, file.channels) == (rate, channels) and not file.damage


def test_lossless_is_lossless(tmp_path: Path) -> None:
    samples = np.round(music(44_100, 0.5) * 32767) / 32768
    encode(tmp_path / "a.m4a", samples.astype(np.float32), 44_100, "alac")
    with AudioFile(tmp_path / "a.m4a") as file:
        assert np.abs(file.read(1 << 20) - samples).max() <= 1 / 32768


def test_the_sound_of_a_film_is_heard_and_one_without_is_refused(tmp_path: Path) -> None:
    for name, with_sound in (("a.mp4", True), ("b.mp4", False)):
        with av.open(str(tmp_path / name), "w") as container:
            video = container.add_stream("mpeg4", rate=10, width=64, height=64)
            audio = container.add_stream("aac", rate=48_000, layout="stereo") if with_sound else None
            for _ in range(10):
                container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
            if audio is not None:
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sine(48_000, 1).T), "fltp", "stereo")
                frame.sample_rate = 48_000
                container.mux(audio.encode(frame))
            for stream in filter(None, (video, audio)):
                container.mux(stream.encode(None))
    assert len(read_audio(tmp_path / "a.mp4")) == pytest.approx(RATE, abs=0.05 * RATE)
    with pytest.raises(AudioError, match="there is no sound in it"):
        read_audio(tmp_path / "b.mp4")


def test_a_file_decoded_by_ffmpeg_loops_in_a_show_without_a_gap(tmp_path: Path, messages: list[str]) -> None:
    encode(tmp_path / "a.m4a", sine(48_000, 0.5), 48_000, "alac")
    with AudioFile(tmp_path / "a.m4a") as file:
        heard: list[np.ndarray] = []
        for block in stream_audio(file, loop=True):
            heard.append(block)
            if sum(map(len, heard)) > 2 * RATE:
                break
    sound = np.concatenate(heard)[:, 0]
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(sound)) / RATE)
    assert np.abs(sound - wanted).max() < 0.001
    with FileSource(tmp_path / "a.m4a", loop=True, mute=True) as player:
        now, count = 0.0, 0
        for _ in range(300):
            chunk = player.pull(now)
            count += 0 if chunk is None else len(chunk.mono)
            now += 0.01
        assert count > 0 and player.status(now).state is SourceState.RUNNING


def damage(path: Path, at: float = 0.5, count: int = 200) -> None:
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + count] = np.random.default_rng(1).bytes(count)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "codec", "worst"),
    [
        ("a.flac", "", 0.2),
        ("a.mp3", "", 0.2),
        ("a.ogg", "", 0.6),
        ("a.opus", "", 1.2),
        ("a.m4a", "aac", 0.2),
        ("b.m4a", "alac", 0.3),
        ("a.webm", "libopus", 1.2),
    ],
)
def test_damage_in_the_middle_is_told_and_the_rest_plays_on_time(
    tmp_path: Path, name: str, codec: str, worst: float, messages: list[str]
) -> None:
    path, samples = tmp_path / name, music(48_000, 8)
    if codec:
        encode(path, samples, 48_000, codec)
    else:
        soundfile.write(path, samples, 48_000, format="OGG" if name == "a.opus" else None,
                        subtype="OPUS" if name == "a.opus" else None)  # fmt: skip
    whole = read_audio(path)
    damage(path)
    sound = np.concatenate(list(AudioClip(path).blocks(log_damage=True)))
    assert len(sound) == pytest.approx(len(whole), abs=1200)  # FFmpeg trims the end of an MP3 by another count
    before, after = slice(RATE, 2 * RATE), slice(6 * RATE, 7 * RATE)
    assert np.array_equal(sound[before], whole[before])
    late = [np.abs(sound[after.start + k : after.stop + k] - whole[after]).mean() for k in range(-48, 49)]
    assert min(late) < 0.004, "time is right after the damage, to the millisecond that timestamps count"
    silent = np.flatnonzero(~sound[2 * RATE :].any(axis=1))
    assert 0 < len(silent) < worst * RATE
    assert np.abs(sound).max() < 1.5, "no burst of noise"
    assert any(f'"{name}" is damaged at 0:0' in line for line in messages), messages
    assert all("\n" not in line for line in messages)


def test_the_damage_of_a_file_is_told_in_a_show_which_plays_to_the_end(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, music(48_000, 4), 48_000)
    damage(path)
    with FileSource(path, mute=True) as player:
        now, count = 0.0, 0
        while player.status(now).state is not SourceState.ENDED and now < 60:
            chunk = player.pull(now)
            count += 0 if chunk is None else len(chunk.mono)
            now += 0.01
            player._decoded.wait(0.0005)
    assert count == 4 * RATE and len(messages) == 1 and "plays on" in messages[0]
    assert player.status(now).losses.dropouts > 0


def test_a_file_damaged_in_many_places_does_not_fill_the_terminal(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, music(48_000, 10), 48_000)
    for k in range(3, 30):
        damage(path, k / 31, 50)
    sound = np.concatenate(list(AudioClip(path).blocks(log_damage=True)))
    assert len(sound) == pytest.approx(10 * RATE, abs=RATE)
    assert 2 <= len(messages) <= 7


def test_a_file_cut_short_says_so(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, music(48_000, 6), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = np.concatenate(list(AudioClip(path).blocks(log_damage=True)))
    assert 2 * RATE < len(sound) < 4 * RATE
    assert any("of 0:06: it is cut short" in line for line in messages)


def test_samples_that_are_no_numbers_are_silence_and_told_once(tmp_path: Path, messages: list[str]) -> None:
    samples = sine(48_000, 3)
    samples[48_000:48_010] = np.nan
    samples[96_000, 0] = np.inf
    samples[96_001, 1] = 1e30
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    sound = np.concatenate(list(AudioClip(tmp_path / "a.wav").blocks(log_damage=True)))
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 0.5
    assert len(messages) == 1 and "no numbers" in messages[0]


def test_samples_of_a_huge_size_are_silence_and_said_to_be_loud(tmp_path: Path, messages: list[str]) -> None:
    """They are finite, so the message gives their level: a wrong format or an unstable filter causes them."""
    samples = sine(48_000, 3)
    samples[48_000, 1] = 1e30
    soundfile.write(tmp_path / "a.wav", samples, 48_000, "FLOAT")
    sound = np.concatenate(list(AudioClip(tmp_path / "a.wav").blocks(log_damage=True)))
    assert np.abs(sound).max() <= 0.5
    assert len(messages) == 1 and "600 dB above full scale" in messages[0] and "numbers" not in messages[0]


def test_a_clip_is_what_reading_gives_in_pieces_of_video_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, music(44_100, 2.3), 44_100)
    whole = read_audio(path)
    for fps in (7, 30, 50):
        pieces = list(frame_pieces(AudioClip(path), fps))
        same = list(frame_pieces(whole, fps))
        assert len(pieces) == len(same) == -(-len(whole) * fps // RATE)
        ends = np.cumsum([len(piece) for piece in pieces])
        assert all(end == min((k + 1) * RATE // fps, len(whole)) for k, end in enumerate(ends))
        assert np.array_equal(np.concatenate(pieces), whole)
    assert AudioClip(path).check() == pytest.approx(len(whole), abs=2)
    assert len(np.concatenate(list(AudioClip(path, 1.5).blocks()))) == 1.5 * RATE == AudioClip(path, 1.5).check()
    with pytest.raises(AudioError, match="channels 1 to 2, not 3"):
        AudioClip(path, channels=(3,)).check()


def test_a_long_file_takes_no_memory(tmp_path: Path) -> None:
    """Only one block is in memory, whatever the file's length: 20 minutes would be 460 MB."""
    import tracemalloc

    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 48_000, 2, "PCM_16") as file:
        for _ in range(20):
            file.write(np.zeros((60 * 48_000, 2), np.int16))
    tracemalloc.start()
    count = sum(len(piece) for piece in frame_pieces(AudioClip(path), 30))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20 * 60 * RATE and peak < 20e6


@pytest.mark.skipif(os.name == "nt", reason="names of files are UTF-16 there")
def test_a_name_that_is_no_utf_8_is_read(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, 4800, dtype=np.float32)[:, None]
    soundfile.write(tmp_path / "a.wav", samples, 48_000)
    path = (tmp_path / "a.wav").rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    for decoder in (open_decoder(path), FFmpegDecoder(path)):
        assert decoder.read(4800) == pytest.approx(samples, abs=1e-4)
        decoder.close()
    with pytest.raises(AudioError, match="no such sound file"):
        open_decoder(path.with_suffix(".flac"))
