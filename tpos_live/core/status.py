"""The status of a session: one record for HUD, OSC, control page and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """State of a session at one moment; "" and 0 mean "nothing" and "unknown"."""

    state: str = "starting"
    """starting, loading, running or stopping."""
    uptime: float = 0.0
    """Seconds since the start."""
    message: str = ""
    """What to do now, one line."""
    memory_mb: float = 0.0

    engine: str = ""
    backend: str = ""
    fallback_reason: str = ""
    """Reason why no faster backend runs."""
    size: tuple[int, int] = (0, 0)
    """(width, height) of the engine's frames."""
    engine_fps: float = 0.0
    """Frames per second from the engine."""
    engine_busy: float = 0.0
    """Share of the time in which the engine uses the GPU or processor, 0 to 1."""
    shown_fps: float = 0.0
    """Frames per second on the screen."""
    frames_replaced: int = 0
    """Engine frames that a newer one replaced before they were shown."""
    latency_ms: float = 0.0
    """From the newest audio to its frame on the screen: median of a second, without the input's own buffering."""
    keyframes: str = ""
    """Keyframes per second, and seconds from the prompt to the first; "" in the mode "frames"."""

    audio_age_ms: float = 0.0
    """Age of the newest audio."""
    level: float = 0.0
    """0 to 1."""
    bands: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Levels of bass, mid, midhigh and high, 0 to 1."""
    gate: bool = False
    """Whether there is sound."""
    heard: str = ""
    """Label of the sound, "" in silence."""
    density: float = 0.0
    """Density of the sound, 0 to 1, independent of its level."""
    encoder: str = ""
    """Name of the audio encoder."""
    sound_state: str = ""
    sound_name: str = ""
    """State and name of the input."""
    samples_lost: int = 0

    tempo: float = 0.0
    """BPM."""
    tempo_source: str = ""
    """Where the beat comes from."""
    confidence: float = 0.0
    """Expected share of right beats, 0 to 1."""
    beat_phase: float = 0.0
    """0 to 1, 0 on the beat."""
    midi: str = ""
    """Open MIDI ports, and messages that were lost."""
    osc_bad: int = 0
    """OSC messages that could not be used."""

    prompt: str = ""
    """The text that is shown."""
    showing: str = "prompt"
    """Its source, for example "slot 3"."""
    understood: str = ""
    """What the engine understands of the prompt."""
    source: str = ""
    """The source of images, or its error."""
    look: str = ""
    """Name of the look recalled last."""
    cue: int = 0
    """Number, from 1 on, of the cue that is shown or waits."""
    next_cue: int = 0
    waiting: str = ""
    """Changes that wait for a beat or bar."""
    section: str = ""
    """Section of the music; "" while the director is off."""
    energy: float = 0.0
    """Of the music, 0 to 1."""
    tension: float = 0.0
    """Expectation of a drop, 0 to 1."""
    decision: str = ""
    """The director's last decision."""

    outputs: str = ""
    """Outputs besides the window, and their receivers."""
    recording: str = ""
    """File that is written."""
    record_seconds: float = 0.0
    """Length of the recording."""
    record_fps: float = 0.0
    """Frames recorded per second."""
    record_lag_ms: float = 0.0
    """Delay of the video encoder."""
    record_dropped: int = 0
    """Shown frames that are not in the recording."""
    record_minutes_left: float = 0.0
    """Minutes until the disk is full."""
    record_error: str = ""
    """Why the last recording failed; "" from the next one on, or once acknowledged."""
