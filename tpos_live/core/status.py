"""The status of the session: one record for HUD, OSC and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """state: starting, loading, running or stopping. engine_fps: frames per second from the engine; engine_busy:
    share of the time in which they occupy the GPU or processor, 0 to 1; shown_fps: frames per second on the screen.
    latency_ms: from the newest audio to its frame on the screen (median of the last second, without the input's own
    buffering). keyframes: per second, and seconds from the prompt to the first, "" in the mode "frames".
    audio_age_ms: age of the newest audio. bands: levels of bass, mid, midhigh, high. understood: what the engine
    understands of the prompt, "" where unknown. source: images that frames are drawn from, or what is
    wrong with them; "" without. outputs: those besides the window and their receivers, "" for none. look: the one
    recalled last, "" for none. cue, next_cue: numbers of the cue that is shown or waits, and of the next one, from 1
    on, 0 for none. waiting: what waits for a beat or bar, "" for nothing. tempo_source: where the beat
    comes from, "" for nowhere. midi: open ports and losses, "" without MIDI. section, energy, tension, decision: of
    the director; the section is "" while it is off. showing: where the prompt comes from, for example "slot 3".
    heard: label of the sound, "" in silence; density: how much of it there is, 0 to 1, whatever its level.
    record_seconds: length of the recording; record_fps: frames recorded per second; record_lag_ms: how late the
    encoder is; record_minutes_left: until the disk is full, 0 while unknown; record_error: why the last recording
    failed, "" from the next one on or once acknowledged. message: what to do now, one line; "" if nothing."""

    state: str = "starting"
    uptime: float = 0.0
    engine: str = ""
    backend: str = ""
    fallback_reason: str = ""
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
    tempo_source: str = ""
    midi: str = ""
    confidence: float = 0.0
    beat_phase: float = 0.0
    prompt: str = ""
    showing: str = "prompt"
    understood: str = ""
    keyframes: str = ""
    source: str = ""
    outputs: str = ""
    heard: str = ""
    look: str = ""
    cue: int = 0
    next_cue: int = 0
    waiting: str = ""
    section: str = ""
    energy: float = 0.0
    tension: float = 0.0
    decision: str = ""
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
