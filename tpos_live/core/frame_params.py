"""Frame parameters: the modulation's output, one record per hop."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tpos_live.core.direction import NO_DIRECTION, Direction
from tpos_live.core.parameters import LORAS


@dataclass(frozen=True, slots=True)
class FrameParams:
    """How the audio changes the frame at one moment. All motion is integrated on the audio's clock, so a frame depends
    on the moment and not on the frame rate.

    time: seconds of audio processed. heard_at: perf_counter at which its newest sample arrived. noise_position:
    distance along the noise trajectory (about 1 per second in normal motion). speed: its derivative. pan_x, pan_y:
    drift of the noise field so far, in frame widths and heights (not wrapped). zoom_steady: steady zoom so far,
    octaves. zoom, rotate: relative size (0 = none) and degrees, for post-processing. bloom, exposure (stops),
    saturation, level: post-processing. intensity, strength, guidance, audio_guidance: engine. cut_index: counts
    confirmed drops; each changes palette and seed. source_amount: how much of a source of images stays, 0 to 1.
    source_time, source_rounds: of a clip, seconds and whole lengths played so far. loras: weights of the engine's
    live LoRAs, times its own. direction: the director's, whose zoom, roll and drift the fields above contain.
    kick_zoom: the part of `zoom` that comes from kicks. beat_light: the part of `exposure` that comes from beats.
    """

    time: float = 0.0
    heard_at: float = 0.0
    noise_position: float = 0.0
    speed: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    zoom_steady: float = 0.0
    zoom: float = 0.0
    rotate: float = 0.0
    bloom: float = 0.0
    exposure: float = 0.0
    saturation: float = 1.0
    level: float = 1.0
    grain: float = 0.0
    intensity: float = 0.15
    strength: float = 1.0
    audio_weight: float = 0.0
    guidance: float = 1.0
    audio_guidance: float = 2.0
    cut_index: int = 0
    source_amount: float = 0.0
    source_time: float = 0.0
    source_rounds: float = 0.0
    loras: tuple[float, ...] = (1.0,) * len(LORAS)
    direction: Direction = NO_DIRECTION
    kick_zoom: float = 0.0
    beat_light: float = 0.0


Velocity = tuple[float, ...]
"""Change per second of the integrated fields (`_INTEGRATED`)."""
_INTEGRATED = ("noise_position", "pan_x", "pan_y", "zoom_steady", "source_time", "source_rounds")
ZERO_VELOCITY: Velocity = (0.0,) * len(_INTEGRATED)


def velocity_of(params: FrameParams, before: FrameParams) -> Velocity:
    """Velocity of `params` since `before`; ZERO_VELOCITY where no time has passed."""
    passed = params.time - before.time
    if passed <= 0:
        return ZERO_VELOCITY
    return tuple((getattr(params, name) - getattr(before, name)) / passed for name in _INTEGRATED)


def slower(one: Velocity, other: Velocity) -> Velocity:
    """The smaller of each pair; 0 where the signs differ."""
    return tuple(min(a, b, key=abs) if a * b > 0 else 0.0 for a, b in zip(one, other, strict=True))


def extrapolate(params: FrameParams, velocity: Velocity, seconds: float) -> FrameParams:
    """`params` `seconds` later at this velocity.

    For frames before new audio comes: integrated fields move on, all others stay. The next record is nearly the same,
    because late blocks and inserted silence contain the missing time.
    """
    moved = {name: getattr(params, name) + seconds * rate for name, rate in zip(_INTEGRATED, velocity, strict=True)}
    return replace(params, time=params.time + seconds, heard_at=params.heard_at + seconds, **moved)
