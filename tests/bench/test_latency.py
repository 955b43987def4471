"""`tpos-live bench latency`: clicks enter as blocks of a device, and are found in the shown frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes.tiny_engine import make_tiny_engine

from tpos_live.audio.source import RATE
from tpos_live.bench.latency import BLOCK, GAP, GIVE_UP, ClickSound, bench_latency, downsampled
from tpos_live.core.settings_loader import load_settings


def heard(seed: int, clicking: bool, seconds: float = 6.0, every: float = 0.007) -> tuple[ClickSound, np.ndarray]:
    """A ClickSound pulled on a fake clock, and all of its samples."""
    with ClickSound(seed) as sound:
        sound.clicking = clicking
        begin, now, parts = sound._start, 0.0, []
        while now < seconds:
            now += every
            if (chunk := sound.pull(begin + now)) is not None:
                assert len(chunk.mono) % BLOCK == 0 and chunk.captured_at <= begin + now
                parts.append(chunk.mono)
    return sound, np.concatenate(parts)


def test_clicks_are_where_they_are_said_to_be() -> None:
    sound, mono = heard(1, clicking=True)
    places = [round((at - sound._start) * RATE) for at, _ in sound.happened]
    assert len(places) >= 3 and len(mono) == pytest.approx(6.0 * RATE, abs=2 * BLOCK)
    for (at, handed), place in zip(sound.happened, places, strict=True):
        assert np.abs(mono[place : place + 100]).max() > 0.5
        assert np.abs(mono[place - 500 : place]).max() < 0.01, "quiet before"
        assert 0 <= handed - at <= BLOCK / RATE + 0.008, "handed over at the end of its block"
    gaps = np.diff([at for at, _ in sound.happened])
    assert (gaps >= GAP[0]).all() and (gaps <= GAP[1] + BLOCK / RATE).all() and np.ptp(gaps) > 0.01


def test_it_is_quiet_until_it_clicks_and_repeats_with_its_seed() -> None:
    sound, mono = heard(1, clicking=False)
    assert not sound.happened and 0 < np.abs(mono).max() < 0.01
    again, other = heard(1, clicking=False)[1], heard(2, clicking=False)[1]
    assert np.array_equal(mono, again) and not np.array_equal(mono, other)


def test_differences_do_not_wrap() -> None:
    dark, light = np.zeros((8, 12, 3), np.uint8), np.full((8, 12, 3), 255, np.uint8)
    assert (downsampled(dark) - downsampled(light) == -255).all() and downsampled(light).shape == (2, 3, 3)


@pytest.mark.slow
def test_clicks_of_a_whole_show_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    folder = make_tiny_engine(tmp_path / "engine")
    chosen = {"engine.name": str(folder), "engine.accelerator": "eager", "engine.size": "64", "engine.threads": 1}
    settings = load_settings(chosen | {"record.resolution": "160x96"})
    status = bench_latency(settings, 4, as_json=True)
    *rows, summary = map(json.loads, capsys.readouterr().out.splitlines())
    found = {row["stage"]: row for row in rows}
    assert summary["clicks"] == 4 and summary["seen"] + summary["missed"] == 4 and summary["accelerator"] == "eager"
    assert found["first_pixel"]["n"] == found["input_block"]["n"] == summary["seen"] > 0
    assert status == (0 if summary["seen"] > 2 else 1), "most of the clicks, or it is no measurement"
    assert 0 < found["first_pixel"]["p50_ms"] <= found["first_pixel"]["p95_ms"] <= 1000 * (GIVE_UP + 1.0)
    assert found["input_block"]["p50_ms"] > 0 and found["engine_picture"]["n"] > 0
