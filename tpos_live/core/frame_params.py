"""FrameParams: the output of the modulation, one record per hop, for the engine and the display."""

from __future__ import annotations

from dataclasses import dataclass

from tpos_live.core.direction import NO_DIRECTION, Direction
from tpos_live.core.parameters import LORAS

INTEGRATED = ("noise_position", "pan_x", "pan_y", "zoom_steady", "source_time", "source_rounds")
"""Fields of FrameParams that move on with the sound: extrapolated between two records, and restored after a crash."""


@dataclass(frozen=True, slots=True)
class FrameParams:
    """Motion, light and weights of a frame at one moment. All motion is integrated on the audio's clock, so a frame
    depends on the moment and not on the frame rate."""

    time: float = 0.0
    """Seconds of audio processed."""
    heard_at: float = 0.0
    """perf_counter at which the newest sample of the hop arrived."""

    noise_position: float = 0.0
    """Distance along the noise trajectory: about 1 per second in normal motion."""
    speed: float = 0.0
    """Change of noise_position per second."""
    pan_x: float = 0.0
    pan_y: float = 0.0
    """Drift of the noise field since the start, in frame widths and heights, not wrapped."""
    zoom_steady: float = 0.0
    """Steady zoom since the start, in octaves."""
    cut_index: int = 0
    """Confirmed drops since the start; each one changes palette and seed."""

    # For post-processing
    zoom: float = 0.0
    """Relative size, 0 = none."""
    rotate: float = 0.0
    """Degrees."""
    bloom: float = 0.0
    exposure: float = 0.0
    """Stops."""
    saturation: float = 1.0
    level: float = 1.0
    grain: float = 0.0
    kick_zoom: float = 0.0
    """The part of `zoom` that comes from kicks."""
    beat_light: float = 0.0
    """The part of `exposure` that comes from beats."""
    drop_light: float = 0.0
    """The part of `exposure` that comes from a drop."""

    # For the engine
    intensity: float = 0.15
    strength: float = 1.0
    audio_weight: float = 0.0
    guidance: float = 1.0
    audio_guidance: float = 2.0
    loras: tuple[float, ...] = (1.0,) * len(LORAS)
    """Weights of the engine's live LoRAs, as factors on the engine's own weights."""

    source_amount: float = 0.0
    """How much of a source of images stays, 0 to 1."""
    source_time: float = 0.0
    source_rounds: float = 0.0
    """Seconds, and whole lengths, of a clip played so far."""

    direction: Direction = NO_DIRECTION
    """The director's decisions. The fields above already contain its zoom, roll and drift."""
