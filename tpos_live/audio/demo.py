"""The bundled track: its path, tempo and length."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).with_name("demo.ogg")
"""The track, which loops seamlessly. `demo.json` beside it lists its beats, drums and sections."""
TEMPO = 128.0
"""Beats per minute."""
BARS = 24
"""Length of the track in bars of four beats."""
BAR = 4 * 60 / TEMPO
"""Length of a bar in seconds."""
