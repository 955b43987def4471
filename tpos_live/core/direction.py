"""What the director has decided for one moment (`director/director.py`)."""

from __future__ import annotations

from dataclasses import dataclass

SILENCE, INTRO, BREAKDOWN, MAIN, BUILD_UP, PEAK = "silence", "intro", "breakdown", "main", "build-up", "peak"
SECTIONS = (SILENCE, INTRO, BREAKDOWN, MAIN, BUILD_UP, PEAK)
"""Names of the sections of music."""


@dataclass(frozen=True, slots=True)
class Direction:
    """The default changes nothing.

    section: one of SECTIONS, "" while the director is off. energy, tension: 0 to 1. scene: text of the scene that shows
    the sound, "" for the sound's own. fade: seconds in which the newest scene comes. changes: scenes chosen so far.
    area: factor on the scene's area. palette: turns of the palette, added to an engine's cyclic seed scalars. zoom:
    added to the size of the image (0.1 = 10 % larger). x, y: where in the enlarged image the frame stands, in
    fractions of the image to the right and down. roll: degrees. drift_x, drift_y: added to the drift of the noise, in
    widths and heights a second. decision: the newest decision in words.
    """

    section: str = ""
    energy: float = 0.0
    tension: float = 0.0
    scene: str = ""
    fade: float = 2.0
    changes: int = 0
    area: float = 1.0
    palette: float = 0.0
    zoom: float = 0.0
    x: float = 0.0
    y: float = 0.0
    roll: float = 0.0
    drift_x: float = 0.0
    drift_y: float = 0.0
    decision: str = ""


NO_DIRECTION = Direction()
