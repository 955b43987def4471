"""A small offline synthesiser on NumPy arrays: drums, tones, reverb and mastering, for synthetic sounds and music."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tpos_live.audio.source import RATE

Signal = np.ndarray


def seconds(count: float) -> Signal:
    """Time axis of `count` seconds, float64 [n]."""
    return np.arange(round(count * RATE)) / RATE


def tone(midi: float) -> float:
    """Frequency of a MIDI note in Hz."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def shaped(signal: Signal, low: float = 0.0, high: float = 0.0, slope: int = 4) -> Signal:
    """`signal` [n] band-limited to `low` and `high` Hz (0: no limit) by the magnitude response
    1 / (1 + (f / high)^slope) on its spectrum. The filter is circular, as for a loop."""
    frequency = np.fft.rfftfreq(len(signal), 1 / RATE)
    gain = np.ones_like(frequency)
    if high:
        gain /= 1 + (frequency / high) ** slope
    if low:
        gain *= 1 - 1 / (1 + (frequency / low) ** slope)
    return np.fft.irfft(np.fft.rfft(signal) * gain, len(signal))


def saw(frequency: float, count: float, phase: float = 0.0) -> Signal:
    """A sawtooth of -1 to 1 without audible aliases (its step is rounded over one sample: PolyBLEP,
    Valimaki and Huovilainen 2007)."""
    step = frequency / RATE
    at = (phase + step * np.arange(round(count * RATE))) % 1.0
    wave = 2 * at - 1
    early, late = at < step, at > 1 - step
    x = at[early] / step
    wave[early] -= x + x - x * x - 1
    x = (at[late] - 1) / step
    wave[late] -= x * x + x + x + 1
    return wave


def faded(signal: Signal, attack: float, release: float) -> Signal:
    """A copy with a raised-cosine fade of `attack` seconds at the beginning and `release` seconds at the end."""
    signal = signal.copy()
    for length, part in ((attack, signal), (release, signal[::-1])):
        n = min(round(length * RATE), len(signal))
        part[:n] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / max(n, 1))
    return signal


def add(track: Signal, sound: Signal, at: int) -> None:
    """Add `sound` to `track` in place, both [n] or [n, 2], from sample `at` on; cut off at the track's end."""
    part = sound[: max(len(track) - at, 0)]
    track[at : at + len(part)] += part


def kick(noise: np.random.Generator) -> Signal:
    time = seconds(0.42)
    sweep = 0.035
    phase = 2 * np.pi * (47 * time + 150 * sweep * (1 - np.exp(-time / sweep)))
    body = np.sin(phase) * np.exp(-time / 0.15)
    click = shaped(noise.standard_normal(len(time)), 1500, 9000) * np.exp(-time / 0.003)
    return faded(body + 0.12 * click, 0.0005, 0.05)


def snare(noise: np.random.Generator) -> Signal:
    time = seconds(0.3)
    body = np.sin(2 * np.pi * (185 * time + 2.2 * (1 - np.exp(-time / 0.02)))) * np.exp(-time / 0.055)
    rattle = shaped(noise.standard_normal(len(time)), 700, 9000) * np.exp(-time / 0.075)
    return faded(0.6 * body + 0.5 * rattle, 0.0005, 0.05)


def hat(noise: np.random.Generator, decay: float) -> Signal:
    """A hi-hat. decay: about 0.025 s for a closed one, 0.09 s for an open one."""
    time = seconds(6 * decay)
    return faded(shaped(noise.standard_normal(len(time)), 7500, 17000, 8) * np.exp(-time / decay), 0.0005, decay)


def crash(noise: np.random.Generator) -> Signal:
    time = seconds(2.6)
    return faded(shaped(noise.standard_normal(len(time)), 3500, 14000) * np.exp(-time / 0.7), 0.002, 0.4)


def riser(noise: np.random.Generator, count: float) -> Signal:
    """Noise that rises in pitch and level for `count` seconds: octave bands that crossfade into each other."""
    time = seconds(count)
    position = 5.0 * time / count
    air = noise.standard_normal(len(time))
    bands = (
        shaped(air, 250 * 2.0**band, 500 * 2.0**band, 6) * np.clip(1 - abs(position - band), 0, 1) for band in range(6)
    )
    return faded(sum(bands, np.zeros_like(time)) * (time / count) ** 1.6, 0.2, 0.02)


def bass(midi: float, count: float) -> Signal:
    time = seconds(count)
    rough = saw(tone(midi), count)
    bright, dark = shaped(rough, high=2200), shaped(rough, high=260)
    opening = np.exp(-time / 0.06)
    sub = np.sin(2 * np.pi * tone(midi) * time)
    return faded(0.45 * (bright * opening + dark * (1 - opening)) + 0.6 * sub, 0.004, 0.03)


def pluck(midi: float, bright: float, count: float = 0.9) -> Signal:
    """A plucked note. bright: 0 to 1, how far the filter opens."""
    time = seconds(count)
    voice = saw(tone(midi) * 1.003, count) + saw(tone(midi) * 0.997, count, 0.4)
    voice = voice + 0.5 * np.sin(2 * np.pi * tone(midi) * time)
    open_, shut = shaped(voice, high=1500 + 8000 * bright), shaped(voice, high=900)
    snap = np.exp(-time / (0.05 + 0.1 * bright))
    return faded((open_ * snap + shut * (1 - snap)) * np.exp(-time / 0.32), 0.003, 0.1)


def pad(midi: float, count: float, detune: float, phase: float) -> Signal:
    voice = sum(saw(tone(midi) * (1 + cents), count, phase + 7 * cents) for cents in (-detune, 0.0, detune))
    return faded(np.asarray(voice), 0.12, 0.25)


def room(stereo: Signal, noise: np.random.Generator, decay: float) -> Signal:
    """Reverb only of float64 [n, 2]; the tail wraps to the beginning, as in a loop."""
    time = seconds(len(stereo) / RATE)
    echo = np.empty_like(stereo)
    for side in range(2):
        wall = shaped(noise.standard_normal(len(time)) * np.exp(-time / decay), 300, 6500)
        wall[: RATE // 80] = 0
        wall /= np.sqrt((wall**2).sum())
        echo[:, side] = np.fft.irfft(np.fft.rfft(stereo[:, side]) * np.fft.rfft(wall), len(stereo))
    return echo


@lru_cache(maxsize=1)
def _k_weighting(count: int) -> np.ndarray:
    """BS.1770's filter on the spectrum of `count` samples: complex [count // 2 + 1]."""
    frequency = np.exp(-2j * np.pi * np.fft.rfftfreq(count, 1 / RATE) / RATE)
    gain = np.ones(len(frequency), complex)
    for top, bottom in (
        ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
        ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
    ):
        gain *= np.polyval(top[::-1], frequency) / np.polyval(bottom[::-1], frequency)
    return gain


def loudness(stereo: Signal) -> float:
    """Integrated loudness of float [n, 2] at 48 kHz in LUFS (ITU-R BS.1770-4, with both gates)."""
    weighted = np.fft.irfft(np.fft.rfft(stereo, axis=0) * _k_weighting(len(stereo))[:, None], len(stereo), axis=0)
    energy = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=1))])
    block, hop = round(0.4 * RATE), round(0.1 * RATE)
    starts = np.arange(0, len(stereo) - block + 1, hop)
    power = (energy[starts + block] - energy[starts]) / block
    power = power[power > 10 ** ((-70 + 0.691) / 10)]
    if not len(power):
        return -np.inf
    power = power[power > power.mean() / 10]
    return float(-0.691 + 10 * np.log10(power.mean()))


def mastered(stereo: Signal, target: float, ceiling: float) -> Signal:
    """`stereo` at `target` LUFS with no sample above `ceiling`: gain, then a soft limiter from 0.55 of the ceiling."""
    knee = 0.55 * ceiling
    gain = 1.0
    for _ in range(12):
        loud = np.abs(stereo) * gain
        over = np.maximum(loud - knee, 0) / (ceiling - knee)
        out = np.sign(stereo) * np.where(loud > knee, knee + (ceiling - knee) * np.tanh(over), loud)
        missing = target - loudness(out)
        if abs(missing) < 0.001:
            break
        gain *= 10 ** (missing / 20)
    return out
