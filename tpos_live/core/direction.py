"""The director's decisions for one moment, as the modulation and the engine read them (`director/director.py`)."""

from __future__ import annotations

from dataclasses import dataclass

SILENCE, INTRO, BREAKDOWN, MAIN, BUILD_UP, PEAK = "silence", "intro", "breakdown", "main", "build-up", "peak"
SECTIONS = (SILENCE, INTRO, BREAKDOWN, MAIN, BUILD_UP, PEAK)
"""Names of the sections of music."""


@dataclass(frozen=True, slots=True)
class Direction:
    """Decisions for one hop. The default changes nothing."""

    section: str = ""
    """One of SECTIONS, "" while the director is off."""
    energy: float = 0.0
    tension: float = 0.0
    """Both 0 to 1."""
    decision: str = ""
    """The newest decision in words."""

    scene: str = ""
    """Text of the scene that shows the sound, "" for the sound's own scene."""
    second: str = ""
    """Text of the next scene, where it already lies at an edge of the image, "" for none. Only without a prompt."""
    fade: float = 2.0
    """Seconds in which the newest of both is faded in."""
    changes: int = 0
    """Scenes chosen so far."""
    area: float = 1.0
    """Factor on the scene's area."""
    pace: float = 1.0
    """Factor on the speed of the noise trajectory."""
    palette: float = 0.0
    """Turns of the palette, added to an engine's cyclic seed scalars."""
    hue: float = 0.0
    """How far the display turns the image's colours (`core/image_colour.py`): 0 not at all, 1 as at a drop."""

    across: float = 0.0
    down: float = 0.0
    aside: float = 0.0
    """Place of the scene beside a prompt: across from -1 left to 1 right, down from -1 above to 1 below, aside 1 = at
    both sides. All 0: the noise decides the place."""

    zoom: float = 0.0
    """Added to the size of the image: 0.1 = 10 % larger."""
    x: float = 0.0
    y: float = 0.0
    """Position of the frame in the enlarged image, in fractions of the image to the right and down."""
    roll: float = 0.0
    """Degrees."""
    drift_x: float = 0.0
    drift_y: float = 0.0
    """Added to the drift of the noise, in frame widths and heights a second."""


NO_DIRECTION = Direction()
