"""Offline rendering with Ember: reproducible, complete, with sound; every bad input gives one line."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from fakes.forked import run, start
from PIL import Image

from tpos_live.audio.files import AudioClip
from tpos_live.audio.source import RATE
from tpos_live.core.parameter_store import ParameterStore
from tpos_live.core.settings_loader import load_settings
from tpos_live.display.cpu_compositor import CpuCompositor
from tpos_live.display.interpolator import FrameInterpolator
from tpos_live.runtime.audio_thread import AudioProcessor
from tpos_live.runtime.frame_analysis import analyze_frames
from tpos_live.runtime.offline import improve
from tpos_live.runtime.pipeline import Pipeline
from tpos_live.training.synth.sound_effects import make

TOLD = ("engine:", "tpos-live: seed ", "tpos-live: control page: ")
"""Beginnings of the lines that a show begins with."""


def beat(seconds: float, bpm: float = 120.0) -> np.ndarray:
    """A kick drum on every beat: float32 [n, 2]."""
    t = np.arange(round(seconds * RATE)) / RATE
    since = t % (60 / bpm)
    mono = 0.8 * np.exp(-since / 0.08) * np.sin(2 * np.pi * 55 * since)
    return np.repeat(mono[:, None], 2, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "beat.wav"
    soundfile.write(path, beat(2.0), RATE)
    return path


def frames(seed: int = 1) -> list[np.ndarray]:
    settings = load_settings(
        {"engine.threads": 2, "engine.accelerator": "eager", "engine.size": "128", "parameters.seed": seed},
        here=Path("/nowhere"),
    )
    # As a render: in-between frames follow how fast the engine draws on this machine.
    snapshot = ParameterStore({**settings.start_values(), "out.inbetween": False}).snapshot()
    compositor, interpolator, out = CpuCompositor((320, 180)), FrameInterpolator((320, 180)), []
    with Pipeline(settings, live=False) as pipeline:
        audio_processor = AudioProcessor(pipeline.encoder)
        for params in analyze_frames(audio_processor, snapshot, beat(0.5), 30):
            frame = pipeline.draw(params, audio_processor.embedding.latest(), snapshot, now=params.time)
            interpolator.take(frame)
            out.append(compositor.compose(interpolator.display_frame(params.time, params, snapshot).postfx, frame))
    return out


@pytest.mark.parametrize(
    ("chosen", "live", "cores", "drawn"),
    [("", False, 2, (320, 192)), ("", True, 8, (448, 256)), ("", True, 2, (320, 192)), ("128", False, 8, (128, 128))],
)
def test_frames_have_the_shape_of_the_screen_live_and_offline(
    monkeypatch: pytest.MonkeyPatch, chosen: str, live: bool, cores: int, drawn: tuple[int, int]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    values = {"engine.name": "ember", "engine.threads": 2, "engine.accelerator": "eager", "engine.size": chosen}
    with Pipeline(load_settings(values, here=Path("/nowhere")), live=live, output=(1280, 720)) as pipeline:
        if pipeline.engine.device.type == "cpu":
            assert pipeline.generator.size == drawn


def test_the_same_render_gives_the_same_frames() -> None:
    first, second, other = frames(), frames(), frames(seed=2)
    assert len(first) == 15
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[-1], other[-1])


def test_frames_follow_the_sound_and_do_not_depend_on_the_frame_rate() -> None:
    snapshot = ParameterStore().snapshot()
    at: dict[int, dict[float, float]] = {}
    for fps in (25, 50):
        settings = load_settings({}, here=Path("/nowhere"))
        pipeline = Pipeline(settings, live=False)  # not entered: only its encoder is needed
        drives = list(analyze_frames(AudioProcessor(pipeline.encoder), snapshot, beat(2.0), fps))
        assert len(drives) == 2 * fps
        assert drives[-1].time == pytest.approx(2.0, abs=0.011)
        at[fps] = {round(params.time, 2): params.noise_position for params in drives}
    both = set(at[25]) & set(at[50])
    assert len(both) >= 45
    assert all(at[25][time] == at[50][time] for time in both)


def test_sound_looked_at_after_every_hop_gives_the_same_frames() -> None:
    pipeline = Pipeline(load_settings({}, here=Path("/nowhere")), live=False)
    snapshot, times = ParameterStore().snapshot(), []
    plain = list(analyze_frames(AudioProcessor(pipeline.encoder), snapshot, beat(0.5), 30))
    processor = AudioProcessor(pipeline.encoder)
    looked = analyze_frames(processor, snapshot, beat(0.5), 30, lambda: times.append(processor.features.time))
    assert [replace(params, heard_at=0.0) for params in looked] == [replace(params, heard_at=0.0) for params in plain]
    assert set(np.diff(times).round(3)) <= {0.0, 0.01} and times[-1] > 0.48


@pytest.mark.parametrize("chosen", ["eager", "auto"])
def test_an_engine_is_prepared_where_there_is_something_to_prepare(
    chosen: str, messages: list[str], monkeypatch: pytest.MonkeyPatch, turbo_folder: Path
) -> None:
    values = {"engine.name": str(turbo_folder), "engine.size": "64", "engine.accelerator": chosen}
    monkeypatch.setattr(Pipeline, "improve", lambda self: None)
    with Pipeline(load_settings(values, here=Path("/nowhere")), live=False) as pipeline:
        improve(pipeline)
    assert any("preparing a faster backend" in line for line in messages) == (chosen == "auto")


def test_offline_sound_is_streamed_heard_in_opposite_phase_and_past_damage(tmp_path: Path, messages: list[str]) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, beat(4.0) * np.array([1, -1]) + np.random.default_rng(0).normal(0, 1e-3, (4 * RATE, 2)), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    pipeline = Pipeline(load_settings({}, here=Path("/nowhere")), live=False)  # not entered: only its encoder is needed
    audio_processor = AudioProcessor(pipeline.encoder)
    drives = list(analyze_frames(audio_processor, ParameterStore().snapshot(), AudioClip(path), 25))
    assert len(drives) == 100 and drives[-1].time == pytest.approx(4.0, abs=0.011)
    assert audio_processor.features.tempo > 0 or audio_processor.features.level > 0, "it is heard"
    assert any("opposite in phase" in line for line in messages)
    assert any("is damaged at 0:0" in line for line in messages)


@pytest.mark.slow
def test_render_writes_every_frame_and_the_sound(wav: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    arguments = ["render", str(wav), "-o", str(out), "--fps", "10", "--resolution", "320x180", "--threads", "1"]
    arguments += ["--accelerator", "eager", "--size", "160x96"]
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height) == (320, 180)
        frames_read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video)]
        assert len(frames_read) == 20
        container.seek(0)
        samples = sum(frame.samples for frame in container.decode(audio))
        assert samples == pytest.approx(2 * RATE, abs=2048)
    assert np.ptp(frames_read[0]) > 20
    again = tmp_path / "out-2.mp4"
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 0 and f"wrote {again}" in result.stdout
    with av.open(str(again)) as container:
        for index, frame in enumerate(container.decode(container.streams.video[0])):
            assert np.array_equal(frame.to_ndarray(format="rgb24"), frames_read[index])


def test_a_still_as_it_is_shown(tmp_path: Path) -> None:
    wide = ("--size", "448x256")  # not the machine's own, which depends on its cores
    result = run("still", "--prompt", "stormy ocean", "-o", "a.png", "--resolution", "640x360", *wide, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "wrote a.png, 640x360" in result.stdout
    plain = run("still", "--prompt", "stormy ocean", "-o", "b.png", *wide, cwd=tmp_path)
    assert plain.returncode == 0, plain.stderr
    with Image.open(tmp_path / "a.png") as shown, Image.open(tmp_path / "b.png") as drawn:
        near = np.asarray(shown.resize((448, 256)), float), np.asarray(drawn, float)
        assert np.corrcoef(near[0].ravel(), near[1].ravel())[0, 1] > 0.9
    for bad in ("0x0", "wide"):
        refused = run("still", "--prompt", "x", "-o", "c.png", "--resolution", bad, cwd=tmp_path)
        assert refused.returncode != 0 and len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_still_of_a_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "fire.wav", make("fire", 0.9, 4.0, 1), RATE)
    of_fire = ("still", "--threads", "1", "--prompt", "neon jellyfish", "--audio", "fire.wav")
    result = run(*of_fire, "-o", "a.png", "--resolution", "640x360", "--size", "128", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "heard: fire" in result.stderr and "wrote a.png, 640x360" in result.stdout

    def drawn(name: str, *arguments: str) -> np.ndarray:
        assert run(*arguments, "-o", name, "--size", "256", cwd=tmp_path).returncode == 0
        return np.asarray(Image.open(tmp_path / name), float)

    def red(image: np.ndarray) -> float:
        return float(image[..., 0].mean() - image[..., 2].mean())

    fires, silences = ([drawn(f"{n}{seed}.png", *of_fire[:n], "--seed", seed) for seed in "123"] for n in (7, 5))
    assert np.array_equal(drawn("again.png", *of_fire, "--seed", "1"), fires[0])
    more = [red(fire) - red(silence) for fire, silence in zip(fires, silences, strict=True)]
    assert np.mean(more) > 20 and min(more) > 5, "flames, wherever the noise puts them"
    for bad in (("--audio", "gone.wav"), ("--audio", "fire.wav", "--seconds", "0")):
        refused = run("still", "--prompt", "x", "-o", "e.png", *bad, cwd=tmp_path)
        assert refused.returncode != 0 and len(refused.stderr.strip().splitlines()) == 1


def test_still(tmp_path: Path) -> None:
    result = run("still", "--prompt", "", "-o", "a.png", "--size", "320x200", "--seed", "3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (320, 192)
    assert "320x192" in result.stderr + result.stdout
    small = ("--size", "128", "--threads", "1")
    long = run("still", "--prompt", "🔥 鯨 " * 3000, "-o", "b.png", "--steps", "2", *small, cwd=tmp_path)
    assert long.returncode == 0, long.stderr
    assert "prompt: fire (1.00); not understood: 鯨" in long.stderr
    known = run("still", "--prompt", "neon samurai in a city at night", "-o", "c.png", *small, cwd=tmp_path)
    assert "prompt: city at night · neon (0." in known.stderr and "not understood: samurai" in known.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["render", "none.wav", "-o", "x.mp4"], "none.wav"),
        (["render", "text.wav", "-o", "x.mp4"], "text.wav"),
        (["render", "ok.wav", "-o", "nowhere/x.mp4"], "nowhere"),
        (["render", "ok.wav", "-o", "."], "directory"),
        (["render", "ok.wav", "-o", "ok.wav"], "ok.wav"),
        (["render", "film.mp4", "-o", "link.mp4"], "is the file that is read"),
        (["render", "ok.wav", "-o", "x.avi"], ".avi"),
        (["still", "--prompt", "x", "-o", "x.gif"], ".gif"),
        (["still", "--prompt", "x", "-o", "x.png", "--engine", "no-such-engine"], "no-such-engine"),
        (["still", "--prompt", "x", "-o", "x.png", "--engine", "who/what"], "who/what"),
        (["still", "--prompt", "x", "-o", "x.png", "--accelerator", "magic"], "magic"),
        (["--headless", "--audio", "none.wav", "--osc-port", "0"], "none.wav"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], word: str, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is no sound")
    soundfile.write(tmp_path / "ok.wav", beat(0.1), RATE)
    (tmp_path / "film.mp4").write_text("a film with sound")
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode in (1, 2)
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith(TOLD)]
    assert len(lines) == 1 and word in lines[0], result.stderr
    assert "Traceback" not in result.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("workers", [(), pytest.param(("--workers", "2"), marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_part_and_says_so(workers: tuple[str, ...], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", beat(60.0), RATE)
    (tmp_path / "a.mp4").write_text("an older film")
    arguments = ["render", "long.wav", "-o", "a.mp4", "--resolution", "160x90"]
    arguments += ["--size", "128", "--threads", "1", "--accelerator", "eager", *workers]
    process = start(*arguments, cwd=tmp_path)
    part, end = tmp_path / "a-2.part.mp4", time.monotonic() + 100
    while not (part.exists() and part.stat().st_size > 30_000) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _out, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors, errors
    assert "not finished" in errors and "a-2.part.mp4" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.part.mp4", "a.mp4", "long.wav"]
    assert (tmp_path / "a.mp4").read_text() == "an older film"
    with av.open(str(part)) as container:
        assert sum(1 for _ in container.decode(container.streams.video[0])) > 10
