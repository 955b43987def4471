"""What the sound does to the picture at one moment: the modulation's output, one record a hop."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tpos_live.core.parameters import LORAS


@dataclass(frozen=True, slots=True)
class Drive:
    """Everything that moves is integrated here, on the clock of the sound, so that a picture depends
    on the moment and not on how often anyone looked.

    time: seconds of sound heard. heard_at: perf_counter at which its newest sample arrived.
    walk: distance along the noise walk (about 1 a second in normal motion). speed: its derivative.
    pan_x, pan_y: drift of the noise field so far, in picture widths and heights (not wrapped).
    zoom_steady: steady zoom so far, octaves. zoom, rotate: relative size (0 = none) and degrees, for
    the finishing stage. bloom, light (stops), saturation, level: finishing stage. intensity, strength,
    guidance, audio_guidance: engine. looks: counts confirmed drops; each is a new palette and seed. loras:
    weights of the engine's live LoRAs, times its own.
    """

    time: float = 0.0
    heard_at: float = 0.0
    walk: float = 0.0
    speed: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    zoom_steady: float = 0.0
    zoom: float = 0.0
    rotate: float = 0.0
    bloom: float = 0.0
    light: float = 0.0
    saturation: float = 1.0
    level: float = 1.0
    grain: float = 0.0
    intensity: float = 0.15
    strength: float = 1.0
    audio_weight: float = 0.0
    guidance: float = 1.0
    audio_guidance: float = 2.0
    looks: int = 0
    loras: tuple[float, ...] = (1.0,) * len(LORAS)


Rates = tuple[float, ...]
"""Of what has been integrated (`_MOVING`), a second."""
_MOVING = ("walk", "pan_x", "pan_y", "zoom_steady")
STANDING: Rates = (0.0,) * len(_MOVING)


def rates(drive: Drive, before: Drive) -> Rates:
    """How fast `drive` moves, as it went since `before`; STANDING where no time has passed."""
    passed = drive.time - before.time
    if passed <= 0:
        return STANDING
    return tuple((getattr(drive, name) - getattr(before, name)) / passed for name in _MOVING)


def calmer(one: Rates, other: Rates) -> Rates:
    """Of each the slower; nothing where they are opposed."""
    return tuple(min(a, b, key=abs) if a * b > 0 else 0.0 for a, b in zip(one, other, strict=True))


def coast(drive: Drive, going: Rates, seconds: float) -> Drive:
    """Where `drive` will be `seconds` later at these rates.

    For pictures before the sound has come: what has been integrated moves on, all else stays. When the sound comes it
    says nearly the same, for late blocks hold the time that is missing, and so does the silence put in for a device
    that is gone.
    """
    moved = {name: getattr(drive, name) + seconds * rate for name, rate in zip(_MOVING, going, strict=True)}
    return replace(drive, time=drive.time + seconds, heard_at=drive.heard_at + seconds, **moved)
