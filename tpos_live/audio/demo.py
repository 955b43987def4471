"""The bundled track: where it is, and how its bars are counted."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).with_name("demo.ogg")
"""The track; `demo.json` beside it says where its beats, drums and sections are. It loops without a seam."""
TEMPO = 128.0
"""Beats per minute."""
BARS = 24
"""Length of the track in bars of four beats."""
BAR = 4 * 60 / TEMPO
"""Length of a bar in seconds."""
