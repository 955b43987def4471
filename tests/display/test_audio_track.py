"""Which image belongs to which audio sample."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from images import flat

from tpos_live.display.audio_track import AudioTrack, TimedFrames

BLOCK = 480


def taken(track: AudioTrack, frames: TimedFrames) -> list[tuple[int, np.ndarray]]:
    """All frames that are due, as (place, pixels)."""
    out = []
    while frame := track.next(frames):
        out.append(frame[:2])
    return out


def play(
    seconds: float, drift: float = 0.0, jitter: float = 0.0, fps: float = 30.0, show: float = 60.0, size: int = BLOCK
) -> tuple[AudioTrack, np.ndarray]:
    """A whole recording on a clock of its own: the track, and for each frame how late its image is (s).

    The sound card gives (1 + drift) * 48000 samples a second, `size` at once; an image has the time at which it was
    shown.
    """
    track, frames = AudioTrack(fps), deque[tuple[float, np.ndarray]]()
    random = np.random.default_rng(1)
    track.see(0.0)
    shown, apart, block = 0, [], 0
    while block * size < seconds * 48000:
        block += 1
        at = block * size / (48000 * (1 + drift))
        # Images come for as long as sound is delayed.
        while shown / show <= at + 0.15:
            frames.append((shown / show, np.array([shown / show])))
            shown += 1
        assert track.add_samples(size, at + random.uniform(0, jitter))
        for place_image, image in taken(track, frames):
            apart.append(float(image[0]) - place_image / fps / (1 + drift))
    return track, np.array(apart)


@pytest.mark.parametrize("drift", [0.0, 0.001, -0.001])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
def test_five_minutes_stay_within_40_ms(drift: float, jitter: float) -> None:
    track, apart = play(300, drift, jitter)
    assert np.abs(apart).max() < 0.04
    assert track.frames == 300 * 30
    assert abs(track.frames / 30 - track.samples / 48000) < 0.04
    assert track.repeated == 0


def test_three_hours_stay_within_40_ms() -> None:
    """With a sound card whose clock is 0.1 % off, which is 11 s in that time."""
    track, apart = play(3 * 3600, 0.001, 0.02, show=30.0, size=10 * BLOCK)
    assert np.abs(apart).max() < 0.04
    assert abs(track.frames / 30 - track.samples / 48000) < 0.04


def test_a_slow_show_repeats_and_counts() -> None:
    track, apart = play(10, show=10)
    assert track.frames == 300 and 195 <= track.repeated <= 205 and len(apart) == 300
    assert track.lost == 0, "a repeated picture is no lost one"
    assert np.abs(apart).max() < 0.15


@pytest.mark.parametrize("show", [12.0, 20.0, 29.0, 30.0])
def test_what_was_shown_is_in_the_file(show: float) -> None:
    track, _ = play(20, show=show)
    assert track.lost <= 1 and track.frames - track.repeated == pytest.approx(20 * show, abs=5)


def test_of_two_frames_for_one_place_one_is_lost_and_counted() -> None:
    track, _ = play(10, show=45.0)
    assert track.lost == pytest.approx(150, abs=5) and track.repeated == 0


def test_nothing_is_written_before_the_first_frame() -> None:
    track, frames = AudioTrack(30), deque[tuple[float, np.ndarray]]()
    for block in range(1, 100):
        assert not track.add_samples(BLOCK, block * 0.01)
    assert track.samples == 0 and track.next(frames) is None
    frames.append((1.0, flat(1)))
    track.see(1.0)
    assert not track.add_samples(BLOCK, 0.99), "sound from before it"
    assert track.add_samples(BLOCK, 1.0) and len(taken(track, frames)) == 1
    assert track.add_samples(BLOCK, 1.01)


def test_a_device_that_was_gone_starts_time_anew() -> None:
    track, frames = AudioTrack(30), deque[tuple[float, np.ndarray]]()
    for k in range(1000):
        frames.append((k / 30, np.array([k / 30])))
    track.see(0.0)
    for block in range(1, 101):
        track.add_samples(BLOCK, block * 0.01)
        taken(track, frames)
    late = []
    for block in range(1, 101):  # five seconds without a sample, not even silence
        track.add_samples(BLOCK, 6 + block * 0.01)
        late += [float(p[0]) for _, p in taken(track, frames)]
    assert late[-1] == pytest.approx(7.0, abs=0.05)


def test_when_late_each_frame_is_at_its_own_place_and_nothing_is_repeated() -> None:
    track, frames = AudioTrack(30), deque([(0.0, flat(0))])
    track.see(0.0)
    track.add_samples(BLOCK, 0.01)
    assert taken(track, frames) == [(0, pytest.approx(flat(0)))]
    frames.extend((k / 30, flat(k)) for k in (20, 22, 40, 80))
    for block in range(2, 201):  # two seconds at once: the encoder was stuck
        track.add_samples(BLOCK, block * 0.01)
    assert [(place_image, int(p[0, 0, 0])) for place_image, p in taken(track, frames)] == [
        (20, 20),
        (22, 22),
        (40, 40),
        (59, 40),
    ]
    assert track.frames == 60 and track.repeated == 56 and track.last() is None
    assert [at for at, _ in frames] == [80 / 30], "not yet"


def test_the_last_frame_makes_the_video_as_long_as_the_sound() -> None:
    track, frames = AudioTrack(30), deque([(0.0, flat(5))])
    track.see(0.0)
    track.thin = True
    for block in range(1, 41):
        track.add_samples(BLOCK, block * 0.01)
        taken(track, frames)
    rest = track.last()
    assert rest is not None and rest[0] == 11 and track.frames == 12 and track.last() is None
