"""What a performer wants to know about the show at a glance: one record for HUD, OSC and bench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """state: starting, loading, running or stopping. engine_fps: pictures from the engine a second;
    engine_busy: share of the time in which they keep the card, or the processor where it draws, 0 to 1;
    shown_fps: pictures put on the screen a second. latency_ms: from newest sound to picture shown
    (median of the last second, without the input's own buffering). audio_age_ms: age of the newest
    sound. bands: levels of bass, mid, midhigh, high. understood: what the engine understands of the
    prompt, "" where it cannot tell. showing: where the prompt comes from, for example "slot 3".
    heard: what the sound is taken for, "" in silence; density: how much of it
    there is, 0 to 1, whatever its level. record_seconds: length of the recording; record_fps: pictures recorded a
    second; record_lag_ms: how far the encoder is behind; record_minutes_left: until the disk is full, 0 while unknown;
    record_error: why the last recording was lost, "" from the next one on or once acknowledged.
    message: what to do now, one line; "" when well.
    """

    state: str = "starting"
    uptime: float = 0.0
    engine: str = ""
    accelerator: str = ""
    accelerator_why: str = ""
    size: tuple[int, int] = (0, 0)
    engine_fps: float = 0.0
    engine_busy: float = 0.0
    shown_fps: float = 0.0
    latency_ms: float = 0.0
    audio_age_ms: float = 0.0
    level: float = 0.0
    bands: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    gate: bool = False
    tempo: float = 0.0
    confidence: float = 0.0
    beat_phase: float = 0.0
    prompt: str = ""
    showing: str = "prompt"
    understood: str = ""
    heard: str = ""
    density: float = 0.0
    encoder: str = ""
    sound_state: str = ""
    sound_name: str = ""
    samples_lost: int = 0
    frames_replaced: int = 0
    recording: str = ""
    record_dropped: int = 0
    record_seconds: float = 0.0
    record_fps: float = 0.0
    record_lag_ms: float = 0.0
    record_minutes_left: float = 0.0
    record_error: str = ""
    osc_bad: int = 0
    memory_mb: float = 0.0
    message: str = ""
